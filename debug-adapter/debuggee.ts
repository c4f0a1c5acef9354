/** What a session debugs: a program that was run, or programs that are attached. DAP is none of its business. */
import type { KernelClient } from '../kernel/client/client';
import type { OpenedSnapshot } from './live/opened';
import type { Standpoint } from './expressions/ask';
import type { LiveTraffic } from './live/live-traffic';
import type { LiveEvents, SessionStateEvent } from './protocol';
import type { Compile, SourcePlace } from './runner/object';
import type { StepScope } from './stepping/scopes';
import type { Granularity, Move, StepFrame, Stepper } from './stepping/stepper';
import type { Breakpoint, Placement } from './stepping/breakpoints/store';
import type { Pace, Progress } from './stepping/pace';
import type { Recording } from './recorder/recording';
import type { VariableContext } from './variables/context';

export interface DebuggeeThread {
  id: number;
  /** `xdp_drop (xdp)`, `xdp_drop: xdp on veth0 (native)`. */
  name: string;
  /** The one frame's name. */
  frame: string;
  /** The function's line. */
  place?: SourcePlace;
}

/** DAP's reasons to stop. */
export type StopReason =
  | 'entry'
  | 'pause'
  | 'step'
  | 'goto'
  | 'breakpoint'
  | 'function breakpoint'
  | 'instruction breakpoint'
  | 'data breakpoint'
  | 'exception';

/** What a debuggee tells its session. */
export interface Listener {
  /**
   * `stdout`: what happens, which VS Code draws as plain text; `console`: what deserves attention, drawn as a
   * warning; `stderr`: what went wrong, drawn as an error.
   */
  output(category: 'console' | 'stdout' | 'stderr', lines: readonly string[]): void;
  /**
   * Execution rests and values can be looked at; `description` stands where VS Code shows the reason. `thread`: the
   * first one when left out.
   */
  stopped(
    reason: StopReason,
    description: string,
    thread?: number,
    more?: { hitBreakpointIds?: number[]; text?: string | undefined },
  ): void;
  /** Somebody waits for work called `title`, and can end it; undefined for a client that shows no progress. */
  progress(title: string, cancel: () => void): Progress | undefined;
  /** What log points print: each line with the place it came from. */
  logged(lines: readonly { text: string; place?: SourcePlace | undefined }[]): void;
  /** Values that may be on display have changed. */
  changed(): void;
  threadGone(id: number): void;
  /** Nothing is left to debug. */
  ended(reason: string): void;
  state(state: SessionStateEvent): void;
  /** What became of a breakpoint after it was answered. */
  breakpoint(id: number, placement: Placement): void;
  /** What happens in programs that are attached. */
  live<E extends keyof LiveEvents>(event: E, body: LiveEvents[E]): void;
}

export interface Environment {
  kernel: KernelClient;
  /** `this machine`, for messages. */
  label: string;
  compile: Compile;
  listener: Listener;
  signal: AbortSignal;
}

/** A run that is over, and at one of its steps. */
export interface Stepping {
  readonly stepper: Stepper;
  /** Locals, registers and all else but maps, in a function that is being executed at this step. */
  scopes(frame: StepFrame): StepScope[];
  /** Where expressions about that function are evaluated. */
  standpoint(frame: StepFrame): Omit<Standpoint, 'context'>;
  /** Goes on or back, and reports `stopped`. */
  move(move: Move, granularity: Granularity): Promise<void>;
  /** Goes to a step, and reports `stopped` with the reason given. */
  goTo(step: number, text?: string): Promise<void>;
  /** Does what may take long while everything else waits; `title` is what somebody waiting reads. */
  search<T>(title: string, work: (pace: Pace) => Promise<T>): Promise<T>;
  readonly isSearching: boolean;
  /** Gives up what is being searched for. */
  interrupt(): void;
  /** Resolves when nothing is being searched for, so that the run is where it rests. */
  idle(): Promise<void>;
}

/** How somebody steps who has stopped before the run. */
export interface FirstMove {
  move: Move;
  granularity: Granularity;
}

export interface Debuggee {
  readonly threads: readonly DebuggeeThread[];
  readonly context: VariableContext;
  /** Present while a recorded run can be gone through. */
  readonly stepping?: Stepping | undefined;
  /**
   * Sets these breakpoints instead of those before, and says what became of each, in the same order; undefined when
   * there is nothing to stop in.
   */
  place?(wanted: readonly Breakpoint[]): Promise<readonly Placement[]> | undefined;
  /** The same as a value, to be saved. */
  readonly recording?: Recording | undefined;
  /** Present while programs are attached. */
  readonly live?: LiveTraffic | undefined;
  /** One that is looked at instead of what is live. */
  readonly snapshot?: OpenedSnapshot | undefined;
  /** Of several threads, the one whose run or snapshot is looked at; the others show their hooks. */
  readonly shownThread?: number | undefined;
  /**
   * Runs, or reads again what is attached; reports `stopped` when done.
   * @param first where a run goes to from its beginning, instead of to its first breakpoint
   */
  resume(first?: FirstMove): Promise<void>;
  /** Reports the state it is in as `stopped`, once the client is ready to hear it. */
  announce(): void;
  /** Detaches and unloads everything. Safe to call more than once. */
  stop(): Promise<void>;
}
