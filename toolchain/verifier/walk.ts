/**
 * Follows the verifier from branch to branch. It goes depth first: a branch followed later continues the path up to
 * its jump. At log level 1 the kernel has cut the abandoned part from the log itself; at level 2 it stands there
 * still. However long a log is, the work for one of its lines is bounded on average.
 */
import type { LogIndex } from './logIndex';

/** Opcodes of `call` and `exit`, see Documentation/bpf/standardization/instruction-set.rst of the kernel. */
export const CALL = 0x85;
export const EXIT = 0x95;

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
  /** Instruction → where in the path it is, and where conditional jumps to it are; ascending. */
  private readonly visits = new Map<number, number[]>();
  private readonly jumps = new Map<number, number[]>();

  constructor(private readonly log: LogIndex) {}

  /** The log has an instruction. */
  step(line: number): void {
    const insn = this.log.insn(line);
    const last = this.lines.at(-1);
    // Up to 5.10 a log of level 2 says nothing where a branch put off is taken up again.
    if (this.ended || (last !== undefined && this.isElsewhere(last, insn))) this.resume(insn);
    const before = this.lines.at(-1);
    // A call of a global function is not followed: the next instruction is the one after the call.
    if (before !== undefined && this.isLocalCall(before) && insn !== this.log.insn(before) + 1) this.frame++;
    else if (before !== undefined && this.log.opcode(before) === EXIT && this.frame > 0) this.frame--;
    this.push(line, this.frame);
    this.ended = this.frame === 0 && this.log.opcode(line) === EXIT;
  }

  /** The log says that the verifier takes up the other way out of a conditional jump. */
  branch(from: number, to: number): void {
    const at = this.jumpWithout(from, to);
    if (at !== undefined) this.rewind(at);
    this.ended = false;
    this.branches.push({ from, to, step: this.lines.length });
  }

  /** The log says that the rest of this path is known to be safe. */
  end(): void {
    this.ended = true;
  }

  /**
   * The latest visit of a jump after which the path did not go `to`, so that this way is still open. A jump whose
   * second way is taken up has none left, and is not found again.
   */
  private jumpWithout(from: number, to: number): number | undefined {
    const visits = this.visits.get(from) ?? [];
    for (let at = visits.pop(); at !== undefined; at = visits.pop()) {
      const next = this.lines[at + 1];
      if (next === undefined || this.log.insn(next) !== to || to === from + 1) return at;
    }
    return undefined;
  }

  private push(line: number, frame: number): void {
    if (this.lines.length >= MAX_STEPS) this.dropOldest();
    this.note(this.lines.length, line, (positions, position) => positions.push(position));
    this.lines.push(line);
    this.frames.push(frame);
  }

  /** Lists where a step is found, or takes it from those lists. */
  private note(
    position: number,
    line: number,
    change: (positions: number[], position: number) => void,
  ): void {
    const insn = this.log.insn(line);
    change(listAt(this.visits, insn), position);
    const target = this.isConditionalJump(line) ? this.targetOf(line) : undefined;
    if (target === undefined) return;
    change(listAt(this.jumps, insn + 1), position);
    if (target !== insn + 1) change(listAt(this.jumps, target), position);
  }

  /** Goes back to a step, which becomes the last one. */
  private rewind(position: number): void {
    while (this.lines.length > position + 1) {
      this.note(this.lines.length - 1, this.lines.pop() as number, (positions, position) => {
        if (positions.at(-1) === position) positions.pop();
      });
      this.frames.pop();
    }
    while ((this.branches.at(-1)?.step ?? -1) > position) this.branches.pop();
    this.frame = this.frames.at(-1) ?? 0;
  }

  /** Takes up the latest conditional jump that leads to an instruction. */
  private resume(insn: number): void {
    const at = this.jumps.get(insn)?.at(-1);
    if (at === undefined) return;
    this.rewind(at);
    this.branches.push({ from: this.log.insn(this.lines[at] as number), to: insn, step: at + 1 });
  }

  private dropOldest(): void {
    const dropped = this.lines.length - MAX_STEPS / 2;
    this.lines.splice(0, dropped);
    this.frames.splice(0, dropped);
    this.branches = this.branches
      .map((branch) => ({ ...branch, step: branch.step - dropped }))
      .filter((branch) => branch.step >= 0);
    this.visits.clear();
    this.jumps.clear();
    for (const [position, line] of this.lines.entries()) {
      this.note(position, line, (positions, at) => positions.push(at));
    }
  }

  /** Whether control cannot go from a step to an instruction; calls and returns may go anywhere. */
  private isElsewhere(last: number, insn: number): boolean {
    const from = this.log.insn(last);
    const opcode = this.log.opcode(last);
    if (insn === from + 1 || opcode === EXIT || opcode === CALL) return false;
    const target = this.targetOf(last);
    if (target !== undefined) return insn !== target;
    // A 64-bit constant takes two instructions, and may_goto and gotol have targets of their own.
    return insn !== from + 2 && !/^\d+: \([0-9a-f]{2}\) (may_goto|gotol)/.test(this.log.text(last));
  }

  private isLocalCall(line: number): boolean {
    return this.log.opcode(line) === CALL && this.log.text(line).includes(') call pc');
  }

  /** Of the classes JMP and JMP32, all but `goto`, calls and exits. */
  private isConditionalJump(line: number): boolean {
    const opcode = this.log.opcode(line);
    const operation = opcode >> 4;
    return ((opcode & 7) === 5 || (opcode & 7) === 6) && ![0x0, 0x8, 0x9, 0xe].includes(operation);
  }

  private targetOf(line: number): number | undefined {
    const opcode = this.log.opcode(line) & 7;
    if (opcode !== 5 && opcode !== 6) return undefined;
    const offset = /goto pc([+-]\d{1,9})/.exec(this.log.text(line))?.[1];
    return offset === undefined ? undefined : this.log.insn(line) + 1 + Number(offset);
  }
}

function listAt(lists: Map<number, number[]>, insn: number): number[] {
  let list = lists.get(insn);
  if (!list) lists.set(insn, (list = []));
  return list;
}
