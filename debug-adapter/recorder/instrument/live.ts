/**
 * Rewrites a program for its real hook: snapshots where it comes by at breakpoints, and the flight recorder, which
 * records every run. Nothing stops, and what the program does stays the same.
 */
import { isExit } from '../../../toolchain/insn/effects';
import { decodeInsns } from '../../../toolchain/insn/insn';
import { RING, save, slotOffset } from './ring';
import { addressLoads } from './address-loads';
import { layOut, recordingCode } from './emit';
import type { Arrival, Inserted, TraceLayout } from './emit';
import { analyseFlow } from './flow';
import type { Flow } from './flow';
import { analyseFrame } from './frame';
import { FLIGHT_SLOTS, endCode, flightWriter, startCode } from './flight-code';
import { FIRST_ID, START_ID, layOutFlight } from './flight-layout';
import type { FlightLayout } from './flight-layout';
import { layOutKept } from './kept-code';
import type { KeptLayout, Told } from './kept-code';
import { findObstacle, functionParameters, movedInfo } from './instrument';
import type { CannotRecord, PreparedProgram } from './instrument';
import { analyseInitialised, analyseLiveness } from './liveness';
import { choosePoints } from './points';
import { RECORD_HEADER, groupPoints } from './records';
import type { RegisterFacts, TraceRecord } from './records';
import { snapshotCode } from './snapshot-code';
import type { PacketFields, SnapshotDetail, SnapshotLayout, SnapshotPoint } from './snapshot-code';

/** A place to take snapshots at, and from where it is arrived at anew. */
export interface Stop extends SnapshotPoint, Pick<Arrival, 'passedFromAbove' | 'isPassedFrom'> {}

export interface LiveWanted {
  snapshots?: { ring: TraceLayout; stops: readonly Stop[]; detail: SnapshotDetail };
  flight?: {
    ring: TraceLayout;
    told: Told;
    /** Where in the ring's map there is room for runs that are kept. */
    keptOffset: number;
    /** Whether it may call the helper that copies memory, which is for programs under the GPL. */
    copies: boolean;
  };
  /** Where the program's context says that the packet is. */
  packet?: PacketFields | undefined;
  parametersOf(functionType: number): number | undefined;
}

export interface LiveInstrumented {
  variant: PreparedProgram;
  snapshots: SnapshotLayout[];
  flight?: Flight;
}

/** What the flight recorder's ring holds. */
export interface Flight {
  /** Its points as replay wants them: the first is the program's entry. */
  records: TraceRecord[];
  layout: FlightLayout;
  kept: KeptLayout | undefined;
  /** The instruction behind the program's own last one; those of its functions follow. */
  mainEnd: number;
  /** Instructions whose results are in the ring's header, in its order, once a run was recorded. */
  addresses: number[][];
}

