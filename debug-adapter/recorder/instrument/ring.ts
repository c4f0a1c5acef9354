/**
 * The ring that programs which are attached write to, on several CPUs at once: an array map of one value. Its first
 * page is a header; records follow one another from the second page on, and begin anew at its start when the ring is
 * full. Every record begins with a word that says how many bytes were taken from the ring before it, plus one: a word
 * that stands where it says is the beginning of a record, so that a reader finds one anywhere in the ring.
 */
import { slotsOf } from '../../../toolchain/insn/insn';
import type { Insn } from '../../../toolchain/insn/insn';
import {
  Alu,
  Atomic,
  Class,
  Jump,
  LD_IMM64,
  Mode,
  Pseudo,
  R10,
  SOURCE_REGISTER,
} from '../../../toolchain/insn/opcodes';
import { alu, ldx, stx } from './emit';
import type { TraceLayout } from './emit';

/** Offsets in the header page. */
export const RING = {
  /** u64: number of bytes taken since the beginning, plus what {@link firstWord} gives. */
  POSITION: 0,
  /** u64: the kernel's tick, how many runs may still ask for the time in it, and what the last one was told. */
  TICK: 8,
  ASKING: 16,
  TIME: 24,
  /**
   * u64: runs that ended, where that is counted; runs of which the kernel's part of the condition held; of those, runs
   * for which there was no place. Each in a cache line of its own, which CPUs take from one another.
   */
  RUNS: 128,
  MATCHES: 192,
  NOT_KEPT: 256,
  /** u64 each: what 64-bit immediate loads of maps and kernel variables give; written by the first run. */
  ADDRESSES: 1280,
  ADDRESSES_COUNT: 96,
  /** u64 each: hits by breakpoint. */
  HITS: 2048,
  HITS_COUNT: 256,
} as const;

/**
 * What the position begins with. Positions are multiples of 8 plus 1, so that no word of zeros is a record, and have a
 * number of the ring's own in their upper 12 bits, which neither small numbers nor addresses have there: a value that a
 * record holds is not mistaken for the beginning of another.
 * @param key 1 to 0xffe.
 */
export function firstWord(key: number): bigint {
  return (BigInt(key) << 52n) + 1n;
}

export const HELPER = {
  KTIME_GET_NS: 5,
  GET_SMP_PROCESSOR_ID: 8,
  JIFFIES64: 118,
  PROBE_READ_KERNEL: 113,
} as const;

/** The address of so many bytes into a map's only value. */
export function mapValue(register: number, map: number, offset = 0): Insn {
  return { code: LD_IMM64, dst: register, src: Pseudo.MAP_VALUE, off: 0, imm: map, high: offset };
}
/** The ring's position. */
export function position({ map }: TraceLayout, register: number): Insn[] {
  return [mapValue(register, map), ldx(register, register, RING.POSITION, 8)];
}
export function copy(to: number, from: number): Insn {
  return { code: Class.ALU64 | Alu.MOV | SOURCE_REGISTER, dst: to, src: from, off: 0, imm: 0, high: 0 };
}
export function set(register: number, imm: number): Insn {
  return alu(Alu.MOV, register, imm);
}
export function sum(to: number, from: number): Insn {
  return { code: Class.ALU64 | Alu.ADD | SOURCE_REGISTER, dst: to, src: from, off: 0, imm: 0, high: 0 };
}
const UNSIGNED = { '==': Jump.JEQ, '!=': Jump.JNE, '>': Jump.JGT } as const;
/** Skips so many slots if the comparison of 64 bits, without a sign, holds. */
export function jump(operator: keyof typeof UNSIGNED, register: number, imm: number, slots: number): Insn {
  return { code: Class.JMP | UNSIGNED[operator], dst: register, src: 0, off: slots, imm, high: 0 };
}
/** The same between two registers. */
export function jumpBetween(
  operator: keyof typeof UNSIGNED,
  one: number,
  other: number,
  slots: number,
): Insn {
  const code = Class.JMP | UNSIGNED[operator] | SOURCE_REGISTER;
  return { code, dst: one, src: other, off: slots, imm: 0, high: 0 };
}
export function goto(slots: number): Insn {
  return { code: Class.JMP | Jump.JA, dst: 0, src: 0, off: slots, imm: 0, high: 0 };
}
/** Slots of some code, which is what jumps count. */
export function lengthOf(code: readonly Insn[]): number {
  return code.reduce((total, insn) => total + slotsOf(insn), 0);
}
export function call(helper: number): Insn {
  return { code: Class.JMP | 0x80, dst: 0, src: 0, off: 0, imm: helper, high: 0 };
}
/** Stores 4 bytes: of a register, or a number. */
export function store32(base: number, off: number, register: number): Insn {
  return { code: Class.STX | Mode.MEM, dst: base, src: register, off, imm: 0, high: 0 };
}
export function number32(base: number, off: number, imm: number): Insn {
  return { code: Class.ST | Mode.MEM, dst: base, src: 0, off, imm, high: 0 };
}
/** 8 bytes: `*(u64 *)(base + off) += register`, which `fetch` gives the sum's former value. */
export function add64(base: number, off: number, register: number, fetch: boolean): Insn {
  const code = Class.STX | Mode.ATOMIC | 0x18;
  return { code, dst: base, src: register, off, imm: Atomic.ADD | (fetch ? Atomic.FETCH : 0), high: 0 };
}

/** Bytes from R10 of the nth word below a subprogram's own stack. */
export function slotOffset(depth: number, slot: number): number {
  return -(Math.ceil(depth / 8) * 8) - 8 * (slot + 1);
}
export function save(register: number, offset: number): Insn {
  return stx(R10, register, offset);
}
export function restore(register: number, offset: number): Insn {
  return ldx(register, R10, offset, 8);
}

/**
 * Takes `size` bytes: the ring's address plus their offset without the header page is then in `address`, and what the
 * first word has to be in `position`. `scratch` may be `position` where that is not needed.
 */
export function take(
  { map, capacity }: TraceLayout,
  size: number,
  address: number,
  scratch: number,
  position: number,
): Insn[] {
  return [
    mapValue(address, map),
    set(scratch, size),
    add64(address, RING.POSITION, scratch, true),
    ...(position === scratch ? [] : [copy(position, scratch)]),
    alu(Alu.AND, scratch, capacity - 8),
    sum(address, scratch),
  ];
}
