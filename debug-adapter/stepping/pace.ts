/** Work on a run that may take longer than a moment: gives others a turn, can be cancelled, and tells how far it is. */
import { cancelled } from '../errors';

/** Milliseconds that work goes on before others have a turn. */
const TURN = 30;
/** Milliseconds after which somebody waiting wants to know how far it is, and between two such answers. */
const PATIENCE = 1000;
const NEWS = 250;

/** Shows that work goes on; each is ended by `done`. */
export interface Progress {
  /** @param fraction of the work that is done, 0 to 1. */
  report(fraction: number): void;
  done(): void;
}

/** Of work that nobody can give up. */
export const NEVER = new AbortController().signal;

export class Pace {
  private readonly begun = performance.now();
  private turn = this.begun;
  private news = this.begun;
  private shown: Progress | undefined;

  /** @param show is called once the work takes long. */
  constructor(
    private readonly signal: AbortSignal,
    private readonly show: () => Progress | undefined = () => undefined,
  ) {}

  /** To be called every few milliseconds. Throws `cancelled` when the work is not wanted any more. */
  async breathe(fraction: number): Promise<void> {
    if (this.signal.aborted) throw cancelled();
    const now = performance.now();
    if (now - this.turn < TURN) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.signal.aborted) throw cancelled();
    this.turn = performance.now();
    if (now - this.begun < PATIENCE || now - this.news < NEWS) return;
    this.news = now;
    this.shown ??= this.show();
    this.shown?.report(Math.max(0, Math.min(1, fraction)));
  }

  /** To be called when the work is over, however it ended. */
  end(): void {
    this.shown?.done();
    this.shown = undefined;
  }
}
