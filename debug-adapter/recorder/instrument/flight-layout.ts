/**
 * Where the flight recorder puts what it records of a run. A run takes one block of the ring where it begins. What is
 * recorded at most once in a run has a place of its own in that block; what is recorded in loops, or in functions that
 * the program calls, takes bytes of the ring each time, for nobody knows before how often that will be.
 */
import type { Flow, Subprogram } from './flow';
import { mayNotReturn } from './flow';
import type { TraceRecord } from './records';
import { RECORD_HEADER } from './records';
import { PACKET } from './snapshot-code';

/** A block and every record besides: its number, and the low half of R10, which tells runs apart. Then fields. */
export const FLIGHT = { ID: 8, FRAME: 12, FIELDS: 16 } as const;
/** The block. Its first word says which run it is of; so does that of its end, and of each record in it, once written. */
export const START = { FRAME: 16, CONTEXT: 24, TIME: 32, CPU: 40, END: 48, RETURNED: 56, SIZE: 64 } as const;
/** Enough for the headers of most packets; copying costs time on every run. */
export const START_PACKET_LENGTH = 64;
/** Numbers of the block, and of the first record of the program's own. */
export const START_ID = 1;
export const FIRST_ID = 2;

/** No block is larger, so that the room behind the ring's end is enough for the one that begins last. */
const MAX_BLOCK = 4096;

/** A record in the block: its word and, where others of the run are outside of the block, the ring's position; then fields. */
export interface PlacedRecord {
  record: TraceRecord;
  offset: number;
}

export interface FlightLayout {
  /** Bytes of a block. */
  size: number;
  /** Of the packet's first bytes, where they are recorded. */
  packet: number | undefined;
  /** Where the ring's position at the run's end is, if some records are outside of the block. */
  endPosition: number | undefined;
  /** In an order in which no run goes back. */
  placed: readonly PlacedRecord[];
  /** The others, each of which takes its bytes of the ring when it is written. */
  loose: readonly TraceRecord[];
  /** Whether runs may end elsewhere than at the program's `exit`, so that those which do not have to be counted. */
  countsEnds: boolean;
}

/** Bytes of a record outside of the block. */
export function looseSize({ size }: Pick<TraceRecord, 'size'>): number {
  return size - RECORD_HEADER + FLIGHT.FIELDS;
}

/** Bytes before the fields of a record in the block. */
export function placedHeader(layout: Pick<FlightLayout, 'endPosition'>): number {
  return layout.endPosition === undefined ? 8 : 16;
}

export function layOutFlight(flow: Flow, records: readonly TraceRecord[], withPacket: boolean): FlightLayout {
  const rank = new Map(blocksOutsideLoops(flow, flow.subprograms[0]!).map((start, index) => [start, index]));
  const blockOf = new Map(
    flow.blocks.flatMap(({ start, end }) => {
      return records.flatMap(({ id, points }): [number, number][] =>
        points[0]!.insn >= start && points[0]!.insn < end ? [[id, start]] : [],
      );
    }),
  );
  const rankOf = ({ id }: TraceRecord) => rank.get(blockOf.get(id)!);
  const once = records.filter((record) => rankOf(record) !== undefined);
  once.sort((one, other) => rankOf(one)! - rankOf(other)! || one.id - other.id);

  const packet = withPacket ? START.SIZE : undefined;
  let size: number = START.SIZE + (withPacket ? PACKET.BYTES + START_PACKET_LENGTH : 0);
  const sizeWith = (header: number) =>
    once.reduce((sum, record) => sum + record.size - RECORD_HEADER + header, size);
  const hasLoose = once.length < records.length || sizeWith(8) > MAX_BLOCK;
  const endPosition = hasLoose ? size : undefined;
  if (hasLoose) size += 8;
  const header = placedHeader({ endPosition });
  const placed: PlacedRecord[] = [];
  for (const record of once) {
    const bytes = record.size - RECORD_HEADER + header;
    if (size + bytes > MAX_BLOCK) break;
    placed.push({ record, offset: size });
    size += bytes;
  }
  const inBlock = new Set(placed.map(({ record }) => record));
  const loose = records.filter((record) => !inBlock.has(record));
  const mayBeLeft = flow.insns.some((insn) => insn && mayNotReturn(insn));
  return { size, packet, endPosition, placed, loose, countsEnds: loose.length > 0 || mayBeLeft };
}

/**
 * The blocks of a subprogram that are in no loop, by their first instruction, each behind all that lead to it: Tarjan's
 * algorithm finds the strongly connected components, the last ones first.
 */
export function blocksOutsideLoops(flow: Flow, { start, end }: Subprogram): number[] {
  const successors = new Map(
    flow.blocks
      .filter((block) => block.start >= start && block.start < end)
      .map((block) => [block.start, block.successors.filter((to) => to >= start && to < end)]),
  );
  const found: number[] = [];
  const seen = new Map<number, number>();
  const lowest = new Map<number, number>();
  const component: number[] = [];
  const isOpen = new Set<number>();
  const path: { block: number; rest: number[] }[] = [];
  const enter = (block: number) => {
    seen.set(block, seen.size);
    lowest.set(block, seen.get(block)!);
    component.push(block);
    isOpen.add(block);
    path.push({ block, rest: [...(successors.get(block) ?? [])] });
  };
  const reaches = (block: number, other: number) => {
    lowest.set(block, Math.min(lowest.get(block)!, other));
  };
  enter(start);
  while (path.length > 0) {
    const { block, rest } = path.at(-1)!;
    const next = rest.pop();
    if (next !== undefined) {
      if (!seen.has(next)) enter(next);
      else if (isOpen.has(next)) reaches(block, seen.get(next)!);
      continue;
    }
    path.pop();
    const above = path.at(-1);
    if (above) reaches(above.block, lowest.get(block)!);
    if (lowest.get(block) !== seen.get(block)) continue;
    const members = component.splice(component.indexOf(block));
    for (const member of members) isOpen.delete(member);
    const isLoop = members.length > 1 || successors.get(block)?.includes(block) === true;
    if (!isLoop) found.push(block);
  }
  return found.reverse();
}
