/** Which instruction last wrote to a place, before the present step. */
import type { OpenedRun } from '../../recorder/open-run';
import type { LastWriteResponse } from '../../protocol';
import { Pieces } from '../breakpoints/pieces';
import type { Hit } from '../breakpoints/source';
import { NOT_SHOWN } from '../shown';
import type { Pace } from '../pace';
import { sourceOf, touchAt } from './data-breakpoints';
import type { Touch } from './data-breakpoints';
import { textOf } from './place';
import type { Place } from './place';

/** Leaves the machine anywhere. `at` of the answer is before the instruction that wrote. */
export async function lastWrite(run: OpenedRun, place: Place, pace: Pace): Promise<LastWriteResponse> {
  const here = run.timeline.machine.step;
  const present = textOf(run, place);
  const { value: hit } = await writesBefore(run, place, here, pace).next();
  if (!hit) return { text: `${since(run, place)} ${place.label} has been ${present}.` };
  const { before, after, ...moment } = touchAt(run, place, hit);
  const who = moment.line === undefined ? '' : `Line ${moment.line} (instruction ${moment.insn})`;
  const what = before === after ? `wrote ${after} to ${place.label} again` : change(place, before, after);
  return {
    text: `${who || `Instruction ${moment.insn}`} ${what}.`,
    at: { step: hit.back, ...moment },
    before,
    after,
  };
}

function change({ label }: Place, before: string, after: string): string {
  if (before === 'no entry') return `made the entry ${label}: ${after}`;
  if (after === 'no entry') return `deleted the entry ${label}, which was ${before}`;
  if (before === NOT_SHOWN) return `set ${label} to ${after}`;
  return `changed ${label} from ${before} to ${after}`;
}

function since({ source, timeline }: OpenedRun, { call }: Place): string {
  if (!call || call.from === 0) return 'Nothing in this run has written to it before here:';
  const line = source.placeOf(timeline.seek(call.from).pc)?.line;
  return `Nothing in this call, which began at line ${line ?? '?'}, has written to it before here:`;
}

/** The write after which a place has the value that it has now: the last one that changed it. */
export async function lastChange(
  run: OpenedRun,
  place: Place,
  pace: Pace,
): Promise<(Touch & { step: number }) | undefined> {
  for await (const hit of writesBefore(run, place, run.timeline.machine.step, pace)) {
    const touch = touchAt(run, place, hit);
    if (touch.before !== touch.after) return { step: hit.back, ...touch };
  }
  return undefined;
}

/** Writes before a step, the last one first. */
async function* writesBefore(run: OpenedRun, place: Place, before: number, pace: Pace): AsyncGenerator<Hit> {
  const source = sourceOf(run, place, 'write');
  await source.prepare?.(pace);
  const pieces = new Pieces(run, [source]);
  const start = pieces.pieceOf(before);
  const end = pieces.pieceOf(place.call?.from ?? 0);
  for (let piece = start; piece >= end; piece--) {
    await pace.breathe((start - piece) / (start - end + 1));
    // A change that is made by the instruction about to run has not happened yet.
    yield* pieces
      .hits(piece)
      .filter(({ back, at }) => back < before && at <= before)
      .toReversed();
  }
}
