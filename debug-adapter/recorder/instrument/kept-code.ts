/**
 * Keeping runs for whoever looks for one: where a run ends of which the kernel's part of the condition holds, it is
 * copied out of the ring, to a place where later runs leave it alone until it was looked at.
 */
import type { Insn } from '../../../toolchain/insn/insn';
import { Alu, Atomic, Class, Jump, Mode, SOURCE_REGISTER } from '../../../toolchain/insn/opcodes';
import { TRACE_HEADER, alu, ldx, stx } from './emit';
import type { TraceLayout } from './emit';
import type { FlightLayout } from './flight-layout';
import { HELPER, RING, add64, call, copy, goto, jump, lengthOf, mapValue, set, sum } from './ring';

/** What a run has to have returned, as a number of 32 bits; tried in the kernel. */
export interface ReturnCondition {
  operator: '==' | '!=' | '<' | '<=' | '>' | '>=';
  /** Comparisons with a negative number are signed. */
  value: number;
}

/** Which runs are kept: none, all, or those that returned something. */
export type Told = 'none' | 'all' | ReturnCondition;

/**
 * Behind the ring: a word for each place, which is 0 while the place is free; then the places. Runs are numbered from 1
 * on as their ends come, and a run's number, modulo the number of places, is its place. Where that is taken, the run is
 * counted as not kept.
 */
export interface KeptLayout {
  /** Bytes from the beginning of the map's value. */
  offset: number;
  /** A power of two. */
  places: number;
  /** Bytes of a place, a power of two. */
  size: number;
  /** Whether the program's license allows the helper that copies. Without it the place tells only where the run is. */
  copies: boolean;
}

/**
 * A place: the run's number, once all of it is there; the words of the ring with which it begins and ends; how many
 * bytes were copied, and the result of the copy, which is 0 when it was made; then the bytes.
 */
export const KEPT = { NUMBER: 0, START: 8, END: 16, LENGTH: 24, RESULT: 32, BYTES: 40 } as const;

const KEPT_BYTES = 1024 * 1024;
const MAX_PLACES = 1024;
/** What is copied of a run with records outside of its block, at most. */
const LONG_RUN = 8192;

export function layOutKept(offset: number, { size, endPosition }: FlightLayout, copies: boolean): KeptLayout {
  const needed = KEPT.BYTES + Math.max(size, endPosition === undefined ? 0 : LONG_RUN);
  const place = 1 << Math.ceil(Math.log2(needed));
  return { offset, places: Math.min(MAX_PLACES, KEPT_BYTES / place), size: place, copies };
}

/** Bytes of the map behind the ring that hold places of any layout. */
export const KEPT_REGION = 8 * MAX_PLACES + KEPT_BYTES;

/** Where the places begin. */
export function placesOffset({ offset, places }: KeptLayout): number {
  return offset + 8 * places;
}

/**
 * @param run registers that hold the block, the run's word, and the ring's position at its end, if some records are
 * outside of the block. All of R1 to R9 is lost; R0 is what it was.
 */
export function keepCode(
  ring: TraceLayout,
  layout: FlightLayout,
  kept: KeptLayout,
  run: { block: number; word: number; end: number },
): Insn[] {
  const returned = 6;
  const maxLength = kept.size - KEPT.BYTES;
  const count = (counter: number, fetch: boolean) => [
    mapValue(1, ring.map),
    set(2, 1),
    add64(1, counter, 2, fetch),
  ];
  // R1: the place's word. R2: its index. R3: the run's number.
  const claim = [
    alu(Alu.AND, 2, kept.places - 1),
    mapValue(1, ring.map, kept.offset),
    copy(4, 2),
    alu(Alu.LSH, 4, 3),
    sum(1, 4),
    ldx(0, 1, 0, 8),
  ];
  const compareAndExchange: Insn = {
    code: Class.STX | Mode.ATOMIC | 0x18,
    dst: 1,
    src: 3,
    off: 0,
    imm: Atomic.CMPXCHG,
    high: 0,
  };
  const measure =
    layout.endPosition === undefined
      ? [copy(run.end, run.word), alu(Alu.ADD, run.end, layout.size), set(2, layout.size)]
      : lengthInRing(ring, run, maxLength);
  const [number, place] = [8, 9] as const;
  const fill = [
    // R4: the place, until registers are free to keep it through a call.
    mapValue(4, ring.map, placesOffset(kept)),
    alu(Alu.LSH, 2, Math.log2(kept.size)),
    sum(4, 2),
    ...measure,
    stx(4, run.word, KEPT.START),
    stx(4, run.end, KEPT.END),
    ...(kept.copies ? [] : [set(2, 0)]),
    stx(4, 2, KEPT.LENGTH),
    copy(number, 3),
    copy(place, 4),
    ...(kept.copies
      ? [
          copy(1, place),
          alu(Alu.ADD, 1, KEPT.BYTES),
          copy(3, run.block),
          alu(Alu.ADD, 3, TRACE_HEADER),
          call(HELPER.PROBE_READ_KERNEL),
          stx(place, 0, KEPT.RESULT),
        ]
      : []),
    stx(place, number, KEPT.NUMBER),
  ];
  const missed = count(RING.NOT_KEPT, false);
  const rest = [compareAndExchange, jump('!=', 0, 0, lengthOf(fill) + 1), ...fill, goto(lengthOf(missed))];
  return [
    copy(returned, 0),
    ...count(RING.MATCHES, true),
    copy(3, 2),
    alu(Alu.ADD, 3, 1),
    ...claim,
    jump('!=', 0, 0, lengthOf(rest)),
    ...rest,
    ...missed,
    copy(0, returned),
  ];
}

/** To R2: bytes between the run's beginning and its end; 0 if they are too many, or go beyond the ring's end. */
function lengthInRing(ring: TraceLayout, run: { word: number; end: number }, max: number): Insn[] {
  const none = [set(2, 0)];
  return [
    copy(2, run.end),
    { ...copy(2, run.word), code: Class.ALU64 | Alu.SUB | SOURCE_REGISTER },
    copy(5, run.word),
    alu(Alu.AND, 5, ring.capacity - 8),
    jump('>', 2, max, 3),
    sum(5, 2),
    jump('>', 5, ring.capacity, 1),
    goto(lengthOf(none)),
    ...none,
  ];
}

const OPPOSITE = {
  '==': Jump.JNE,
  '!=': Jump.JEQ,
  '<': Jump.JGE,
  '<=': Jump.JGT,
  '>': Jump.JLE,
  '>=': Jump.JLT,
};
const SIGNED_OPPOSITE = { ...OPPOSITE, '<': Jump.JSGE, '<=': Jump.JSGT, '>': Jump.JSLE, '>=': Jump.JSLT };

/** Skips so many instructions unless R0, of 32 bits, meets the condition. */
export function unless({ operator, value }: ReturnCondition, length: number): Insn {
  const operation = (value < 0 ? SIGNED_OPPOSITE : OPPOSITE)[operator];
  return {
    code: (Class.JMP32 | operation) & ~SOURCE_REGISTER,
    dst: 0,
    src: 0,
    off: length,
    imm: value | 0,
    high: 0,
  };
}
