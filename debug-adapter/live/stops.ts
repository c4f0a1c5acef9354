/** Where in a program the lines of breakpoints begin: at each place where it arrives at the line anew. */
import { isExit, isGoto, isJump, jumpDistance } from '../../toolchain/insn/effects';
import { analyseFlow } from '../recorder/instrument/flow';
import type { Flow } from '../recorder/instrument/flow';
import { decodeInsns } from '../../toolchain/insn/insn';
import type { SourceMap } from '../recorder/source-map';

export interface StopPlace {
  insn: number;
  passedFromAbove: boolean;
  isPassedFrom(insn: number): boolean;
}

export class StopFinder {
  private readonly flow: Flow;
  /** Jumps by where they lead. */
  private readonly jumps = new Map<number, number[]>();
  private readonly above = new Map<number, number>();
  /** Line of each instruction; one without a line belongs to the line that it follows, if that is known. */
  private readonly line: Int32Array;

  constructor(
    instructions: Uint8Array,
    private readonly source: SourceMap,
  ) {
    this.flow = analyseFlow(decodeInsns(instructions));
    this.line = source.line.slice();
    const starts = new Set(this.flow.subprograms.map(({ start }) => start));
    let previous: number | undefined;
    this.flow.insns.forEach((insn, index) => {
      if (!insn) return;
      if (starts.has(index)) previous = undefined;
      if (previous !== undefined) {
        const above = this.flow.insns[previous]!;
        if (!isGoto(above) && !isExit(above)) {
          this.above.set(index, previous);
          if ((this.line[index] as number) < 0) this.line[index] = this.line[previous] as number;
        }
      }
      previous = index;
      if (!isJump(insn)) return;
      const target = index + 1 + jumpDistance(insn);
      this.jumps.set(target, [...(this.jumps.get(target) ?? []), index]);
    });
  }

  /** The first line from the one given on that has code. */
  lineWithCode(path: string, line: number): number | undefined {
    const after = this.source.places.filter((place) => place.path === path && place.line >= line);
    return after.length === 0 ? undefined : Math.min(...after.map((place) => place.line));
  }

  /** Instructions before which the program has arrived at a line. */
  at(path: string, line: number): StopPlace[] {
    const numbers = new Set<number>();
    this.source.places.forEach((place, number) => {
      if (place.path === path && place.line === line) numbers.add(number);
    });
    const stops: StopPlace[] = [];
    this.flow.insns.forEach((insn, index) => {
      if (!insn || !numbers.has(this.line[index] as number)) return;
      const above = this.above.get(index);
      const jumps = this.jumps.get(index) ?? [];
      const isBeginning = this.flow.subprograms.some(({ start }) => start === index);
      const passedFromAbove = above !== undefined && !this.arrivesAnew(above, index);
      const isPassedFrom = (from: number) => !this.arrivesAnew(from, index);
      if (isBeginning || (above !== undefined && !passedFromAbove) || !jumps.every(isPassedFrom))
        stops.push({ insn: index, passedFromAbove, isPassedFrom });
    });
    return stops;
  }

  /** Beginning of a function of the program that has code of its own. */
  beginningOf(name: string): StopPlace[] {
    const found = this.flow.subprograms.filter(({ start }) => this.source.functionAt(start)?.name === name);
    return found.map(({ start }) => ({ insn: start, passedFromAbove: false, isPassedFrom: () => true }));
  }

  instruction(insn: number): StopPlace[] {
    return this.flow.insns[insn] ? [{ insn, passedFromAbove: false, isPassedFrom: () => false }] : [];
  }

  /** As `Statements` of a replay sees it: another line, or the same one again from its beginning. */
  private arrivesAnew(from: number, to: number): boolean {
    const { line, source } = this;
    if (line[from] === line[to]) return from >= to;
    const deeper = (source.inlined[from] as number) - (source.inlined[to] as number);
    if (deeper <= 0) return true;
    // What was inlined into this line is done, and the rest of the line follows.
    const outer = source.frames(from)[deeper]?.at;
    const here = source.places[line[to] as number];
    return outer?.line !== here?.line || outer?.path !== here?.path;
  }
}
