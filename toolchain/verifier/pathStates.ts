import type { LogIndex } from './logIndex';
import type { Step } from './path';
import { Tracker, nothingKnown } from './tracker';
import type { KnownState } from './tracker';

/** Distance of the steps whose states are kept; those between are found again by going there from the last one. */
const STRIDE = 64;

/** What the verifier knew along a path, read from the log when somebody asks. */
export class PathStates {
  private readonly marks: KnownState[] = [nothingKnown];
  /** States before the steps of the stretch that was asked for last, and after its last step. */
  private stretch: { first: number; states: KnownState[] } | undefined;
  private tracker: Tracker | undefined;

  constructor(
    private readonly log: LogIndex,
    private readonly steps: readonly Step[],
  ) {}

  /** What was known before a step, by its position in the path. */
  before(step: number): KnownState {
    if (!(step >= 0 && step < this.steps.length)) return nothingKnown;
    const first = step - (step % STRIDE);
    return this.stretchAt(first)[step - first] ?? nothingKnown;
  }

  /** What was known after a step: before the next one, that is in the branch that the path takes. */
  after(step: number): KnownState {
    if (step + 1 < this.steps.length) return this.before(step + 1);
    const first = step - (step % STRIDE);
    return step >= 0 && step < this.steps.length
      ? (this.stretchAt(first)[step - first + 1] ?? nothingKnown)
      : nothingKnown;
  }

  private stretchAt(first: number): KnownState[] {
    if (this.stretch?.first === first) return this.stretch.states;
    // Marks are set in order, since each follows from the one before.
    while (this.marks.length * STRIDE <= first) this.follow((this.marks.length - 1) * STRIDE);
    return this.follow(first);
  }

  private follow(first: number): KnownState[] {
    const tracker = (this.tracker ??= new Tracker(this.log));
    tracker.state = this.marks[first / STRIDE] ?? nothingKnown;
    const states: KnownState[] = [];
    const end = Math.min(first + STRIDE, this.steps.length);
    for (let step = first; step < end; step++) {
      const line = (this.steps[step] as Step).logLine;
      this.readContext(tracker, line);
      states.push(tracker.state);
      tracker.instruction(line);
    }
    if (end === this.steps.length) this.readTail(tracker, (this.steps[end - 1] as Step).logLine);
    if (end === first + STRIDE) this.marks[end / STRIDE] = tracker.state;
    states.push(tracker.state);
    this.stretch = { first, states };
    return states;
  }

  /** States printed between the instruction before and this one. */
  private readContext(tracker: Tracker, line: number): void {
    let first = line;
    while (first > 0 && this.log.kind(first - 1) !== 'instruction') first--;
    for (let at = first; at < line; at++) tracker.context(at);
  }

  /** States printed behind the last instruction, up to the verifier's words. */
  private readTail(tracker: Tracker, line: number): void {
    for (let at = line + 1; this.log.kind(at) === 'state'; at++) tracker.context(at);
  }
}
