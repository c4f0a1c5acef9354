/**
 * The source lines that a run went through, in order: what stepping by line and breakpoints move along. Kept in flat
 * arrays, since a run of ten million instructions has millions of them.
 */
import type { Machine } from './machine';

/** Where an instruction stands for stepping: equal numbers are the same line of the same (inlined) function. */
export interface LineMap {
  /** By instruction; -1 for code without a line, which belongs to the line before it. */
  line: Int32Array;
  /** How many functions are inlined into one another there. */
  inlined: Uint8Array;
}

const Entered = { NEW: 0, RETURNED: 1 } as const;

export class Statements {
  private steps = new Int32Array(1024);
  private lines = new Int32Array(1024);
  /** Calls that have not returned × 256 + inlined functions. */
  private depths = new Int32Array(1024);
  /** First instruction of each. */
  private insns = new Int32Array(1024);
  /** {@link Entered}: whether the line begins here or a call it made has returned. */
  private entered = new Uint8Array(1024);
  count = 0;
  private lastLine = -1;
  private lastDepth = -1;
  private lastPc = -1;
  /** Lowest instruction of the present statement so far. */
  private lowestPc = 0;
  /** The line that was last at each depth, which is where a return goes back to. */
  private readonly lineAt = new Map<number, number>();

  constructor(private readonly map: LineMap) {}

  /** To be called before each instruction, in order. */
  see(machine: Machine): void {
    const { pc } = machine;
    let line = this.map.line[pc] as number;
    const depth = machine.frames.length * 256 + (this.map.inlined[pc] as number);
    if (line < 0 && this.lastLine >= 0 && depth >> 8 === this.lastDepth >> 8) {
      this.lastPc = pc;
      return;
    }
    // Behind a call it belongs to the line that made the call.
    if (line < 0 && depth < this.lastDepth) line = this.lineAt.get(depth) ?? line;
    // Going back within a line to where it has been is another round of a loop that stands on one line; to where it
    // has not been, it is code that the compiler has put apart.
    const isRound = pc <= this.lastPc && pc >= this.lowestPc;
    if (line !== this.lastLine || depth !== this.lastDepth || isRound) {
      this.add(machine.step, line, depth, pc);
      this.lastLine = line;
      this.lastDepth = depth;
      this.lowestPc = pc;
    }
    this.lowestPc = Math.min(this.lowestPc, pc);
    this.lastPc = pc;
  }

  private add(step: number, line: number, depth: number, insn: number): void {
    if (this.count === this.steps.length) this.grow();
    const index = this.count++;
    this.steps[index] = step;
    this.lines[index] = line;
    this.depths[index] = depth;
    this.insns[index] = insn;
    const isRest = depth < this.lastDepth && this.lineAt.get(depth) === line;
    this.entered[index] = isRest ? Entered.RETURNED : Entered.NEW;
    this.lineAt.set(depth, line);
  }

  private grow(): void {
    const larger = <T extends Int32Array | Uint8Array>(fresh: T, old: T): T => {
      fresh.set(old);
      return fresh;
    };
    const size = this.count * 2;
    this.steps = larger(new Int32Array(size), this.steps);
    this.lines = larger(new Int32Array(size), this.lines);
    this.insns = larger(new Int32Array(size), this.insns);
    this.depths = larger(new Int32Array(size), this.depths);
    this.entered = larger(new Uint8Array(size), this.entered);
  }

  step(index: number): number {
    return this.steps[index] as number;
  }
  line(index: number): number {
    return this.lines[index] as number;
  }
  depth(index: number): number {
    return this.depths[index] as number;
  }
  insn(index: number): number {
    return this.insns[index] as number;
  }
  isNew(index: number): boolean {
    return this.entered[index] === Entered.NEW;
  }

  /** The statement that a step belongs to; -1 before the first. */
  at(step: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.steps[middle] as number) <= step) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Statement at which a step over, into or out of the one given ends; undefined: the run ends first. */
  after(index: number, kind: 'over' | 'in' | 'out'): number | undefined {
    const depth = this.depth(index);
    for (let next = index + 1; next < this.count; next++) {
      if (this.ends(index, next, depth, kind)) return next;
    }
    return undefined;
  }

  /** The same backward: the beginning of the line before; undefined: the run begins first. */
  before(index: number, kind: 'over' | 'in' | 'out'): number | undefined {
    const depth = this.depth(index);
    for (let previous = index - 1; previous >= 0; previous--) {
      const there = this.depth(previous);
      // Into: what a line does behind a call it made is passed by, to the end of what it called.
      if (kind === 'in' && !this.isNew(previous)) continue;
      if (kind === 'out' ? there < depth : kind === 'in' || there <= depth) return this.beginning(previous);
    }
    return undefined;
  }

  private ends(index: number, next: number, depth: number, kind: 'over' | 'in' | 'out'): boolean {
    const there = this.depth(next);
    if (there < depth) return true;
    if (kind === 'out') return false;
    // The rest of the line after a call it made is no line of its own.
    const isRest = there === depth && this.line(next) === this.line(index) && !this.isNew(next);
    if (isRest) return false;
    return kind === 'in' || there === depth;
  }

  /** Where the line began that a statement is the rest of. */
  private beginning(index: number): number {
    const depth = this.depth(index);
    const line = this.line(index);
    let first = index;
    while (!this.isNew(first)) {
      let earlier = first - 1;
      while (earlier >= 0 && this.depth(earlier) > depth) earlier--;
      if (earlier < 0 || this.line(earlier) !== line || this.depth(earlier) !== depth) break;
      first = earlier;
    }
    return first;
  }
}
