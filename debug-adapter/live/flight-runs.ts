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
  /** The packet as it came: its first bytes, and how many it had. */
  packet?: { bytes: Uint8Array; length: number };
  /** As a recorded test run has it: header, and records without what tells runs apart. */
  trace: Uint8Array;
}

/**
 * More than lies between a program's frame and those of its functions: the verifier allows them 512 bytes together, and
 * a helper that calls one has a frame in between. Less than between runs on the stacks of two CPUs: those of interrupts
 * have 16 KiB each, one behind the other, and are used from the top.
 */
const STACK_BYTES = 8 * 1024;

interface OpenRun {
  start: number;
  /** The lower half of R10 of the program's own frame. */
  frame: number;
  records: RingRecord[];
  /** It may lack records of which it is not known whose they are. */
  isMixed: boolean;
}

/** What the records of a ring are those of. */
export interface RingContent {
  instrumented: Pick<LiveInstrumented, 'records' | 'mainEnd'>;
  /** Whether the record of a run's beginning holds the packet's first bytes. */
  withPacket: boolean;
  /** Whether functions may have stacks of their own; see {@link mayHavePrivateStacks}. */
  privateStacks: boolean;
}

const PRIVATE_STACK_TYPES = new Set([
  'kprobe',
  'tracepoint',
  'perf_event',
  'raw_tracepoint',
  'tracing',
  'lsm',
]);

/**
 * Whether the kernel may give functions of such programs stacks apart from their callers' (bpf_enable_priv_stack in
 * kernel/bpf/verifier.c, since Linux 6.13).
 */
export function mayHavePrivateStacks(
  programType: string,
  { major, minor }: { major: number; minor: number },
): boolean {
  return PRIVATE_STACK_TYPES.has(programType) && (major > 6 || (major === 6 && minor >= 13));
}

/** Sizes of the records in a ring, by number. */
function flightSizes({ instrumented, withPacket }: RingContent): (id: number) => number | undefined {
  const sizes = new Map(instrumented.records.map((record) => [record.id, sizeOf(record)]));
  sizes.set(START_ID, START.PACKET + (withPacket ? PACKET.BYTES + START_PACKET_LENGTH : 0));
  sizes.set(END_ID, END.SIZE);
  return (id) => sizes.get(id);
}

/**
 * Runs that begin and end in a part of the ring, in the order in which they ended. One that was left by a tail call or
 * an exception has no end, and is not among them; nor is one of which it is not certain that all its records were found.
 */
export function runsIn(segments: readonly Segment[], content: RingContent): FlightRun[] {
  const { instrumented, withPacket } = content;
  const byId = new Map(instrumented.records.map((record) => [record.id, record]));
  let open: OpenRun[] = [];
  const runs: FlightRun[] = [];
  for (const record of recordsIn(segments, flightSizes(content))) {
    const { view, at, position } = record;
    const id = view.getUint32(at + FLIGHT.ID, true);
    const frame = view.getUint32(at + FLIGHT.FRAME, true);
    if (id === START_ID) {
      // A run whose frame lies here or below it, where the stack is free again, was left without an end.
      open = open.filter((run) => (frame - run.frame) >>> 0 >= STACK_BYTES);
      open.push({ start: position, frame, records: [record], isMixed: false });
      continue;
    }
    const own = open.find((run) => run.frame === frame);
    if (id !== END_ID) {
      const isOfFunction = byId.get(id)!.points[0]!.insn >= instrumented.mainEnd;
      const run = isOfFunction ? callerOf(open, frame, content.privateStacks) : own;
      run?.records.push(record);
      continue;
    }
    if (!own) continue;
    open.splice(open.indexOf(own), 1);
    const start = view.getBigUint64(at + END.START, true);
    if (!own.isMixed && start === BigInt(own.start + FIRST))
      runs.push(assemble(own, view.getBigUint64(at + END.RETURNED, true), byId, withPacket));
  }
  return runs;
}

/**
 * The run in which a function runs: the one whose frame is the nearest above on the same stack. None for a function of
 * a run whose beginning is not there any more.
 */
function callerOf(open: readonly OpenRun[], frame: number, privateStacks: boolean): OpenRun | undefined {
  let caller: OpenRun | undefined;
  let nearest = STACK_BYTES;
  for (const run of open) {
    const distance = (run.frame - frame) >>> 0;
    if (distance >= nearest) continue;
    nearest = distance;
    caller = run;
  }
  if (caller || !privateStacks) return caller;
  // Nearness tells nothing then. With one run open it is this one's, or that of one that began before what was read:
  // with that one's records in it a run is too long for its re-execution, which says so.
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
    ...(packet ? { packet: { bytes: packet.bytes, length: Number(packet.end - packet.data) } } : {}),
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
