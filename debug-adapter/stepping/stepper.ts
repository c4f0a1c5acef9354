/** Going through a recorded run: the present step, and the moves from it in both directions. */
import type { Dwarf } from '../../toolchain/dwarf/dwarf';
import type { SourceFiles } from './source-files';
import type { OpenedRun } from '../recorder/open-run';
import type { SourceMap } from '../recorder/source-map';
import { arm } from './breakpoints/arm';
import { Stops } from './breakpoints/stops';
import type { Printed, Stop } from './breakpoints/stops';
import type { Breakpoint, Placement } from './breakpoints/store';
import { DataBreakpoints } from './history/data-breakpoints';
import { frameViews } from './frame-view';
import { lastKnownValues } from './last-known';
import { framesOf, momentOf } from './moment';
import type { Moment, StepFrame } from './moment';
import { isBackward, targetOf } from './moves';
import { returnedAt } from './returned';
import type { Granularity, Move, Rest } from './moves';
import { NEVER, Pace } from './pace';

export type { StepFrame } from './moment';
export type { Granularity, Move, Rest } from './moves';

export class Stepper {
  private stops: Stops;
  /** What log points print. */
  print: (printed: readonly Printed[], more: number) => void = () => {};
  /** The breakpoints that the run rests at. */
  stop: Stop | undefined;
  readonly data: DataBreakpoints;

  constructor(
    readonly run: OpenedRun,
    readonly sources: SourceFiles,
  ) {
    this.data = new DataBreakpoints(run);
    this.stops = this.stopsFor([]);
    this.run.timeline.seek(0);
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

  /** What can be looked at now; a move makes it stale. */
  moment(): Moment {
    const { run } = this;
    return {
      ...momentOf(run),
      lastKnown: (frame, variables) => lastKnownValues(run, frame, variables),
      returned: () => returnedAt(run),
    };
  }

  /** Functions that are being executed, innermost first, inlined ones among them. */
  frames(): StepFrame[] {
    return framesOf({ views: frameViews(this.run.timeline.machine), source: this.source });
  }

  /** Sets these breakpoints instead of those before; what became of each, in the same order. */
  async place(wanted: readonly Breakpoint[]): Promise<Placement[]> {
    const found = await Promise.all(
      wanted.map((one) => arm(this.run, one, (data) => this.data.site(data, this.frames()[0]))),
    );
    this.stops = this.stopsFor(found.flatMap(({ armed }) => armed ?? []));
    return found.map(({ placement }) => placement);
  }

  private stopsFor(armed: ConstructorParameters<typeof Stops>[1]): Stops {
    return new Stops(this.run, armed, (printed, more) => this.print(printed, more));
  }

  /** Throws `cancelled` when that is what `pace` says; the run is then where it was. */
  move(move: Move, granularity: Granularity, pace = new Pace(NEVER)): Promise<Rest> {
    return this.orStay(async (from) => {
      const target = targetOf(this.run, move, granularity);
      const stop = await this.stops.next(from, isBackward(move) ? -1 : 1, target.step, pace);
      this.rest(stop?.step ?? target.step, stop);
      return stop && !this.isAtEnd ? 'breakpoint' : target.rest;
    });
  }

  /** Goes from the run's beginning to the first place to stop at, which may be the beginning itself. */
  start(pace = new Pace(NEVER)): Promise<Rest> {
    return this.orStay(async () => {
      const { length } = this.run.timeline;
      const stop = await this.stops.next(-1, 1, length, pace);
      this.rest(stop?.step ?? length, stop);
      return stop && !this.isAtEnd ? 'breakpoint' : 'end';
    });
  }

  /** Goes to a step, whatever lies between. */
  goTo(step: number): Rest {
    this.rest(step, undefined);
    return this.isAtEnd ? 'end' : 'goto';
  }

  private rest(step: number, stop: Stop | undefined): void {
    this.stop = stop;
    this.run.timeline.seek(step);
  }

  /** Work that moves the machine about; afterwards it is where it was. */
  async orReturn<T>(work: () => Promise<T>): Promise<T> {
    const from = this.step;
    try {
      return await work();
    } finally {
      this.run.timeline.seek(from);
    }
  }

  /** Work that moves the machine, and leaves it where it was if it fails. */
  private async orStay<T>(work: (from: number) => Promise<T>): Promise<T> {
    const from = this.step;
    try {
      return await work(from);
    } catch (error) {
      this.run.timeline.seek(from);
      throw error;
    }
  }
}
