/**
 * Follows the verifier from branch to branch. It goes depth first: a branch followed later continues the path up to
 * its jump. At log level 1 the kernel has cut the abandoned part from the log itself; at level 2 it stands there
 * still. However long a log is, the work for one of its lines is bounded on average.
 */
import { CALL, EXIT } from '../insn/opcodes';
import type { LogIndex } from './logIndex';

/** Enough for any path that a person or an explanation follows; the memory for it stays under some 50 MB. */
export const MAX_STEPS = 200_000;

export interface Branch {
  /** The conditional jump, and where the path went on. */
  from: number;
  to: number;
  /** Position in the path of the first step after it. */
  step: number;
}

/** The path from the program's start to where the log has come to, as lines of the log. */
export class Walk {
  /** Line and call depth of each step; the oldest are dropped beyond {@link MAX_STEPS}. */
  readonly lines: number[] = [];
  readonly frames: number[] = [];
  /** By {@link Branch.step}. */
  branches: Branch[] = [];
  private frame = 0;
  /** Whether the path went to its end, so that what follows belongs to another. */
  private ended = false;
  /** Instruction → the last step at it whose ways out are not both taken; for each step, the one before at its place. */
  private readonly latest = new Map<number, number>();
  private readonly earlier: number[] = [];
  /** Instruction → steps with a conditional jump that leads there and went the other way, ascending. */
  private readonly open = new Map<number, number[]>();
  /** For each step where that other way of its jump leads; undefined where there is none. */
  private readonly otherWay: (number | undefined)[] = [];
  /** Steps with a jump whose second way the path took. */
  private settled = new Set<number>();

  constructor(private readonly log: LogIndex) {}

  /** The log has an instruction. */
  step(line: number): void {
    const { log, lines } = this;
    const insn = log.insn(line);
    // Up to 5.10 a log of level 2 says nothing where a branch put off is taken up again.
    if (this.ended || (lines.length && this.isElsewhere(lines[lines.length - 1] as number, insn)))
      this.resume(insn);
    if (lines.length) {
      const last = lines[lines.length - 1] as number;
      const opcode = log.opcode(last);
      // A call of a global function is not followed: the next instruction is the one after the call.
      if (opcode === CALL && log.target(last) >= 0 && insn !== log.insn(last) + 1) this.frame++;
      else if (opcode === EXIT && this.frame > 0) this.frame--;
    }
    if (lines.length >= MAX_STEPS) this.dropOldest();
    lines.push(line);
    this.frames.push(this.frame);
    this.note(lines.length - 1);
    this.ended = this.frame === 0 && log.opcode(line) === EXIT;
  }

  /** The log says that the verifier takes up the other way out of a conditional jump. */
  branch(from: number, to: number): void {
    const at = this.openJump(from, to);
    if (at !== undefined) this.takeSecondWay(at);
    this.ended = false;
    this.branches.push({ from, to, step: this.lines.length });
  }

  /** The log says that the rest of this path is known to be safe. */
  end(): void {
    this.ended = true;
  }

  /** A global function is verified by itself, on a path of its own. */
  restart(): void {
    this.lines.length = 0;
    this.frames.length = 0;
    this.branches = [];
    this.frame = 0;
    this.ended = false;
    this.latest.clear();
    this.open.clear();
    this.settled.clear();
  }

  /**
   * The latest visit of a jump after which the path did not go `to`, so that this way is still open. A jump whose
   * second way is taken up has none left, and is not found again.
   */
  private openJump(from: number, to: number): number | undefined {
    for (let at = this.latest.get(from) ?? -1; at >= 0;) {
      const before = this.earlier[at] as number;
      this.latest.set(from, before);
      const next = this.lines[at + 1];
      if (next === undefined || this.log.insn(next) !== to || to === from + 1) return at;
      at = before;
    }
    return undefined;
  }

  /** Lists where a step is found. */
  private note(step: number): void {
    const line = this.lines[step] as number;
    const insn = this.log.insn(line);
    this.earlier[step] = this.latest.get(insn) ?? -1;
    this.latest.set(insn, step);
    this.otherWay[step] = undefined;
    if (step > 0) this.noteOtherWay(step - 1, insn);
  }

  /** Lists the way that a jump did not go, as the path went on at `insn`. */
  private noteOtherWay(jump: number, insn: number): void {
    const ways = this.waysOut(this.lines[jump] as number);
    const other = ways.find((way) => way !== insn);
    this.otherWay[jump] = undefined;
    if (other === undefined || !ways.includes(insn) || this.settled.has(jump)) return;
    this.otherWay[jump] = other;
    const steps = this.open.get(other);
    if (steps) steps.push(jump);
    else this.open.set(other, [jump]);
  }

  private takeSecondWay(jump: number): void {
    this.rewind(jump);
    this.settled.add(jump);
  }

  /** Goes back to a step, which becomes the last one. */
  private rewind(step: number): void {
    while (this.lines.length > step + 1) {
      const line = this.lines.pop() as number;
      const insn = this.log.insn(line);
      if (this.latest.get(insn) === this.lines.length)
        this.latest.set(insn, this.earlier[this.lines.length] as number);
      this.settled.delete(this.lines.length);
      const other = this.otherWay[this.lines.length - 1];
      if (other !== undefined) this.open.get(other)?.pop();
      this.otherWay[this.lines.length - 1] = undefined;
      this.frames.pop();
    }
    while ((this.branches.at(-1)?.step ?? -1) > step) this.branches.pop();
    this.frame = this.frames.at(-1) ?? 0;
  }

  /** Takes up the latest conditional jump that leads to an instruction and went the other way. */
  private resume(insn: number): void {
    const at = this.open.get(insn)?.at(-1);
    if (at === undefined) return;
    this.takeSecondWay(at);
    this.branches.push({ from: this.log.insn(this.lines[at] as number), to: insn, step: at + 1 });
  }

  private dropOldest(): void {
    const dropped = this.lines.length - MAX_STEPS / 2;
    this.lines.splice(0, dropped);
    this.frames.splice(0, dropped);
    this.branches = this.branches
      .map((branch) => ({ ...branch, step: branch.step - dropped }))
      .filter((branch) => branch.step >= 0);
    this.latest.clear();
    this.open.clear();
    this.settled = new Set([...this.settled].map((step) => step - dropped).filter((step) => step >= 0));
    for (let step = 0; step < this.lines.length; step++) this.note(step);
  }

  /** Whether control cannot go from a step to an instruction; calls and returns may go anywhere. */
  private isElsewhere(last: number, insn: number): boolean {
    const from = this.log.insn(last);
    if (insn === from + 1) return false;
    const opcode = this.log.opcode(last);
    if (opcode === EXIT || opcode === CALL) return false;
    const target = this.log.target(last);
    if (target >= 0) return insn !== target;
    // A 64-bit constant takes two instructions, and may_goto and gotol have targets of their own.
    return insn !== from + 2 && !/^\d+: \([0-9a-f]{2}\) (may_goto|gotol)/.test(this.log.text(last));
  }

  /** Where a conditional jump leads: all of the classes JMP and JMP32 but `goto`, calls and exits. */
  private waysOut(line: number): readonly number[] {
    const target = this.log.target(line);
    if (target < 0) return none;
    const operation = this.log.opcode(line) >> 4;
    if (operation === 0x0 || operation === 0x8 || operation === 0x9 || operation === 0xe) return none;
    const next = this.log.insn(line) + 1;
    return next === target ? [next] : [next, target];
  }
}

const none: readonly number[] = [];
