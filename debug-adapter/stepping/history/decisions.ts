/** The conditional jumps that a run passed on its way to the present step: which way it went at each, and why. */
import { isGoto, isJump, isMayGoto, jumpDistance } from '../../../toolchain/insn/effects';
import { Class, Jump, SOURCE_REGISTER } from '../../../toolchain/insn/opcodes';
import { disassemble } from '../../../toolchain/insn/disassemble';
import type { OpenedRun } from '../../recorder/open-run';
import { INTERVAL } from '../../recorder/replay/timeline';
import type { Machine } from '../../recorder/replay/machine';
import type { Decision, DecisionsResponse } from '../../protocol';
import type { Pace } from '../pace';
import { branchesOf } from './branches';
import type { Branches } from './branches';

interface Passed {
  insn: number;
  /** The last one of those that are folded. */
  step: number;
  jumped: boolean;
  times: number;
}

/** Rounds of loops are folded as they come; what is longer even so is cut at its beginning. */
const MOST = 50_000;

/** Leaves the machine anywhere. At most `count` decisions, the newest. */
export async function decisionsOf(run: OpenedRun, count: number, pace: Pace): Promise<DecisionsResponse> {
  const here = run.timeline.machine.step;
  const fold = new Fold(run);
  const machine = run.timeline.seek(0);
  while (machine.step < here) {
    if (machine.step % INTERVAL === 0) await pace.breathe((0.5 * machine.step) / here);
    fold.see(machine);
    machine.run();
    fold.ran(machine);
  }
  const shown = fold.passed.slice(-count);
  const branches = await branchesOf(run);
  const decisions: Decision[] = [];
  for (const one of shown) {
    await pace.breathe(0.5 + (0.5 * one.step) / here);
    decisions.push(describe(run, branches, one));
  }
  return { decisions, earlier: fold.dropped + fold.passed.length - shown.length };
}

/**
 * Keeps the rounds of a loop as one while each goes like the one before. A loop is what is jumped back to; a function
 * that a helper calls again and again is one too.
 */
class Fold {
  readonly passed: Passed[] = [];
  dropped = 0;
  private readonly heads: Uint8Array;
  private readonly isConditional: Uint8Array;
  /** By depth of calls and head: where in `passed` the present round and the one before it begin. */
  private readonly rounds = new Map<string, { start: number; previous?: number }>();
  private lastInsn = -1;
  private lastDepth = -1;
  private conditional: Passed | undefined;

  constructor({ code }: OpenedRun) {
    this.heads = new Uint8Array(code.insns.length);
    this.isConditional = new Uint8Array(code.insns.length);
    code.insns.forEach((insn, index) => {
      if (!insn || !isJump(insn)) return;
      const to = index + 1 + jumpDistance(insn);
      if (to <= index && to >= 0) this.heads[to] = 1;
      if (!isGoto(insn) && !isMayGoto(insn)) this.isConditional[index] = 1;
    });
    for (const start of code.entries.values()) this.heads[start] = 1;
  }

  /** Before an instruction runs. */
  see({ pc, step, frames }: Machine): void {
    const depth = frames.length;
    if (this.heads[pc]) this.arrive(`${depth} ${pc}`, this.lastDepth === depth && pc <= this.lastInsn);
    this.conditional = this.isConditional[pc] ? { insn: pc, step, jumped: false, times: 1 } : undefined;
    this.lastInsn = pc;
    this.lastDepth = depth;
  }

  /** After it. */
  ran({ pc, code }: Machine): void {
    const { conditional, passed } = this;
    if (!conditional) return;
    conditional.jumped = pc === code.target[conditional.insn];
    passed.push(conditional);
    if (passed.length <= MOST) return;
    this.dropped += passed.splice(0, MOST / 2).reduce((sum, { times }) => sum + times, 0);
    this.rounds.clear();
  }

  private arrive(key: string, isAgain: boolean): void {
    const { passed, rounds } = this;
    const round = rounds.get(key);
    if (!isAgain || !round) {
      rounds.set(key, { start: passed.length });
      return;
    }
    const { start, previous } = round;
    const length = passed.length - start;
    if (previous === undefined || start - previous !== length || !this.isAlike(previous, start, length)) {
      rounds.set(key, { start: passed.length, previous: start });
      return;
    }
    for (let at = 0; at < length; at++) {
      const before = passed[previous + at]!;
      const now = passed[start + at]!;
      before.times += now.times;
      before.step = now.step;
    }
    passed.length = start;
  }

  private isAlike(one: number, other: number, length: number): boolean {
    for (let at = 0; at < length; at++) {
      const before = this.passed[one + at]!;
      const now = this.passed[other + at]!;
      if (before.insn !== now.insn || before.jumped !== now.jumped) return false;
    }
    return true;
  }
}

function describe(run: OpenedRun, branches: Branches, { insn, step, jumped, times }: Passed): Decision {
  const { source, code, timeline } = run;
  const machine = timeline.seek(step);
  const at = source.placeOf(insn);
  const branch = branches.at(insn);
  const heldBy = branch?.heldBy;
  const compared = comparison(machine, insn, jumped);
  return {
    step,
    insn,
    ...(at ? { path: at.path, line: at.line } : {}),
    function: source.frames(insn)[0]?.name ?? '?',
    condition: branch?.condition ?? disassemble(code.insns[insn]!),
    jumped,
    ...(heldBy === undefined ? {} : { held: (heldBy === 'jump') === jumped }),
    ...(compared === undefined ? {} : { compared }),
    times,
  };
}

/** How two values compare when a jump is taken, and when it is not. */
interface Operator {
  taken: string;
  not: string;
  signed?: true;
}
const OPERATORS: Record<number, Operator> = {
  [Jump.JEQ]: { taken: '==', not: '!=' },
  [Jump.JNE]: { taken: '!=', not: '==' },
  [Jump.JGT]: { taken: '>', not: '<=' },
  [Jump.JGE]: { taken: '>=', not: '<' },
  [Jump.JLT]: { taken: '<', not: '>=' },
  [Jump.JLE]: { taken: '<=', not: '>' },
  [Jump.JSGT]: { taken: '>', not: '<=', signed: true },
  [Jump.JSGE]: { taken: '>=', not: '<', signed: true },
  [Jump.JSLT]: { taken: '<', not: '>=', signed: true },
  [Jump.JSLE]: { taken: '<=', not: '>', signed: true },
};

/**
 * How the values compare that the jump about to run compares, as a statement that is true: `0 == 0` for a `!= 0` that
 * does not jump. Undefined when one of the values is not known.
 */
function comparison(machine: Machine, insn: number, jumped: boolean): string | undefined {
  const { code, dst, src, imm } = machine.code.insns[insn]!;
  const operation = code & 0xf0;
  const operator = OPERATORS[operation];
  const bits = (code & 7) === Class.JMP32 ? 32 : 64;
  const isKnown = (register: number) => (machine.known & (1 << register)) !== 0;
  const isRegister = (code & SOURCE_REGISTER) !== 0;
  if (!isKnown(dst) || (isRegister && !isKnown(src))) return undefined;
  const text = (value: bigint) => {
    const number = operator?.signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
    // What is too large for a number that somebody counted is an address or a mask.
    return number > 0xffff_ffffn ? `0x${number.toString(16)}` : String(number);
  };
  const left = text(machine.register(dst));
  const right = text(isRegister ? machine.register(src) : BigInt(imm));
  if (operation === Jump.JSET) return `(${left} & ${right}) ${jumped ? '!=' : '=='} 0`;
  return operator && `${left} ${jumped ? operator.taken : operator.not} ${right}`;
}
