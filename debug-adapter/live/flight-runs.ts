/** Runs in the flight recorder's ring, told apart and put together from what runs on several CPUs have mixed. */
import { TRACE_HEADER } from '../recorder/instrument/emit';
import { readTime } from '../recorder/instrument/flight-clock';
import {
  FLIGHT,
  START,
  START_ID,
  START_PACKET_LENGTH,
  looseSize,
  placedHeader,
} from '../recorder/instrument/flight-layout';
import type { FlightLayout } from '../recorder/instrument/flight-layout';
import type { Flight } from '../recorder/instrument/live';
import { RECORD_HEADER } from '../recorder/instrument/records';
import type { TraceRecord } from '../recorder/instrument/records';
import { positionOf, recordsIn } from './ring';
import type { RingRecord, Segment } from './ring';
import { decodePacket } from './snapshot';

export interface FlightRun {
  /** Where its first record begins in the ring, which no other run of this recording has. */
  start: number;
  /** Nanoseconds of the kernel's monotonic clock; `isOfTick`: those of an earlier run in the same tick. */
  time: bigint;
  isOfTick: boolean;
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

/** A record outside of all blocks, and what it is of the program's. */
interface LooseRecord extends RingRecord {
  record: TraceRecord;
}

/** A run whose beginning was found. */
interface FoundRun {
  block: RingRecord;
  /** The lower half of R10 of the program's own frame. */
  frame: number;
  /** The ring's position when it had ended; infinite as long as it has not, or if it was left elsewhere. */
  end: number;
  /** Records outside of the block. */
  loose: LooseRecord[];
  /** It may lack records of which it is not known whose they are. */
  isDoubtful: boolean;
}

/** What the records of a ring are those of. */
export interface RingContent {
  flight: Pick<Flight, 'records' | 'layout' | 'mainEnd'>;
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

/**
 * Runs that begin and end in a part of the ring, in the order in which they began. One that was left by a tail call or
 * an exception has no end, and is not among them; nor is one of which it is not certain that all of it was found.
 */
export function runsIn(segments: readonly Segment[], content: RingContent): FlightRun[] {
  const { layout } = content.flight;
  const loose = new Map(layout.loose.map((record) => [record.id, record]));
  const sizes = new Map(layout.loose.map((record) => [record.id, looseSize(record)]));
  sizes.set(START_ID, layout.size);
  const readUpTo = segments.at(-1)?.end ?? 0;
  const found: FoundRun[] = [];
  let open: FoundRun[] = [];
  for (const record of recordsIn(segments, (id) => sizes.get(id))) {
    const { view, at, position } = record;
    open = open.filter((run) => run.end > position);
    const ofProgram = loose.get(view.getUint32(at + FLIGHT.ID, true));
    if (ofProgram) {
      const one = { ...record, record: ofProgram };
      ownerOf(one, open, content)?.loose.push(one);
    } else {
      const run = begin(record, layout);
      found.push(run);
      // A run whose frame lies here or below it, where the stack is free again, was left without an end.
      open = open.filter(({ end, frame }) => end < Infinity || (run.frame - frame) >>> 0 >= STACK_BYTES);
      open.push(run);
    }
  }
  return found
    .filter((run) => run.end <= readUpTo && !run.isDoubtful)
    .map((run) => assemble(run, content.flight));
}

function begin(block: RingRecord, { size, endPosition }: FlightLayout): FoundRun {
  const { view, at, position } = block;
  const word = (offset: number) => view.getBigUint64(at + offset, true);
  const hasEnded = word(START.END) === word(0);
  const end = endPosition === undefined ? position + size : positionOf(word(endPosition));
  return {
    block,
    frame: view.getUint32(at + FLIGHT.FRAME, true),
    end: hasEnded ? end : Infinity,
    loose: [],
    isDoubtful: false,
  };
}

/** The run that a record outside of all blocks is of. */
function ownerOf(
  { view, at, record }: LooseRecord,
  open: readonly FoundRun[],
  { flight, privateStacks }: RingContent,
): FoundRun | undefined {
  const frame = view.getUint32(at + FLIGHT.FRAME, true);
  const isOfFunction = record.points[0]!.insn >= flight.mainEnd;
  return isOfFunction ? callerOf(open, frame, privateStacks) : open.findLast((run) => run.frame === frame);
}

/**
 * The run in which a function runs: the one whose frame is the nearest above on the same stack. None for a function of
 * a run whose beginning is not there any more.
 */
function callerOf(open: readonly FoundRun[], frame: number, privateStacks: boolean): FoundRun | undefined {
  let caller: FoundRun | undefined;
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
  for (const run of open) run.isDoubtful = true;
  return undefined;
}

function assemble({ block, loose }: FoundRun, { records, layout }: RingContent['flight']): FlightRun {
  const { view, at, position: start } = block;
  const word = (offset: number) => view.getBigUint64(at + offset, true);
  const parts = [
    { record: records[0]!, from: entryFields(records[0]!, view, at) },
    ...inOrder(placedIn(block, layout), loose),
  ];
  const length = parts.reduce((sum, { record }) => sum + record.size, 0);
  const trace = new Uint8Array(TRACE_HEADER + length);
  const out = new DataView(trace.buffer);
  out.setBigUint64(0, BigInt(length), true);
  let to = TRACE_HEADER;
  for (const { record, from } of parts) {
    out.setUint32(to, record.id, true);
    trace.set(from, to + RECORD_HEADER);
    to += record.size;
  }
  const { packet: from } = layout;
  const { packet } = from === undefined ? {} : decodePacket(view, at + from, START_PACKET_LENGTH);
  const { nanoseconds, isOfTick } = readTime(word(START.TIME));
  return {
    start,
    time: nanoseconds,
    isOfTick,
    cpu: Number(word(START.CPU)),
    returned: word(START.RETURNED),
    ...(packet ? { packet: { bytes: packet.bytes, length: Number(packet.end - packet.data) } } : {}),
    trace,
  };
}

/** A record of the program's, and the bytes of its fields. */
interface Part {
  record: TraceRecord;
  from: Uint8Array;
}

/** What is recorded at the program's entry: R10, and R1, which is its context. */
function entryFields({ points }: TraceRecord, view: DataView, at: number): Uint8Array {
  const fields = points[0]!.fields;
  const bytes = new Uint8Array(8 * fields.length);
  const out = new DataView(bytes.buffer);
  fields.forEach((field, index) => {
    const isFrame = field.kind === 'register' && field.register === 10;
    const from = at + (isFrame ? START.FRAME : START.CONTEXT);
    out.setBigUint64(8 * index, view.getBigUint64(from, true), true);
  });
  return bytes;
}

/**
 * Records in the block that the run has written, and where the ring was then. In the others there is what other runs
 * have left there, whose words are not this one's.
 */
function placedIn({ view, at }: RingRecord, layout: FlightLayout): (Part & { position: number })[] {
  const word = (offset: number) => view.getBigUint64(at + offset, true);
  const header = placedHeader(layout);
  return layout.placed.flatMap(({ record, offset }) => {
    if (word(offset) !== word(0)) return [];
    const from = bytesOf(view, at + offset + header, record.size - RECORD_HEADER);
    return [{ record, from, position: layout.endPosition === undefined ? 0 : positionOf(word(offset + 8)) }];
  });
}

/** As the run has written them: those in the block are in order, and so are those outside of it. */
function inOrder(placed: readonly (Part & { position: number })[], loose: readonly LooseRecord[]): Part[] {
  const parts: Part[] = [];
  let next = 0;
  for (const { view, at, position, record } of loose) {
    while (next < placed.length && placed[next]!.position <= position) parts.push(placed[next++]!);
    parts.push({ record, from: bytesOf(view, at + FLIGHT.FIELDS, record.size - RECORD_HEADER) });
  }
  return [...parts, ...placed.slice(next)];
}

function bytesOf(view: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, length);
}
