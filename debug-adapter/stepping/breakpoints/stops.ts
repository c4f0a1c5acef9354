/** The breakpoints of one recorded run: where each stands, and the next place at which one of them stops. */
import type { OpenedRun } from '../../recorder/open-run';
import type { Pace } from '../pace';
import { Pieces } from './pieces';
import type { FoundHit } from './pieces';
import type { Source } from './source';
import type { Breakpoint } from './store';
import type { HitCondition } from './hit-condition';

/** What a breakpoint asks at the step that the run is at; an error is a reason to stop. */
export type Ask = () => { holds: boolean } | { problem: string };

/** A breakpoint that has a place, and its questions, read. */
export interface Armed {
  breakpoint: Breakpoint;
  source: Source;
  condition?: Ask | undefined;
  hitCondition?: HitCondition | undefined;
  /** Prints instead of stopping. */
  log?: (() => string) | undefined;
}

/** Where a search has found something to stop for. */
export interface Stop {
  /** Where the run is to rest. */
  step: number;
  /** All that stop at this step. */
  breakpoints: readonly Breakpoint[];
  /** What happened, for people, one line each; also why a condition could not be evaluated. */
  texts: readonly string[];
}

/** What a log point has printed. */
export interface Printed {
  breakpoint: Breakpoint;
  step: number;
  text: string;
}

/** Log points of a long run print this much at once, and then say how much more there was. */
const MAX_PRINTED = 5000;

export class Stops {
  private readonly pieces: Pieces;
  private isPrepared = false;
  /** By breakpoint and piece, as far as it was counted: the numbers of hits whose condition holds. */
  private readonly counted: Map<FoundHit, number>[][];
  private readonly lastCounts: number[];
  private readonly answers = new Map<FoundHit, ReturnType<Ask>>();

  constructor(
    private readonly run: OpenedRun,
    private readonly armed: readonly Armed[],
    private readonly print: (printed: readonly Printed[], more: number) => void,
  ) {
    this.pieces = new Pieces(
      run,
      armed.map(({ source }) => source),
    );
    this.counted = armed.map(() => []);
    this.lastCounts = armed.map(() => 0);
  }

  /**
   * The next stop after `from` and not after `limit`, or before `from` and not before `limit` going backward. `from` -1
   * is before the run. Going forward, log points print. The machine may be at another step afterwards, also when this
   * throws because it was cancelled.
   */
  async next(from: number, direction: 1 | -1, limit: number, pace: Pace): Promise<Stop | undefined> {
    if (this.armed.length === 0) return undefined;
    await this.prepare(pace);
    const printed: Printed[] = [];
    let more = 0;
    const span = Math.max(1, Math.abs(limit - from));
    try {
      // A change in the last instruction of a piece rests at the first step of the next.
      const first = this.pieces.pieceOf(direction > 0 ? from - 1 : from);
      const last = this.pieces.pieceOf(limit);
      for (let piece = first; direction > 0 ? piece <= last : piece >= last; piece += direction) {
        await pace.breathe(Math.abs(piece - first) / (Math.abs(last - first) + 1));
        const stops: { hit: FoundHit; texts: string[] }[] = [];
        let rest: number | undefined;
        // Conditions are asked in the order of time, because going back is going forward from further back.
        if (direction < 0) for (const hit of this.pieces.hits(piece)) this.answer(hit);
        for (const hit of this.ordered(piece, direction)) {
          const step = direction > 0 ? hit.at : hit.back;
          if (direction > 0 ? step <= from || step > limit : step >= from || step < limit) continue;
          if (rest !== undefined && step !== rest) break;
          await pace.breathe(Math.abs(step - from) / span);
          const texts = await this.asks(hit, piece, pace);
          if (!texts) continue;
          const { log, breakpoint } = this.armed[hit.source]!;
          if (!log) {
            rest = step;
            stops.push({ hit, texts });
          } else if (direction > 0) {
            if (printed.length < MAX_PRINTED) {
              this.run.timeline.seek(hit.at);
              printed.push({ breakpoint, step, text: [...texts, log()].join('\n') });
            } else more++;
          }
        }
        if (rest !== undefined) return this.stop(rest, stops);
      }
      return undefined;
    } finally {
      if (printed.length > 0) this.print(printed, more);
    }
  }

  private stop(step: number, found: readonly { hit: FoundHit; texts: string[] }[]): Stop {
    return {
      step,
      breakpoints: found.map(({ hit }) => this.armed[hit.source]!.breakpoint),
      texts: found.flatMap(({ hit, texts }) => {
        if (!hit.describe) return texts;
        this.run.timeline.seek(hit.at);
        return [hit.describe(), ...texts];
      }),
    };
  }

  private async prepare(pace: Pace): Promise<void> {
    if (this.isPrepared) return;
    for (const { source } of this.armed) await source.prepare?.(pace);
    this.isPrepared = true;
  }

  private ordered(piece: number, direction: 1 | -1): readonly FoundHit[] {
    const hits = this.pieces.hits(piece);
    if (direction > 0) return hits;
    return [...hits].sort((one, other) => other.back - one.back || one.source - other.source);
  }

  /** Why to stop at a hit, as lines to be read, often none; undefined for one to pass by. */
  private async asks(hit: FoundHit, piece: number, pace: Pace): Promise<string[] | undefined> {
    const { hitCondition } = this.armed[hit.source]!;
    const answer = this.answer(hit);
    if (answer && 'holds' in answer && !answer.holds) return undefined;
    if (hitCondition && !hitCondition(await this.ordinal(hit, piece, pace))) return undefined;
    return answer && 'problem' in answer ? [answer.problem] : [];
  }

  private answer(hit: FoundHit): ReturnType<Ask> | undefined {
    const { condition } = this.armed[hit.source]!;
    if (!condition) return undefined;
    let answer = this.answers.get(hit);
    if (!answer) {
      this.run.timeline.seek(hit.at);
      answer = condition();
      this.answers.set(hit, answer);
    }
    return answer;
  }

  /** How often the place was reached in the run, up to this hit, with the condition holding: 1 for the first time. */
  private async ordinal(hit: FoundHit, piece: number, pace: Pace): Promise<number> {
    const counted = this.counted[hit.source]!;
    while (counted.length <= piece) {
      await pace.breathe(counted.length / (piece + 1));
      this.count(hit.source, counted.length);
    }
    return counted[piece]!.get(hit) ?? 0;
  }

  /** Numbers the hits of the next piece, from where the piece before it ended. */
  private count(source: number, piece: number): void {
    const counted = this.counted[source]!;
    const numbers = new Map<FoundHit, number>();
    let last = this.lastCounts[source]!;
    for (const hit of this.pieces.hits(piece))
      if (hit.source === source && this.isCounted(hit)) numbers.set(hit, ++last);
    this.lastCounts[source] = last;
    counted.push(numbers);
  }

  private isCounted(hit: FoundHit): boolean {
    const answer = this.answer(hit);
    return !answer || 'problem' in answer || answer.holds;
  }
}
