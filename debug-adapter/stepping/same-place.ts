/** The place of one run in another one, whose input was different: the same line for the same time. */
import type { OpenedRun } from '../recorder/open-run';

export interface RunPlace {
  /** By {@link SourceMap.line}, and how deep the calls are. */
  line: number;
  depth: number;
  /** How often the run had come there, this time included. */
  times: number;
  /** Instructions behind the line's beginning. */
  offset: number;
  /** At the end there is no line. */
  isEnd: boolean;
}

export function placeIn({ timeline, statements }: OpenedRun): RunPlace {
  const { step } = timeline.machine;
  const here = statements.at(step);
  const isEnd = step >= timeline.length;
  if (here < 0) return { line: -1, depth: 0, times: 0, offset: step, isEnd };
  const line = statements.line(here);
  const depth = statements.depth(here);
  let times = 0;
  for (let index = 0; index <= here; index++)
    if (statements.line(index) === line && statements.depth(index) === depth) times++;
  return { line, depth, times, offset: step - statements.step(here), isEnd };
}

/** The step of a run that corresponds to a place; undefined if the run does not come there as often. */
export function stepOf({ timeline, statements }: OpenedRun, place: RunPlace): number | undefined {
  if (place.isEnd) return timeline.length;
  if (place.line < 0) return Math.min(place.offset, timeline.length);
  let times = 0;
  for (let index = 0; index < statements.count; index++) {
    if (statements.line(index) !== place.line || statements.depth(index) !== place.depth) continue;
    if (++times < place.times) continue;
    const next = index + 1 < statements.count ? statements.step(index + 1) : timeline.length;
    return Math.min(statements.step(index) + place.offset, next - 1);
  }
  return undefined;
}
