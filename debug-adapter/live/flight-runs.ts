/** Runs in the flight recorder's ring, told apart and put together from records that runs on several CPUs have mixed. */
import { TRACE_HEADER } from '../recorder/instrument/emit';
import {
  END,
  END_ID,
  FLIGHT,
  START,
  START_ID,
  START_PACKET_LENGTH,
  sizeOf,
} from '../recorder/instrument/flight-code';
import type { LiveInstrumented } from '../recorder/instrument/live';
import { RECORD_HEADER } from '../recorder/instrument/records';
import type { TraceRecord } from '../recorder/instrument/records';
import { FIRST } from '../recorder/instrument/ring';
import { PACKET } from '../recorder/instrument/snapshot-code';
import { recordsIn } from './ring';
import type { RingRecord, Segment } from './ring';
import { decodePacket } from './snapshot';

export interface FlightRun {
  /** Where its first record begins in the ring, which no other run of this recording has. */
  start: number;
  /** Nanoseconds of the kernel's monotonic clock. */
  time: bigint;
  cpu: number;
  /** R0, the lower half of which is what counts. */
  returned: bigint;
  /** The packet's first bytes as it came. */
  packet?: Uint8Array;
  /** As a recorded test run has it: header, and records without what tells runs apart. */
  trace: Uint8Array;
}

/** A kernel stack, on which the frames of a run lie: THREAD_SIZE of x86-64 and arm64, at least. */
const STACK_BYTES = 16 * 1024;

interface OpenRun {
  start: number;
  /** The lower half of R10 of the program's own frame. */
  frame: number;
  records: RingRecord[];
  /** It has records of which it is not known whose they are. */
  isMixed: boolean;
}

/** Sizes of the records in a ring, by number. */
export function flightSizes(
  { records }: LiveInstrumented,
  withPacket: boolean,
): (id: number) => number | undefined {
  const sizes = new Map(records.map((record) => [record.id, sizeOf(record)]));
  sizes.set(START_ID, START.PACKET + (withPacket ? PACKET.BYTES + START_PACKET_LENGTH : 0));
  sizes.set(END_ID, END.SIZE);
  return (id) => sizes.get(id);
}

/**
 * Runs that begin and end in a part of the ring, in the order in which they ended. One that was left by a tail call or
 * an exception has no end, and is not among them.
 */
export function runsIn(
  segments: readonly Segment[],
  { records }: LiveInstrumented,
  withPacket: boolean,
): FlightRun[] {
  const byId = new Map(records.map((record) => [record.id, record]));
  const open: OpenRun[] = [];
  const runs: FlightRun[] = [];
  for (const record of recordsIn(segments, flightSizes({ records } as LiveInstrumented, withPacket))) {
    const { view, at, position } = record;
    const id = view.getUint32(at + FLIGHT.ID, true);
    const frame = view.getUint32(at + FLIGHT.FRAME, true);
    if (id === START_ID) {
      const left = open.findIndex((run) => run.frame === frame);
      if (left >= 0) open.splice(left, 1);
      open.push({ start: position, frame, records: [record], isMixed: false });
      continue;
    }
    const run = ownerOf(open, frame);
    if (!run) continue;
    if (id !== END_ID) {
      run.records.push(record);
      continue;
    }
    if (run.frame !== frame) continue;
    open.splice(open.indexOf(run), 1);
    const start = view.getBigUint64(at + END.START, true);
    if (!run.isMixed && start === BigInt(run.start + FIRST))
      runs.push(assemble(run, view.getBigUint64(at + END.RETURNED, true), byId, withPacket));
  }
  return runs;
}

/** The run whose frame is the nearest above, on the same stack; frames of functions lie below that of the program. */
function ownerOf(open: readonly OpenRun[], frame: number): OpenRun | undefined {
  let owner: OpenRun | undefined;
  let nearest = STACK_BYTES;
  for (const run of open) {
    const distance = (run.frame - frame) >>> 0;
    if (distance >= nearest) continue;
    nearest = distance;
    owner = run;
  }
  if (owner) return owner;
  // Where each function has a stack of its own (6.13, tracing programs), nearness tells nothing.
  if (open.length === 1) return open[0];
  for (const run of open) run.isMixed = true;
  return undefined;
}

function assemble(
  { start, records }: OpenRun,
  returned: bigint,
  byId: ReadonlyMap<number, TraceRecord>,
  withPacket: boolean,
): FlightRun {
  const sizes = records.map(({ view, at }) => byId.get(view.getUint32(at + FLIGHT.ID, true))!.size);
  const length = sizes.reduce((sum, size) => sum + size, 0);
  const trace = new Uint8Array(TRACE_HEADER + length);
  const out = new DataView(trace.buffer);
  out.setBigUint64(0, BigInt(length), true);
  let to = TRACE_HEADER;
  records.forEach(({ view, at }, index) => {
    const id = view.getUint32(at + FLIGHT.ID, true);
    const size = sizes[index]!;
    out.setUint32(to, id, true);
    if (id === START_ID) copyEntry(byId.get(id)!, view, at, out, to + RECORD_HEADER);
    else {
      const from = view.byteOffset + at + FLIGHT.FIELDS;
      trace.set(new Uint8Array(view.buffer, from, size - RECORD_HEADER), to + RECORD_HEADER);
    }
    to += size;
  });
  const { view, at } = records[0]!;
  const { packet } = withPacket ? decodePacket(view, at + START.PACKET, START_PACKET_LENGTH) : {};
  return {
    start,
    time: view.getBigUint64(at + START.TIME, true),
    cpu: Number(view.getBigUint64(at + START.CPU, true)),
    returned,
    ...(packet ? { packet: packet.bytes } : {}),
    trace,
  };
}

/** What is recorded at the program's entry: R10, and R1, which is its context. */
function copyEntry({ points }: TraceRecord, view: DataView, at: number, out: DataView, to: number): void {
  points[0]!.fields.forEach((field, index) => {
    const isFrame = field.kind === 'register' && field.register === 10;
    const from = at + (isFrame ? START.FRAME : START.CONTEXT);
    out.setBigUint64(to + 8 * index, view.getBigUint64(from, true), true);
  });
}
