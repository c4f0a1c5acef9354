/**
 * What registers are known to hold at each instruction, as far as it concerns the stack: pointers into the frame, and
 * constants, which are sizes and offsets. And what of the stack somebody other than the program may write.
 */
import {
  ARGUMENTS,
  CALLER_SAVED,
  isCall,
  isHelperCall,
  isLoad,
  isPacketLoad,
  writes,
} from '../../../toolchain/insn/effects';
import type { Insn } from '../../../toolchain/insn/insn';
import {
  Alu,
  Class,
  LD_IMM64,
  Mode,
  Pseudo,
  R10,
  SOURCE_REGISTER,
  accessSize,
} from '../../../toolchain/insn/opcodes';
import type { Flow } from './flow';
import { helperWrites } from './helpers';

export type Value =
  /** Anything but a pointer into this frame. */
  | { kind: 'other' }
  | { kind: 'number'; value: number }
  /** R10 + offset. */
  | { kind: 'frame'; offset: number }
  /** A pointer into this frame, at an offset that differs from path to path. */
  | { kind: 'frameAnywhere' }
  /** On some path a pointer into this frame. */
  | { kind: 'maybeFrame' };

const OTHER: Value = { kind: 'other' };
const ANYWHERE: Value = { kind: 'frameAnywhere' };
const MAYBE: Value = { kind: 'maybeFrame' };

interface State {
  registers: Value[];
  /** Bytes of the frame that the program itself has written on every path: bit n is the byte at R10 - 512 + n. */
  written: bigint;
}

const STACK_BYTES = 512;

function bytesAt(offset: number, size: number): bigint {
  const first = offset + STACK_BYTES;
  if (first < 0 || first + size > STACK_BYTES) return 0n;
  return ((1n << BigInt(size)) - 1n) << BigInt(first);
}

function isFrame({ kind }: Value): boolean {
  return kind === 'frame' || kind === 'frameAnywhere';
}

function merge(a: Value, b: Value): Value {
  if (a.kind === 'number' && b.kind === 'number') return a.value === b.value ? a : OTHER;
  if (a.kind === 'frame' && b.kind === 'frame') return a.offset === b.offset ? a : ANYWHERE;
  if (isFrame(a) && isFrame(b)) return ANYWHERE;
  if (isFrame(a) || isFrame(b) || a.kind === 'maybeFrame' || b.kind === 'maybeFrame') return MAYBE;
  return OTHER;
}

function same(a: Value, b: Value): boolean {
  if (a.kind !== b.kind) return false;
  if (a.kind === 'number') return a.value === (b as typeof a).value;
  return a.kind !== 'frame' || a.offset === (b as typeof a).offset;
}

function copyOf({ registers, written }: State): State {
  return { registers: [...registers], written };
}
function mergeStates(a: State, b: State): State {
  const registers = a.registers.map((value, register) => merge(value, b.registers[register] as Value));
  return { registers, written: a.written & b.written };
}
function sameState(a: State, b: State): boolean {
  return (
    a.written === b.written &&
    a.registers.every((value, register) => same(value, b.registers[register] as Value))
  );
}

/** Bytes of a frame, by their offsets from R10, which are negative. */
export interface StackRange {
  from: number;
  to: number;
}

/** Bytes that a helper writes to the stack, so few that they are recorded when it has returned. */
export interface WrittenByCall {
  call: number;
  range: StackRange;
}

export interface FrameFacts {
  /** Whether an instruction's memory operand is in the subprogram's own frame, on every path. */
  isOwnFrame(insn: number): boolean;
  /** Whether a load from the stack may read what the program did not write there itself. */
  readsForeignStack(insn: number): boolean;
  written: WrittenByCall[];
  /** Offsets from R10 of 8-byte words that the program has written wholly, on every path, when it comes to here. */
  wordsWritten(insn: number): number[];
}

/** Above this many bytes a helper's output is not recorded when it is written but when it is read. */
const MAX_RECORDED_WRITE = 64;

export function analyseFrame(flow: Flow): FrameFacts {
  const { insns, blocks, subprograms } = flow;
  const states = new Array<State | undefined>(insns.length);
  const entryState = (): State => {
    const registers = new Array<Value>(11).fill(OTHER);
    registers[R10] = { kind: 'frame', offset: 0 };
    return { registers, written: 0n };
  };
  const into = new Map<number, State>(subprograms.map(({ start }) => [start, entryState()]));
  const work = blocks.filter(({ start }) => into.has(start));
  const blockAt = new Map(blocks.map((block) => [block.start, block]));
  while (work.length > 0) {
    const { start, end, successors } = work.pop() as (typeof blocks)[number];
    const state = copyOf(into.get(start) as State);
    for (let index = start; index < end; index++) {
      const insn = insns[index];
      if (!insn) continue;
      states[index] = copyOf(state);
      step(state, insn);
    }
    for (const successor of successors) {
      const known = into.get(successor);
      const merged = known ? mergeStates(known, state) : copyOf(state);
      if (known && sameState(known, merged)) continue;
      into.set(successor, merged);
      work.push(blockAt.get(successor) as (typeof blocks)[number]);
    }
  }

  const foreign = subprograms.map((): StackRange[] => []);
  const written: WrittenByCall[] = [];
  insns.forEach((insn, index) => {
    const state = states[index];
    if (!insn || !state) return;
    const ranges = foreign[flow.subprogramOf(index).index] as StackRange[];
    for (const escape of escapes(insn, state.registers)) {
      if (isRecorded(escape)) written.push({ call: index, range: escape });
      else ranges.push(escape);
    }
  });

  const base = (index: number): Value => {
    const insn = insns[index] as Insn;
    const register = isLoad(insn) ? insn.src : insn.dst;
    return states[index]?.registers[register] ?? OTHER;
  };
  return {
    isOwnFrame: (index) => isFrame(base(index)),
    readsForeignStack(index) {
      const pointer = base(index);
      if (pointer.kind !== 'frame') return true;
      const ranges = foreign[flow.subprogramOf(index).index] as StackRange[];
      const insn = insns[index] as Insn;
      const from = pointer.offset + insn.off;
      const size = accessSize(insn.code);
      // Since 6.3 privileged programs may read what they never wrote.
      const bytes = bytesAt(from, size);
      if (bytes === 0n || ((states[index] as State).written & bytes) !== bytes) return true;
      return ranges.some((range) => from < range.to && from + size > range.from);
    },
    written,
    wordsWritten(index) {
      const set = states[index]?.written ?? 0n;
      const words: number[] = [];
      for (let offset = -8; offset >= -STACK_BYTES; offset -= 8) {
        const bytes = bytesAt(offset, 8);
        if ((set & bytes) === bytes) words.push(offset);
      }
      return words;
    },
  };
}

