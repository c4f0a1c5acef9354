/** A recording, opened for going through: re-executed once from its trace, with its lines, maps and calls. */
import { readDwarf } from '../../toolchain/dwarf/dwarf';
import type { Dwarf } from '../../toolchain/dwarf/dwarf';
import { DwarfTypes } from '../../toolchain/dwarf/types-as-btf';
import { readBpfObject } from '../../toolchain/elf/object';
import type { BpfObject } from '../../toolchain/elf/object';
import { isKfuncCall } from '../../toolchain/insn/effects';
import { decodeInsns } from '../../toolchain/insn/insn';
import { Pseudo } from '../../toolchain/insn/opcodes';
import { succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';
import type { Recording } from './recording';
import { CallLog } from './replay/calls';
import { replayCode } from './replay/code';
import type { ReplayCode } from './replay/code';
import { Machine } from './replay/machine';
import type { Ending } from './replay/machine-state';
import { MapModel } from './replay/map-model';
import { shapeOf } from './replay/map-shape';
import type { PacketInput, PacketState } from './replay/packet';
import { Statements } from './replay/statements';
import { Timeline } from './replay/timeline';
import { entriesAfter } from './snapshot';
import { SourceMap } from './source-map';

export interface OpenedRun {
  recording: Recording;
  object: BpfObject;
  dwarf: Dwarf | undefined;
  types: DwarfTypes | undefined;
  source: SourceMap;
  code: ReplayCode;
  timeline: Timeline;
  statements: Statements;
  maps: MapModel;
  calls: CallLog;
  /** How the run ended, checked against what the kernel said came of it. */
  ending: Ending;
}

/** What runs of one program have in common. */
type ReadProgram = Pick<OpenedRun, 'object' | 'dwarf' | 'types' | 'source'>;

function readProgram(
  object: BpfObject,
  { prepared, program, file }: Pick<Recording, 'prepared' | 'program' | 'file'>,
): ReadProgram {
  const dwarf = readDwarf(object.elf);
  const types = dwarf && new DwarfTypes(dwarf, object.elf.littleEndian);
  return { object, dwarf, types, source: new SourceMap(prepared, program.name, object, dwarf, file) };
}

/** Fails only when the recording's object cannot be read; a run that diverges is opened as far as it agrees. */
export function openRun(recording: Recording): Outcome<OpenedRun> {
  const object = readBpfObject(recording.object);
  return object.ok ? succeed(openRunWith(recording, readProgram(object.value, recording))) : object;
}

/** The same with what was read of the program already. */
export function openRunWith(recording: Recording, { object, dwarf, types, source }: ReadProgram): OpenedRun {
  const { prepared, addresses } = recording;
  const addressOf = new Map(addresses);
  const { records, stackDepth } = recording;
  const kfuncs = new Map(
    decodeInsns(prepared.instructions).flatMap((insn, index): [number, string][] => {
      const name = insn && isKfuncCall(insn) ? source.symbolAt(index) : undefined;
      return name === undefined ? [] : [[index, name]];
    }),
  );
  const code = replayCode(prepared.instructions, records, stackDepth, addressOf, kfuncs);
  const machine = new Machine(code, recording.trace, packetOf(recording));
  const maps = mapModel(recording, machine);
  const handles = new Map<bigint, number>();
  decodeInsns(prepared.instructions).forEach((insn, index) => {
    const address = addressOf.get(index);
    if (!insn || address === undefined) return;
    if (insn.src === Pseudo.MAP) handles.set(address, insn.imm);
    // The second half of the immediate is an offset into the map's only value.
    if (insn.src === Pseudo.MAP_VALUE) maps.place(insn.imm, new Uint8Array(4), address - BigInt(insn.high));
  });
  const calls = new CallLog(maps, (address) => handles.get(address));
  machine.kernel = { maps, calls };
  const statements = new Statements(source);
  const timeline = new Timeline(machine, (before) => statements.see(before));
  if (timeline.ending.kind !== 'diverged') {
    // With more of it known, the run is executed once more, to its end.
    if (machine.outputs.reveal(shownAfter(recording, machine, maps))) {
      timeline.seek(0);
      timeline.seek(timeline.length);
    }
    maps.compareWithKernel();
  }
  const ending = checked(timeline.ending, machine, recording);
  return { recording, object, dwarf, types, source, code, timeline, statements, maps, calls, ending };
}

/** Memory whose content after the run is known. */
function* shownAfter({ result }: Recording, { tracked }: Machine, maps: MapModel) {
  yield* maps.valuesAfter();
  if (!tracked) return;
  const { data, length } = tracked.state;
  const bytes = packetAfter(tracked.state, result.data);
  if (length === bytes.length) yield { address: data, bytes };
}

/** Return value, packet and context have to be those that the kernel gave back. */
function checked(ending: Ending, machine: Machine, recording: Recording): Ending {
  const { result } = recording;
  if (ending.kind !== 'returned') return ending;
  const diverged = (reason: string): Ending => ({ kind: 'diverged', insn: machine.pc, reason });
  const returned = Number(machine.register(0) & 0xffff_ffffn);
  if (returned !== result.returnValue && !(tellsOfDropOnly(recording) && returned !== 0))
    return diverged(`the kernel returned ${result.returnValue}, and re-execution ${returned}`);
  const difference =
    (machine.tracked && packetDifference(machine, machine.tracked.state, result.data)) ??
    contextDifference(machine, recording);
  return difference === undefined ? ending : diverged(difference);
}

/** Before 6.1 a flow dissector's test run tells of every value but BPF_OK as of BPF_DROP, which no program has to return. */
function tellsOfDropOnly({ program, kernel, result }: Recording): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((number) => parseInt(number, 10));
  const isOld = major < 6 || (major === 6 && minor < 1);
  return program.type === 'flow_dissector' && isOld && result.returnValue !== 0;
}

