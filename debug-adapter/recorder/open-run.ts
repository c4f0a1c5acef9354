/** A recording, opened for going through: re-executed once from its trace, with its lines, maps and calls. */
import { readDwarf } from '../../toolchain/dwarf/dwarf';
import type { Dwarf } from '../../toolchain/dwarf/dwarf';
import { DwarfTypes } from '../../toolchain/dwarf/types-as-btf';
import { readBpfObject } from '../../toolchain/elf/object';
import type { BpfObject } from '../../toolchain/elf/object';
import { decodeInsns } from '../../toolchain/insn/insn';
import { Pseudo } from '../../toolchain/insn/opcodes';
import { succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';
import type { Recording } from './recording';
import { CallLog } from './replay/calls';
import { replayCode } from './replay/code';
import type { ReplayCode } from './replay/code';
import { Machine } from './replay/machine';
import type { Ending, PacketInput } from './replay/machine';
import { MapModel } from './replay/map-model';
import { shapeOf } from './replay/map-shape';
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
export type ReadProgram = Pick<OpenedRun, 'object' | 'dwarf' | 'types' | 'source'>;

export function readProgram(
  object: BpfObject,
  { prepared, program, file }: Pick<Recording, 'prepared' | 'program' | 'file'>,
): ReadProgram {
  const dwarf = readDwarf(object.elf);
  const types = dwarf && new DwarfTypes(dwarf, object.elf.littleEndian);
  return { object, dwarf, types, source: new SourceMap(prepared, program.name, object, dwarf, file) };
}

/**
 * Fails only when the recording's object cannot be read; a run that diverges is opened as far as it agrees.
 * @param read what {@link readProgram} gave for another run of the program.
 */
export function openRun(recording: Recording, read?: ReadProgram): Outcome<OpenedRun> {
  if (read) return succeed(openWith(recording, read));
  const object = readBpfObject(recording.object);
  return object.ok ? succeed(openWith(recording, readProgram(object.value, recording))) : object;
}

function openWith(recording: Recording, { object, dwarf, types, source }: ReadProgram): OpenedRun {
  const { prepared, program, addresses } = recording;
  const addressOf = new Map(addresses);
  const { records, stackDepth } = recording;
  const code = replayCode(prepared.instructions, records, stackDepth, addressOf);
  const machine = new Machine(code, recording.trace, packetOf(program.type, recording.input.data));
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
  if (timeline.ending.kind !== 'diverged') maps.compareWithKernel();
  const ending = checked(timeline.ending, machine, recording);
  return { recording, object, dwarf, types, source, code, timeline, statements, maps, calls, ending };
}

/** Return value and packet have to be those that the kernel gave back. */
function checked(ending: Ending, machine: Machine, { result, program }: Recording): Ending {
  if (ending.kind !== 'returned') return ending;
  const diverged = (reason: string): Ending => ({ kind: 'diverged', insn: machine.pc, reason });
  const returned = Number(machine.register(0) & 0xffff_ffffn);
  if (returned !== result.returnValue)
    return diverged(`the kernel returned ${result.returnValue}, and re-execution ${returned}`);
  const { data, end } = machine.packet ?? {};
  const length = data === undefined || end === undefined ? -1 : Number(end - data);
  if (program.type !== 'xdp' || data === undefined || length !== result.data.length) return ending;
  const { bytes, known } = machine.memory.bytes(data, length);
  const differs = bytes.findIndex((byte, at) => known[at] === 1 && byte !== result.data[at]);
  return differs < 0 ? ending : diverged(`the packet differs from the kernel's at byte ${differs}`);
}

function mapModel({ maps, innerMaps, snapshots, possibleCpus }: Recording, machine: Machine): MapModel {
  const all = [...maps, ...innerMaps];
  const followed = snapshots.flatMap((snapshot) => {
    const map = all.find(({ handle }) => handle === snapshot.map);
    if (!map) return [];
    return [{ shape: shapeOf(map, possibleCpus), entries: snapshot.entries, after: entriesAfter(snapshot) }];
  });
  return new MapModel(machine.memory, followed, (id) => all.find((map) => map.id === id)?.handle);
}

/** `struct xdp_md` and `struct __sk_buff`: offsets of data and data_end. Other types begin the packet elsewhere. */
function packetOf(type: string, bytes: Uint8Array | undefined): PacketInput | undefined {
  if (!bytes) return undefined;
  if (type === 'xdp') return { dataOffset: 0, endOffset: 4, bytes };
  if (type === 'sched_cls' || type === 'sched_act') return { dataOffset: 76, endOffset: 80, bytes };
  return undefined;
}