/** @param stackDepth bytes of stack by subprogram, in the order of the program. */
export function instrumentLive(
  program: PreparedProgram,
  stackDepth: readonly number[],
  wanted: LiveWanted,
): LiveInstrumented | CannotRecord {
  const insns = decodeInsns(program.instructions);
  const flow = analyseFlow(insns);
  const facts: RegisterFacts = { liveness: analyseLiveness(flow), ...analyseInitialised(flow) };
  const depth = (subprogram: number) => stackDepth[subprogram] ?? 512;
  const inserted: Inserted = { entry: new Map(), arrival: new Map(), before: new Map(), after: new Map() };
  const usage: { insn: number; slots: number }[] = [];
  let flight: Flight | undefined;
  if (wanted.flight) {
    const obstacle = findObstacle(insns);
    if (obstacle) return obstacle;
    const recorded = addFlight(program, flow, facts, depth, wanted, inserted);
    if ('reason' in recorded) return recorded;
    flight = recorded;
    usage.push(...flight.records.map(({ points }) => ({ insn: points[0]!.insn, slots: FLIGHT_SLOTS })));
  }
  const taken = wanted.flight ? FLIGHT_SLOTS : 0;
  const snapshots: SnapshotLayout[] = [];
  if (wanted.snapshots) {
    const { ring, stops, detail } = wanted.snapshots;
    const frame = analyseFrame(flow);
    const hasContext = detail.packet && wanted.packet !== undefined;
    const slotsTaken = taken + (hasContext ? 1 : 0);
    for (const stop of stops) {
      const place = {
        flow,
        facts,
        frame,
        depth,
        slotsTaken,
        packet: wanted.packet,
        ...(hasContext ? { contextSlot: taken } : {}),
      };
      const made = snapshotCode(stop, ring, place, detail);
      if (!made) return { reason: 'every register is in use there', insn: stop.insn };
      usage.push({ insn: stop.insn, slots: made.slots });
      snapshots.push(made.layout);
      inserted.arrival.set(stop.insn, { ...stop, code: made.code });
    }
    if (hasContext) {
      usage.push({ insn: 0, slots: slotsTaken });
      const entry = inserted.entry.get(0) ?? [];
      inserted.entry.set(0, [...entry, save(1, slotOffset(depth(0), taken))]);
    }
  }
  const full = usage.find(({ insn, slots }) => {
    return Math.ceil(depth(flow.subprogramOf(insn).index) / 8) * 8 + 8 * slots > 512;
  });
  if (full)
    return {
      reason: 'its stack is full: all 512 bytes are in use, and recording needs some',
      insn: full.insn,
    };
  const emitted = layOut(flow, inserted);
  if (!('instructions' in emitted))
    return {
      reason: 'with the recording in between, a jump would be too long for an instruction',
      insn: emitted.insn,
    };
  return {
    variant: { instructions: emitted.instructions, ...movedInfo(program, emitted.start) },
    snapshots,
    ...(flight ? { flight } : {}),
  };
}

/** Puts the flight recorder's code in place. */
function addFlight(
  program: PreparedProgram,
  flow: Flow,
  facts: RegisterFacts,
  depth: (subprogram: number) => number,
  { flight, snapshots, packet, parametersOf }: LiveWanted,
  inserted: Inserted,
): Flight | CannotRecord {
  const { ring, told, keptOffset, copies } = flight!;
  const parameters = functionParameters(program.funcInfo, parametersOf);
  const points = choosePoints(flow, facts.liveness, analyseFrame(flow), 'lean', parameters, false);
  // The block holds what is recorded at the program's entry.
  const [entry, ...others] = points;
  const stops = new Set(snapshots?.stops.map(({ insn }) => insn));
  const grouped = groupPoints(flow, others, facts, (insn) => stops.has(insn));
  if (!Array.isArray(grouped))
    return { reason: 'every register is in use where a value has to be recorded', insn: grouped.insn };
  const records = grouped.map((record) => ({ ...record, id: record.id + FIRST_ID - 1 }));
  const layout = layOutFlight(flow, records, packet !== undefined);
  const kept = told === 'none' ? undefined : layOutKept(keptOffset, layout, copies);
  const writer = flightWriter(ring, layout, facts, (insn) => depth(flow.subprogramOf(insn).index));
  const code = recordingCode(flow, records, facts, writer, depth);
  for (const [insn, each] of code.entry) inserted.entry.set(insn, each);
  for (const [insn, each] of code.before) inserted.before.set(insn, each);
  for (const [insn, each] of code.after) inserted.after.set(insn, each);
  const addresses = addressLoads(flow.insns);
  if (addresses.length > RING.ADDRESSES_COUNT)
    return { reason: `it uses more than ${RING.ADDRESSES_COUNT} maps and kernel variables` };
  inserted.entry.set(0, startCode(ring, layout, depth(0), packet, addresses));
  const main = flow.subprograms[0]!;
  for (let insn = main.start; insn < main.end; insn++) {
    const at = flow.insns[insn];
    if (at && isExit(at)) inserted.before.set(insn, endCode(ring, layout, depth(0), told, kept));
  }
  const first = { id: START_ID, points: [entry!], size: RECORD_HEADER + 8 * entry!.fields.length };
  return {
    records: [{ ...first, address: 9, scratch: 1, spilled: [] }, ...records],
    layout,
    kept,
    mainEnd: main.end,
    addresses: addresses.map(({ places }) => places),
  };
}
