/** Going through a recorded run: the present step, and the moves from it in both directions. */
import type { Dwarf } from '../../toolchain/dwarf/dwarf';
import type { OpenedRun } from '../recorder/open-run';
import type { SourceLine, SourceMap } from '../recorder/source-map';
import { frameViews } from './frame-view';
import { lastKnownValues } from './last-known';
import { framesOf, momentOf } from './moment';
import type { Moment, StepFrame } from './moment';

export type { StepFrame } from './moment';

export type Move = 'next' | 'stepIn' | 'stepOut' | 'stepBack' | 'continue' | 'reverseContinue';
export type Granularity = 'line' | 'instruction';

/** Why a move ended where it did. */
export type Rest = 'step' | 'breakpoint' | 'entry' | 'end';

export class Stepper {
  /** Lines to stop at, by their numbers in {@link SourceMap.line}. */
  private readonly breakpoints = new Map<string, Set<number>>();

  constructor(readonly run: OpenedRun) {
    this.toBeginning();
  }

  get source(): SourceMap {
    return this.run.source;
  }

  get dwarf(): Dwarf | undefined {
    return this.run.dwarf;
  }

  get step(): number {
    return this.run.timeline.machine.step;
  }

  get isAtEnd(): boolean {
    return this.step >= this.run.timeline.length;
  }

  toBeginning(): void {
    this.run.timeline.seek(0);
  }

  /** What can be looked at now; a move makes it stale. */
  moment(): Moment {
    const { run } = this;
    return { ...momentOf(run), lastKnown: (frame, variables) => lastKnownValues(run, frame, variables) };
  }

  /** Functions that are being executed, innermost first, inlined ones among them. */
  frames(): StepFrame[] {
    return framesOf({ views: frameViews(this.run.timeline.machine), source: this.source });
  }

  /**
   * Sets the breakpoints of one file; the answer has for each the line it stands at, or undefined when the program has
   * no code from that line on.
   */
  setBreakpoints(path: string, lines: readonly number[]): (SourceLine | undefined)[] {
    const numbers = new Set<number>();
    const places = lines.map((line) => {
      const at = this.lineWithCode(path, line);
      if (at === undefined) return undefined;
      this.source.places.forEach((place, number) => {
        if (place.path === path && place.line === at) numbers.add(number);
      });
      return { path, line: at, column: 0 };
    });
    this.breakpoints.set(path, numbers);
    return places;
  }

  clearBreakpoints(): void {
    this.breakpoints.clear();
  }

  private lineWithCode(path: string, line: number): number | undefined {
    const after = this.source.places.filter((place) => place.path === path && place.line >= line);
    return after.length === 0 ? undefined : Math.min(...after.map((place) => place.line));
  }

  move(move: Move, granularity: Granularity): Rest {
    if (move === 'continue' || move === 'reverseContinue') return this.go(move === 'continue' ? 1 : -1);
    return granularity === 'instruction' ? this.byInstruction(move) : this.byLine(move);
  }

  private byLine(move: Move): Rest {
    const { timeline, statements } = this.run;
    const here = statements.at(this.step);
    if (move === 'stepBack') {
      if (this.isAtEnd) return this.rest(statements.count - 1);
      // In the middle of a line its beginning is what comes before.
      const before = this.step > statements.step(here) ? here : statements.before(here, 'over');
      return this.rest(before, 'entry');
    }
    if (this.isAtEnd) return 'end';
    const kind = move === 'stepIn' ? 'in' : move === 'stepOut' ? 'out' : 'over';
    const next = statements.after(here, kind);
    if (next !== undefined) return this.rest(next);
    timeline.seek(timeline.length);
    return 'end';
  }

  private rest(statement: number | undefined, otherwise: 'entry' | 'end' = 'end'): Rest {
    const { timeline, statements } = this.run;
    if (statement === undefined) {
      timeline.seek(otherwise === 'entry' ? 0 : timeline.length);
      return otherwise;
    }
    timeline.seek(statements.step(statement));
    return 'step';
  }

  private byInstruction(move: Move): Rest {
    const { timeline } = this.run;
    const depth = timeline.machine.frames.length;
    const isDone = (there: number) =>
      move === 'stepOut' ? there < depth : move === 'stepIn' || there <= depth;
    if (move === 'stepBack') {
      const found = timeline.backward((machine) => machine.frames.length <= depth);
      return found ? 'step' : 'entry';
    }
    timeline.forward((machine) => isDone(machine.frames.length));
    return this.isAtEnd ? 'end' : 'step';
  }

  private go(direction: 1 | -1): Rest {
    const { timeline, statements } = this.run;
    const stops = new Set([...this.breakpoints.values()].flatMap((numbers) => [...numbers]));
    const here = statements.at(this.step);
    // Behind the run's last step all its statements are to be gone through.
    let index = this.isAtEnd && direction < 0 ? statements.count - 1 : here + direction;
    if (direction < 0 && !this.isAtEnd && this.step > statements.step(here)) index = here;
    for (; index >= 0 && index < statements.count; index += direction) {
      if (!statements.isNew(index) || !stops.has(statements.line(index))) continue;
      timeline.seek(statements.step(index));
      return 'breakpoint';
    }
    timeline.seek(direction > 0 ? timeline.length : 0);
    return direction > 0 ? 'end' : 'entry';
  }

  /** Whether the present line is one to stop at. */
  isAtBreakpoint(): boolean {
    const { statements } = this.run;
    const here = statements.at(this.step);
    return here >= 0 && [...this.breakpoints.values()].some((numbers) => numbers.has(statements.line(here)));
  }
}