function step(state: State, insn: Insn): void {
  const { code, dst, src, imm } = insn;
  const { registers } = state;
  if (isHelperCall(insn)) {
    for (const escape of escapes(insn, registers)) if (isRecorded(escape)) state.written |= bytesOf(escape);
  }
  if (isCall(insn) || isPacketLoad(insn)) {
    for (let register = 0; register < 6; register++)
      if (CALLER_SAVED & (1 << register)) registers[register] = OTHER;
    return;
  }
  const kind = code & 7;
  if (kind === Class.ALU64) {
    const operand =
      code & SOURCE_REGISTER ? (registers[src] as Value) : ({ kind: 'number', value: imm } as Value);
    registers[dst] = alu(code & 0xf0, registers[dst] as Value, operand, insn.off);
    return;
  }
  if (kind === Class.ALU && (code & 0xf0) === Alu.MOV && !(code & SOURCE_REGISTER)) {
    registers[dst] = { kind: 'number', value: imm >>> 0 };
    return;
  }
  if (code === LD_IMM64 && insn.src === Pseudo.NUMBER && insn.high === imm >> 31) {
    registers[dst] = { kind: 'number', value: imm };
    return;
  }
  if (kind === Class.ST || kind === Class.STX) {
    const pointer = registers[dst] as Value;
    if (pointer.kind === 'frame' && (code & 0xe0) === Mode.MEM)
      state.written |= bytesAt(pointer.offset + insn.off, accessSize(code));
  }
  const written = writes(insn);
  for (let register = 0; register < 10; register++)
    if (written & (1 << register)) registers[register] = OTHER;
}

function alu(operation: number, left: Value, right: Value, off: number): Value {
  if (operation === Alu.MOV) return off === 0 ? right : OTHER;
  if (operation === Alu.ADD || operation === Alu.SUB) {
    const sign = operation === Alu.ADD ? 1 : -1;
    if (right.kind === 'number') {
      if (left.kind === 'frame') return { kind: 'frame', offset: left.offset + sign * right.value };
      if (left.kind === 'number') return { kind: 'number', value: left.value + sign * right.value };
    }
    if (left.kind === 'number' && right.kind === 'frame' && sign === 1)
      return { kind: 'frame', offset: right.offset + left.value };
    if (isFrame(left)) return isFrame(right) && sign === -1 ? OTHER : ANYWHERE;
    if (isFrame(right)) return sign === 1 ? ANYWHERE : MAYBE;
  }
  return [left, right].some((value) => isFrame(value) || value.kind === 'maybeFrame') ? MAYBE : OTHER;
}

type Escape = StackRange & { exact: boolean };
const WHOLE_FRAME: Escape = { from: -STACK_BYTES, to: 0, exact: false };

function isRecorded({ from, to, exact }: Escape): boolean {
  return exact && to - from <= MAX_RECORDED_WRITE;
}
function bytesOf({ from, to }: Escape): bigint {
  return bytesAt(from, to - from);
}

/** The parts of the frame that somebody else may write from this instruction on. */
function* escapes(insn: Insn, state: readonly Value[]): Generator<Escape> {
  if (isCall(insn)) {
    const known = isHelperCall(insn) ? helperWrites(insn.imm) : undefined;
    if (!known) {
      for (let register = 1; register <= 5; register++) {
        if (ARGUMENTS & (1 << register)) yield* from(state[register] as Value, undefined);
      }
      return;
    }
    for (const { pointer, size } of known) {
      const bytes = typeof size === 'number' ? size : numberOf(state[size.argument] as Value);
      yield* from(state[pointer] as Value, bytes);
    }
    return;
  }
  // A pointer that is stored comes back unseen.
  const isStore = (insn.code & 7) === Class.STX && (insn.code & 0xe0) === Mode.MEM;
  if (isStore) yield* from(state[insn.src] as Value, undefined);
}

function numberOf(value: Value): number | undefined {
  return value.kind === 'number' ? value.value : undefined;
}

function* from(pointer: Value, bytes: number | undefined): Generator<Escape> {
  if (pointer.kind === 'frame') {
    const to = bytes === undefined ? 0 : Math.min(0, pointer.offset + bytes);
    yield { from: pointer.offset, to, exact: bytes !== undefined };
  } else if (pointer.kind === 'frameAnywhere' || pointer.kind === 'maybeFrame') {
    yield WHOLE_FRAME;
  }
}
