/** Changes of a value that has no place of its own: looked at before each statement of the call that it belongs to. */
import type { OpenedRun } from '../../recorder/open-run';
import type { Hit, Source } from '../breakpoints/source';
import type { Pace } from '../pace';
import type { ValuePlace } from './place';

/** Statements of a run, or of one call in it, in steps from `from` to before `to`. */
export function statementsOf(
  { statements, timeline }: OpenedRun,
  call: ValuePlace['call'],
): { first: number; end: number; isOf(index: number): boolean } {
  const { from, to } = call ?? { from: 0, to: timeline.length };
  const before = statements.at(from);
  const first = before >= 0 && statements.step(before) === from ? before : before + 1;
  const end = statements.at(to - 1) + 1;
  return { first, end, isOf: (index) => !call || statements.depth(index) >> 8 === call.depth };
}

/** Found all at once when it is first asked for, since what a value was depends on all that came before. */
export function changesOf(run: OpenedRun, place: ValuePlace): Source {
  let hits: Hit[] = [];
  return {
    async prepare(pace: Pace) {
      hits = await findChanges(run, place, pace);
    },
    known: (from, to) => hits.filter(({ at }) => at >= from && at < to),
  };
}

async function findChanges(run: OpenedRun, place: ValuePlace, pace: Pace): Promise<Hit[]> {
  const { statements, timeline } = run;
  const { first, end, isOf } = statementsOf(run, place.call);
  const hits: Hit[] = [];
  let last: string | undefined;
  let before = -1;
  for (let index = first; index < end; index++) {
    await pace.breathe((index - first) / (end - first));
    if (!isOf(index)) continue;
    const step = statements.step(index);
    timeline.seek(step);
    const text = place.read();
    if (text !== undefined && text !== last) {
      if (before >= 0) hits.push({ at: step, back: before });
      last = text;
    }
    before = step;
  }
  return hits;
}
