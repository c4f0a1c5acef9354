/** Going through an opened recording on behalf of a session: moves it, says where it rests, shows what is there. */
import type { Listener, Stepping, StopReason } from '../debuggee';
import type { Ending } from '../recorder/replay/machine-state';
import type { Standpoint } from '../expressions/ask';
import type { OpenedRecording } from './open-recording';
import { asAdapterError, isCancelled } from '../errors';
import type { Printed, Stop } from './breakpoints/stops';
import type { Breakpoint, Placement } from './breakpoints/store';
import { Pace } from './pace';
import { stepOf } from './same-place';
import type { RunPlace } from './same-place';
import { scopesAt } from './scopes';
import type { StepScope } from './scopes';
import type { Moment } from './moment';
import type { Granularity, Move, Rest, StepFrame, Stepper } from './stepper';

export class RecordedStepping implements Stepping {
  readonly stepper: Stepper;
  /** Nobody has been told of the run yet. */
  private isNews = true;
  /** What is being searched for, and all that waits behind it. */
  private queue: Promise<void> = Promise.resolve();
  private working: AbortController | undefined;

  /** @param returned the run's return value in words. */
  constructor(
    private readonly opened: OpenedRecording,
    private readonly listener: Listener,
    private readonly returned: string,
  ) {
    this.stepper = opened.stepper;
    this.stepper.print = (printed, more) => this.printed(printed, more);
  }

  get context() {
    return this.opened.context;
  }

  scopes(frame: StepFrame): StepScope[] {
    return scopesAt(this.moment(), frame);
  }

  private moment(): Moment {
    const { inputs } = this.opened;
    return { ...this.stepper.moment(), ...(inputs ? { inputs } : {}) };
  }

  place(wanted: readonly Breakpoint[]): Promise<Placement[]> {
    return this.search('Placing breakpoints', () => this.stepper.place(wanted));
  }

  async idle(): Promise<void> {
    let last: Promise<void>;
    do {
      last = this.queue;
      await last;
    } while (last !== this.queue);
  }

  get isSearching(): boolean {
    return this.working !== undefined;
  }

  interrupt(): void {
    this.working?.abort();
  }

  async search<T>(title: string, work: (pace: Pace) => Promise<T>): Promise<T> {
    const before = this.queue;
    let release = () => {};
    this.queue = new Promise((resolve) => (release = resolve));
    await before;
    const controller = new AbortController();
    this.working = controller;
    const pace = new Pace(controller.signal, () => this.listener.progress(title, () => controller.abort()));
    try {
      return await work(pace);
    } finally {
      pace.end();
      this.working = undefined;
      release();
    }
  }

  standpoint(frame: StepFrame): Omit<Standpoint, 'context'> {
    const { stepper } = this;
    // Behind its end a run's maps are the kernel's, which may have been written to since.
    const run = stepper.isAtEnd ? undefined : stepper.run;
    return { at: { moment: this.moment(), frame }, run };
  }

  async move(move: Move, granularity: Granularity): Promise<void> {
    this.isNews = false;
    await this.going('Looking for the next stop', (pace) => this.stepper.move(move, granularity, pace));
  }

  /** Goes to a step. `text` says why. */
  async goTo(step: number, text?: string): Promise<void> {
    await this.going('Going there', async () => this.stepper.goTo(step), text);
  }

  /** Goes to the place where a run before was that had another input, and says so. */
  async takeOver(place: RunPlace, changed: string): Promise<void> {
    this.isNews = false;
    const step = stepOf(this.stepper.run, place);
    const where = step === undefined ? '. It does not come to the same place, and is at its end' : '';
    await this.goTo(step ?? this.stepper.run.timeline.length, `Run again with ${changed} changed${where}`);
  }

  /** Tells where the run rests; the first time that is its first breakpoint, or else its end. */
  announce(): void {
    const { stepper } = this;
    if (this.isNews) {
      this.isNews = false;
      this.going('Looking for the first stop', (pace) => stepper.start(pace)).catch((thrown: unknown) => {
        // Nobody waits for an answer, and the client has to hear that the run rests.
        this.listener.output('stderr', [asAdapterError(thrown).message]);
        this.rested(stepper.isAtEnd ? 'end' : 'step');
      });
    } else {
      this.rested(stepper.isAtEnd ? 'end' : 'step');
    }
  }

  private async going(title: string, work: (pace: Pace) => Promise<Rest>, text?: string): Promise<void> {
    let rest: Rest;
    try {
      rest = await this.search(title, work);
    } catch (error) {
      if (!isCancelled(error)) throw error;
      this.listener.stopped('pause', 'Paused: the search was given up, and the run is where it was');
      return;
    }
    await this.context.refresh();
    this.rested(rest, text);
  }

  private printed(printed: readonly Printed[], more: number): void {
    const lines = printed.map(({ text, breakpoint }) => ({
      text,
      ...(breakpoint.kind === 'line' ? { place: { path: breakpoint.path, line: breakpoint.line } } : {}),
    }));
    if (more > 0) lines.push({ text: `… and ${more.toLocaleString('en')} lines more` });
    this.listener.logged(lines);
  }

  private rested(rest: Rest, text?: string): void {
    const { stepper, listener } = this;
    const { ending, timeline } = stepper.run;
    const at = `step ${stepper.step.toLocaleString('en')} of ${timeline.length.toLocaleString('en')}`;
    const { stop } = stepper;
    if (rest === 'breakpoint' && stop) {
      const hitBreakpointIds = stop.breakpoints.map(({ id }) => id);
      const texts = stop.texts.join('\n');
      listener.stopped(reasonOf(stop), texts || at, undefined, {
        hitBreakpointIds,
        text: texts || undefined,
      });
    } else if (rest !== 'end') {
      listener.stopped(rest, rest === 'entry' ? 'The beginning of the recorded run' : (text ?? at));
    } else if (ending.kind === 'diverged') listener.stopped('pause', this.describeDivergence(ending));
    else if (ending.kind === 'left')
      listener.stopped('pause', 'The program was left here, by a tail call or an exception');
    else listener.stopped('pause', `${text === undefined ? '' : `${text}. `}Run finished: ${this.returned}`);
  }

  private describeDivergence({ insn, reason }: Extract<Ending, { kind: 'diverged' }>): string {
    const line = this.stepper.source.placeOf(insn)?.line;
    const where = line === undefined ? `instruction ${insn}` : `line ${line}, instruction ${insn}`;
    return `Replay and kernel disagree from here on (${where}): ${reason}. What came after is not shown.`;
  }
}

const REASONS: Record<Breakpoint['kind'], StopReason> = {
  line: 'breakpoint',
  function: 'function breakpoint',
  instruction: 'instruction breakpoint',
  data: 'data breakpoint',
  exception: 'exception',
};

/** What went wrong is the news where several breakpoints stop, then what has changed. */
function reasonOf({ breakpoints }: Stop): StopReason {
  const kinds = breakpoints.map(({ kind }) => kind);
  const first = (['exception', 'data', 'line', 'function', 'instruction'] as const).find((kind) =>
    kinds.includes(kind),
  );
  return REASONS[first ?? 'line'];
}
