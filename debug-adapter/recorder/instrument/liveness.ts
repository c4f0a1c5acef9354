/** Which registers hold values that are still needed, so that all others may be used by the recording. */
import {
  ARGUMENTS,
  CALLER_SAVED,
  bit,
  isExit,
  isSubprogramCall,
  reads,
  writes,
} from '../../../toolchain/insn/effects';
import type { Registers } from '../../../toolchain/insn/effects';
import type { Insn } from '../../../toolchain/insn/insn';
import type { Block, Flow } from './flow';

export interface Liveness {
  /** Registers needed when the instruction is about to run, and when it has run. */
  before(insn: number): Registers;
  after(insn: number): Registers;
  /** Registers that a subprogram needs to be given: some of R1 to R5. */
  atEntry(subprogram: number): Registers;
}

/**
 * Liveness through calls: a call needs the arguments that its subprogram reads, and a subprogram's R0 is needed at its
 * exit when some caller looks at it. R6 to R9 are the caller's again after a call, so a subprogram owes nothing of them.
 */
export function analyseLiveness(flow: Flow): Liveness {
  const { insns, blocks, subprograms } = flow;
  const before = new Uint16Array(insns.length);
  const after = new Uint16Array(insns.length);
  const entry = subprograms.map(() => 0);
  /** Whether R0 is needed at a subprogram's exit: of the program and of callbacks the kernel takes it. */
  const result = subprograms.map(({ index, isCallback }) => index === 0 || isCallback);
  const blockAt = new Map(blocks.map((block) => [block.start, block]));
  const callReads = (insn: Insn, index: number): Registers =>
    isSubprogramCall(insn) ? (entry[flow.subprogramOf(flow.target(index)).index] as number) : ARGUMENTS;

  const walk = ({ start, end, successors }: Block): boolean => {
    let live = 0;
    for (const successor of successors) live |= before[(blockAt.get(successor) as Block).start] as number;
    let changed = false;
    for (let index = end - 1; index >= start; index--) {
      const insn = insns[index];
      if (!insn) continue;
      after[index] = live;
      if (isSubprogramCall(insn) && live & bit(0)) {
        const callee = flow.subprogramOf(flow.target(index)).index;
        if (!result[callee]) changed = result[callee] = true;
      }
      if (isExit(insn)) {
        live = result[flow.subprogramOf(index).index] ? bit(0) : 0;
      } else {
        live = (live & ~writes(insn)) | reads(insn, (call) => callReads(call, index));
      }
      if (before[index] !== live) {
        before[index] = live;
        changed = true;
      }
    }
    return changed;
  };

  for (let changed = true; changed;) {
    changed = false;
    for (let index = blocks.length - 1; index >= 0; index--)
      changed = walk(blocks[index] as Block) || changed;
    for (const { index, start } of subprograms) {
      const needed = (before[start] as number) & ARGUMENTS;
      if (entry[index] !== needed) {
        entry[index] = needed;
        changed = true;
      }
    }
  }
  return {
    before: (insn) => before[insn] as number,
    after: (insn) => after[insn] as number,
    atEntry: (subprogram) => entry[subprogram] as number,
  };
}

/** Registers at each instruction; see {@link analyseInitialised}. */
export interface RegisterSets {
  before(insn: number): Registers;
  after(insn: number): Registers;
}

/**
 * Registers that hold a value on every path (`must`), so that the verifier lets them be read, and on some path (`may`):
 * R1 at the program's entry, the arguments of a subprogram that its callers have set, and what was written since.
 */
export function analyseInitialised(flow: Flow): { must: RegisterSets; may: RegisterSets } {
  return { must: initialised(flow, true), may: initialised(flow, false) };
}

function initialised(flow: Flow, everyPath: boolean): RegisterSets {
  const { insns, blocks, subprograms } = flow;
  const FRAME = bit(10);
  const nothingYet = everyPath ? 0x7ff : 0;
  const merge = (a: Registers, b: Registers) => (everyPath ? a & b : a | b);
  const before = new Uint16Array(insns.length).fill(nothingYet);
  const after = new Uint16Array(insns.length).fill(nothingYet);
  const fromKernel = everyPath ? 0 : ARGUMENTS;
  const entry = subprograms.map(({ index, isCallback }) => {
    if (index === 0) return FRAME | bit(1);
    return FRAME | (isCallback ? fromKernel : nothingYet & ARGUMENTS);
  });
  const starts = new Map(subprograms.map(({ start, index }) => [start, index]));
  const into = new Map<number, Registers>();
  for (let changed = true; changed;) {
    changed = false;
    for (const { start, end, successors } of blocks) {
      const subprogram = starts.get(start);
      let set = into.get(start) ?? nothingYet;
      if (subprogram !== undefined) set = merge(set, entry[subprogram] as number);
      for (let index = start; index < end; index++) {
        const insn = insns[index];
        if (!insn) continue;
        if (before[index] !== set) {
          before[index] = set;
          changed = true;
        }
        if (isSubprogramCall(insn)) {
          const callee = flow.subprogramOf(flow.target(index));
          const known = entry[callee.index] as number;
          const given = (merge(known, set) & ARGUMENTS) | FRAME;
          if (given !== known) {
            entry[callee.index] = given;
            changed = true;
          }
        }
        const isCall = (writes(insn) & ARGUMENTS) === ARGUMENTS;
        // R0 of a call that returns nothing has no value, and which those are is not known here.
        if (isCall) set = (set & ~CALLER_SAVED) | (everyPath ? 0 : bit(0));
        else set |= writes(insn);
        after[index] = set;
      }
      for (const successor of successors) {
        const known = into.get(successor) ?? nothingYet;
        const merged = merge(known, set);
        if (merged !== known) {
          into.set(successor, merged);
          changed = true;
        }
      }
    }
  }
  return { before: (insn) => before[insn] as number, after: (insn) => after[insn] as number };
}
