/** Going through an opened recording on behalf of a session: moves it, says where it rests, shows what is there. */
import type { Listener, Stepping } from '../debuggee';
import type { Standpoint } from '../expressions/ask';
import type { Ending } from '../recorder/replay/machine';
import type { OpenedRecording } from './open-recording';
import type { Breakpoint, LineBreakpoint, Placement } from './breakpoints/store';
import { scopesAt } from './scopes';
import type { StepScope } from './scopes';
import type { Granularity, Move, Rest, StepFrame, Stepper } from './stepper';

export class RecordedStepping implements Stepping {
  readonly stepper: Stepper;
  /** Nobody has been told of the run yet. */
  private isNews = true;

  /** @param returned the run's return value in words. */
  constructor(
    private readonly opened: OpenedRecording,
    private readonly listener: Listener,
    private readonly returned: string,
  ) {
    this.stepper = opened.stepper;
  }

  get context() {
    return this.opened.context;
  }

  scopes(frame: StepFrame): StepScope[] {
    return scopesAt(this.stepper.moment(), frame);
  }

  place(wanted: readonly Breakpoint[]): Placement[] {
    this.stepper.clearBreakpoints();
    const paths = new Set(wanted.flatMap((one) => (one.kind === 'line' ? [one.path] : [])));
    const placed = new Map<Breakpoint, Placement>();
    for (const path of paths) {
      const here = wanted.filter((one) => one.kind === 'line' && one.path === path) as LineBreakpoint[];
      const lines = this.stepper.setBreakpoints(
        path,
        here.map(({ line }) => line),
      );
      here.forEach((one, index) =>
        placed.set(
          one,
          lines[index] ? { verified: true, line: lines[index].line } : { verified: false, message: NO_CODE },
        ),
      );
    }
    return wanted.map(
      (one) =>
        placed.get(one) ?? {
          verified: false,
          message: 'Such breakpoints are not supported in a recorded run.',
        },
    );
  }

  standpoint(frame: StepFrame): Omit<Standpoint, 'context'> {
    const { stepper } = this;
    // Behind its end a run's maps are the kernel's, which may have been written to since.
    const run = stepper.isAtEnd ? undefined : stepper.run;
    return { at: { moment: stepper.moment(), frame }, run };
  }

  async move(move: Move, granularity: Granularity): Promise<void> {
    const rest = this.stepper.move(move, granularity);
    await this.context.refresh();
    this.rested(rest);
  }

  /** Tells where the run rests; the first time that is its first breakpoint, or else its end. */
  announce(): void {
    const { stepper } = this;
    if (this.isNews) {
      this.isNews = false;
      this.rested(stepper.isAtBreakpoint() ? 'breakpoint' : stepper.move('continue', 'line'));
    } else {
      this.rested(stepper.isAtEnd ? 'end' : 'step');
    }
  }

  private rested(rest: Rest): void {
    const { stepper, listener } = this;
    const { ending, timeline } = stepper.run;
    const at = `step ${stepper.step.toLocaleString('en')} of ${timeline.length.toLocaleString('en')}`;
    if (rest !== 'end') listener.stopped(rest, rest === 'entry' ? 'The beginning of the recorded run' : at);
    else if (ending.kind === 'diverged') listener.stopped('pause', this.describeDivergence(ending));
    else if (ending.kind === 'left')
      listener.stopped('pause', 'The program was left here, by a tail call or an exception');
    else listener.stopped('pause', `Run finished: ${this.returned}`);
  }

  private describeDivergence({ insn, reason }: Extract<Ending, { kind: 'diverged' }>): string {
    const line = this.stepper.source.placeOf(insn)?.line;
    const where = line === undefined ? `instruction ${insn}` : `line ${line}, instruction ${insn}`;
    return `Replay and kernel disagree from here on (${where}): ${reason}. What came after is not shown.`;
  }
}

const NO_CODE = 'The program has no code on this line or after it.';
