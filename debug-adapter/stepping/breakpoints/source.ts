/** Where a breakpoint is reached in a run: known from its lines, or seen by executing a piece of it once more. */
import type { Machine } from '../../recorder/replay/machine';
import type { Pace } from '../pace';

/** One time that a place is reached. */
export interface Hit {
  /** Step at which a run going forward rests there. */
  at: number;
  /** The same for a run going backward: for a change, the step before it. */
  back: number;
  /** What happened, for people, when the place alone does not say it; asked for with the run at {@link at}. */
  describe?(): string;
}

/** The instruction before the one that is about to run. */
export interface Passed {
  /** -1 before the first instruction. */
  insn: number;
  /** Calls that had not returned. */
  depth: number;
}

/** Looks on while a piece of a run is executed. */
export interface Observer {
  /** Instructions that it wants to see. */
  wants(insn: number): boolean;
  /** Called before such an instruction runs; a hit is one before it. */
  before(machine: Machine, passed: Passed): Hit | undefined;
  /** Called after it has run; a hit is one behind it. */
  after?(machine: Machine): Hit | undefined;
}

export interface Source {
  /** What takes long and is done once, before anything else is asked. */
  prepare?(pace: Pace): Promise<void>;
  /** Hits by steps in [from, to), in order, that are told without executing anything. */
  known?(from: number, to: number): Hit[];
  observer?: Observer;
}
