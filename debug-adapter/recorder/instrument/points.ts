/** What has to be recorded of a run, and where: everything that re-execution cannot compute by itself. */
import {
  ARGUMENTS,
  atomicResult,
  bit,
  isHelperCall,
  isKfuncCall,
  isLoad,
  isMayGoto,
  isPacketLoad,
  writes,
} from '../../../toolchain/insn/effects';
import type { Insn } from '../../../toolchain/insn/insn';
import { LD_IMM64, Pseudo, R10 } from '../../../toolchain/insn/opcodes';
import type { Flow, Subprogram } from './flow';
import { mayNotReturn } from './flow';
import type { FrameFacts, StackRange } from './frame';
import { returnsValue } from './helpers';
import type { Liveness } from './liveness';

export type Field =
  /** `checked`: re-execution knows the value, and the recording is there to compare it with. */
  | { kind: 'register'; register: number; checked: boolean }
  /** Up to 8 bytes of the stack, at an offset from R10. */
  | { kind: 'stack'; offset: number; size: 1 | 2 | 4 | 8 }
  /** The CPU that the program runs on, which it is asked for where it begins. */
  | { kind: 'cpu' };

/** A place in the program where values are recorded. */
export interface Point {
  insn: number;
  /**
   * `before`: where a subprogram is entered. `ahead`: before each time that it runs. `after`: behind it, which of a jump
   * is where it is not taken.
   */
  side: 'before' | 'ahead' | 'after';
  /** In the order in which they are recorded; none where it matters only that the program came by. */
  fields: Field[];
}

/** `lean` records inputs only; `full` every register that any instruction writes, to check the former against. */
export type Recording = 'lean' | 'full';

/**
 * Points in the order of the program.
 * @param parameters how many parameters the function that starts at an instruction has, by its BTF.
 * @param withCpu whether to record the CPU.
 */
export function choosePoints(
  flow: Flow,
  liveness: Liveness,
  frame: FrameFacts,
  recording: Recording,
  parameters: (start: number) => number | undefined,
  withCpu: boolean,
): Point[] {
  const points: Point[] = [];
  const entries = new Map(flow.subprograms.map((subprogram) => [subprogram.start, subprogram]));
  flow.insns.forEach((insn, index) => {
    if (!insn) return;
    const subprogram = entries.get(index);
    if (subprogram) {
      const given = givenByKernel(subprogram, liveness, parameters);
      points.push({
        insn: index,
        side: 'before',
        fields: [
          register(R10),
          ...registersIn(given).map(register),
          ...(withCpu && subprogram.index === 0 ? [{ kind: 'cpu' } as const] : []),
        ],
      });
    }
    // That a loop is left shows by its not going on, if it is known that the question came up.
    if (isMayGoto(insn)) points.push({ insn: index, side: 'ahead', fields: [] });
    const fields = fieldsAfter(insn, index, liveness, frame);
    if (recording === 'full') addChecks(fields, insn, liveness.after(index));
    if (fields.length > 0 || mustBeSeen(insn)) points.push({ insn: index, side: 'after', fields });
  });
  return points;
}

/** Registers in which the kernel hands over arguments when it calls a function of the program. */
function givenByKernel(
  { index, isCallback, start }: Subprogram,
  liveness: Liveness,
  parameters: (start: number) => number | undefined,
): number {
  if (index === 0) return bit(1);
  if (!isCallback) return 0;
  // What a callback seems to read may be no argument: a call is taken to read all argument registers.
  const count = Math.min(parameters(start) ?? 2, 5);
  return liveness.atEntry(index) & ((bit(count) - 1) << 1);
}

/** Whether re-execution has to know that the program came by, because something else may have run instead. */
function mustBeSeen(insn: Insn): boolean {
  if (isMayGoto(insn)) return true;
  return mayNotReturn(insn) && (isHelperCall(insn) || isKfuncCall(insn) || isPacketLoad(insn));
}

function fieldsAfter(insn: Insn, index: number, liveness: Liveness, frame: FrameFacts): Field[] {
  if (isHelperCall(insn) || isKfuncCall(insn)) {
    // Of a helper it is recorded also where the program does not look at it: it tells whether the helper has failed,
    // and what it did to maps and the packet. Which kernel functions return something is not known here.
    const isWanted = isHelperCall(insn) ? returnsValue(insn.imm) : liveness.after(index) & bit(0);
    const result = isWanted ? [register(0)] : [];
    const written = frame.written.filter(({ call }) => call === index);
    return [...result, ...written.flatMap(({ range }) => stackFields(range))];
  }
  if (isPacketLoad(insn)) return [register(0)];
  if (isLoad(insn)) {
    const known = frame.isOwnFrame(index) && !frame.readsForeignStack(index);
    return known ? [] : [register(insn.dst)];
  }
  const result = atomicResult(insn);
  if (result !== undefined) return [register(result)];
  // Where a function of the program lies in the kernel's memory.
  if (insn.code === LD_IMM64 && insn.src === Pseudo.FUNCTION) return [register(insn.dst)];
  return [];
}

function addChecks(fields: Field[], insn: Insn, live: number): void {
  const written = writes(insn);
  const isCall = (written & ARGUMENTS) === ARGUMENTS;
  for (const number of registersIn(isCall ? written & bit(0) & live : written)) {
    if (fields.some((field) => field.kind === 'register' && field.register === number)) continue;
    fields.push({ kind: 'register', register: number, checked: true });
  }
}

function register(number: number): Field {
  return { kind: 'register', register: number, checked: false };
}

export function registersIn(set: number): number[] {
  const list: number[] = [];
  for (let number = 0; number <= R10; number++) if (set & bit(number)) list.push(number);
  return list;
}

/** A range in pieces that one aligned load each can read. */
function stackFields({ from, to }: StackRange): Field[] {
  const fields: Field[] = [];
  for (let offset = from; offset < to;) {
    const size = ([8, 4, 2, 1] as const).find((width) => offset % width === 0 && offset + width <= to) ?? 1;
    fields.push({ kind: 'stack', offset, size });
    offset += size;
  }
  return fields;
}