/** Newer kernels give XDP's metadata back in front of the packet, 5.10 without. */
function packetAfter({ length, metadata, isFragmented }: PacketState, output: Uint8Array): Uint8Array {
  const packet = output.length === length ? output : output.subarray(metadata);
  return isFragmented ? packet.subarray(0, length) : packet;
}

function packetDifference(machine: Machine, state: PacketState, output: Uint8Array): string | undefined {
  const { data, length } = state;
  if (length === undefined || output.length === 0) return undefined;
  const after = packetAfter(state, output);
  if (length !== after.length)
    return `the kernel's packet has ${after.length} bytes after the run, and re-execution's ${length}`;
  const { bytes, known } = machine.memory.bytes(data, length);
  const differs = bytes.findIndex((byte, at) => known[at] === 1 && byte !== after[at]);
  return differs < 0 ? undefined : `the packet differs from the kernel's at byte ${differs}`;
}

/**
 * Fields of `struct __sk_buff` that a program writes and a test run gives back (convert_skb_to___skb): offset and size
 * of mark, priority and cb[5].
 */
const SKB_FIELDS = [
  { name: 'mark', offset: 8, size: 4 },
  { name: 'priority', offset: 32, size: 4 },
  { name: 'cb', offset: 48, size: 20 },
];

function contextDifference(machine: Machine, { program, result }: Recording): string | undefined {
  if (program.type !== 'sched_cls' && program.type !== 'sched_act') return undefined;
  const differs = SKB_FIELDS.find(({ offset, size }) => {
    if (offset + size > result.context.length) return false;
    const { bytes, known } = machine.memory.bytes(machine.context + BigInt(offset), size);
    return bytes.some((byte, at) => known[at] === 1 && byte !== result.context[offset + at]);
  });
  return differs && `the context differs from the kernel's in ${differs.name}`;
}

function mapModel({ maps, innerMaps, snapshots, possibleCpus }: Recording, machine: Machine): MapModel {
  const all = [...maps, ...innerMaps];
  const followed = snapshots.flatMap((snapshot) => {
    const map = all.find(({ handle }) => handle === snapshot.map);
    if (!map) return [];
    return [{ shape: shapeOf(map, possibleCpus), entries: snapshot.entries, after: entriesAfter(snapshot) }];
  });
  const step = () => machine.step;
  return new MapModel(machine.memory, followed, step, (id) => all.find((map) => map.id === id)?.handle);
}

/** `struct xdp_md` and `struct __sk_buff`: offsets of data and data_end. Other types begin the packet elsewhere. */
function packetOf({ program, input }: Recording): PacketInput | undefined {
  const { data: bytes, length, context } = input;
  if (!bytes) return undefined;
  if (program.type === 'xdp') {
    // `data` of a test run's context: bytes of metadata before the packet.
    const metadata = context && context.length >= 4 ? Buffer.from(context).readUInt32LE(0) : 0;
    return { dataOffset: 0, endOffset: 4, bytes: bytes.subarray(metadata), length, metadata };
  }
  if (program.type === 'sched_cls' || program.type === 'sched_act')
    return { dataOffset: 76, endOffset: 80, bytes, length, metadata: 0 };
  return undefined;
}
