/**
 * All hits of a set of breakpoints, found piece by piece as a search comes there, and kept: a search over a long run
 * costs what lies between its start and what it finds, and the next one over the same ground nothing.
 */
import type { OpenedRun } from '../../recorder/open-run';
import type { Machine } from '../../recorder/replay/machine';
import { INTERVAL } from '../../recorder/replay/timeline';
import type { Hit, Observer, Passed, Source } from './source';

/** A hit, and which of the sources it is of. */
export interface FoundHit extends Hit {
  source: number;
}

export class Pieces {
  private readonly kept = new Map<number, readonly FoundHit[]>();
  /** Observers by instruction; undefined where nobody looks. */
  private readonly observers: ({ source: number; observer: Observer }[] | undefined)[];
  private readonly isObserved: boolean;

  constructor(
    private readonly run: OpenedRun,
    private readonly sources: readonly Source[],
  ) {
    const observing = sources.flatMap(({ observer }, source) => (observer ? [{ source, observer }] : []));
    this.isObserved = observing.length > 0;
    this.observers = run.code.insns.map((_, insn) => {
      const looking = observing.filter(({ observer }) => observer.wants(insn));
      return looking.length > 0 ? looking : undefined;
    });
  }

  /** Number of pieces that the run has. */
  get count(): number {
    return Math.floor(this.run.timeline.length / INTERVAL) + 1;
  }

  pieceOf(step: number): number {
    return Math.max(0, Math.min(this.count - 1, Math.floor(step / INTERVAL)));
  }

  /** Hits of a piece in the order of time. The machine may be elsewhere afterwards. */
  hits(piece: number): readonly FoundHit[] {
    let found = this.kept.get(piece);
    if (!found) {
      const from = piece * INTERVAL;
      const to = Math.min(from + INTERVAL, this.run.timeline.length);
      const known = this.sources.flatMap(({ known: tell }, source) =>
        (tell?.(from, to) ?? []).map((hit) => ({ ...hit, source })),
      );
      const seen = this.isObserved ? this.observe(from, to) : [];
      found = [...known, ...seen].sort((one, other) => one.at - other.at || one.source - other.source);
      this.kept.set(piece, found);
    }
    return found;
  }

  private observe(from: number, to: number): FoundHit[] {
    const found: FoundHit[] = [];
    const { machine, passed } = this.before(from);
    while (machine.step < to) {
      const insn = machine.pc;
      const depth = machine.frames.length;
      const looking = this.observers[insn];
      if (looking) {
        for (const { source, observer } of looking) {
          const hit = observer.before(machine, passed);
          if (hit) found.push({ ...hit, source });
        }
      }
      machine.run();
      if (looking) {
        for (const { source, observer } of looking) {
          const hit = observer.after?.(machine);
          if (hit) found.push({ ...hit, source });
        }
      }
      passed.insn = insn;
      passed.depth = depth;
    }
    return found;
  }

  /** Goes to a step, knowing what ran before it. */
  private before(step: number): { machine: Machine; passed: Passed } {
    const { timeline } = this.run;
    if (step === 0) return { machine: timeline.seek(0), passed: { insn: -1, depth: -1 } };
    const machine = timeline.seek(step - 1);
    const passed = { insn: machine.pc, depth: machine.frames.length };
    machine.run();
    return { machine, passed };
  }
}
