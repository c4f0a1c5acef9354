/** A recorded run, opened for going through: re-executed once from its trace, with its lines, maps and calls. */
import type { LoadedMap } from '../../kernel/protocol';
import { decodeInsns } from '../../toolchain/insn/insn';
import { Pseudo } from '../../toolchain/insn/opcodes';
import type { RecordedRun } from './record';
import { CallLog } from './replay/calls';
import { replayCode } from './replay/code';
import type { ReplayCode } from './replay/code';
import { Machine } from './replay/machine';
import type { PacketInput } from './replay/machine';
import { MapModel } from './replay/map-model';
import type { MapShape } from './replay/map-model';
import type { LineMap } from './replay/statements';
import { Statements } from './replay/statements';
import { Timeline } from './replay/timeline';

/** A map as it was before the run. */
export interface MapSnapshot {
  map: LoadedMap;
  entries: { key: Uint8Array; value: Uint8Array }[];
}

export interface OpenedRun {
  code: ReplayCode;
  timeline: Timeline;
  statements: Statements;
  maps: MapModel;
  calls: CallLog;
}

export function openRun(
  run: RecordedRun,
  lines: LineMap,
  snapshots: readonly MapSnapshot[],
  packet: PacketInput | undefined,
): OpenedRun {
  const code = replayCode(run.instrumented, run.stackDepth, run.addresses);
  const machine = new Machine(code, run.trace, packet);
  const maps = new MapModel(
    machine.memory,
    snapshots.map(({ map, entries }) => ({ shape: shapeOf(map), entries })),
  );
  const handles = new Map<bigint, number>();
  decodeInsns(run.prepared.instructions).forEach((insn, index) => {
    const address = run.addresses.get(index);
    if (!insn || address === undefined) return;
    if (insn.src === Pseudo.MAP) handles.set(address, insn.imm);
    // The second half of the immediate is an offset into the map's only value.
    if (insn.src === Pseudo.MAP_VALUE) maps.place(insn.imm, new Uint8Array(4), address - BigInt(insn.high));
  });
  const calls = new CallLog(maps, (address) => handles.get(address));
  machine.kernel = { maps, calls };
  const statements = new Statements(lines);
  const timeline = new Timeline(machine, (before) => statements.see(before));
  return { code, timeline, statements, maps, calls };
}

function shapeOf({ handle, type, keySize, valueSize }: LoadedMap): MapShape {
  return { handle, keySize, valueSize, inPlace: type === 'array' };
}
