/** Places in a run that somebody may want to go to from the present step. */
import { isJump, jumpDistance } from '../../toolchain/insn/effects';
import type { OpenedRun } from '../recorder/open-run';

/** The nearest step after (1) or before (-1) the present one at which the run comes to a line. */
export function nearestOfLine(
  { source, statements, timeline }: OpenedRun,
  path: string,
  line: number,
  direction: 1 | -1,
): number | undefined {
  const here = timeline.machine.step;
  const isThere = source.places.map((place) => place.path === path && place.line === line);
  for (let index = statements.at(here); index >= 0 && index < statements.count; index += direction) {
    const step = statements.step(index);
    const isBeyond = direction > 0 ? step > here : step < here;
    if (isBeyond && statements.isNew(index) && isThere[statements.line(index)]) return step;
  }
  return undefined;
}

/** Steps of one call of a function: from its first instruction to the one behind its last. */
export interface Activation {
  from: number;
  to: number;
}

/**
 * The call that a frame belongs to. `depth`: calls of functions with code of their own that had not returned when it
 * was made, 0 for the program itself.
 */
export function activationOf(run: OpenedRun, depth: number): Activation {
  const { statements, timeline } = run;
  const here = Math.max(0, statements.at(timeline.machine.step));
  const isOutside = (index: number) => statements.depth(index) >> 8 < depth;
  let first = here;
  while (first > 0 && !isOutside(first - 1) && !beginsCall(run, first, depth)) first--;
  let last = here + 1;
  while (last < statements.count && !isOutside(last) && !beginsCall(run, last, depth)) last++;
  return {
    from: statements.step(first),
    to: last < statements.count ? statements.step(last) : timeline.length,
  };
}

/**
 * Whether a call of that depth begins with a statement. A helper calls a callback several times with nothing of the
 * caller in between, so that the depth alone does not tell.
 */
function beginsCall({ statements, code }: OpenedRun, index: number, depth: number): boolean {
  if (statements.depth(index) >> 8 !== depth) return false;
  const insn = statements.insn(index);
  const start = code.subprogramOf(insn);
  if (insn !== start) return false;
  const before = statements.depth(index - 1) >> 8;
  return before < depth || (before === depth && !isLoopHead(code.insns, start));
}

/** A function whose first instruction is jumped to: coming there need not be a call. */
function isLoopHead(insns: OpenedRun['code']['insns'], start: number): boolean {
  for (let insn = start; insn < insns.length; insn++) {
    const decoded = insns[insn];
    if (decoded && isJump(decoded) && insn + 1 + jumpDistance(decoded) === start) return true;
  }
  return false;
}

/** A call that the rest of the present line makes. */
export interface CallAhead {
  /** Of the function called. */
  name: string;
  /** Its first step. */
  step: number;
}

/** More calls than that of one line nobody wants to choose from. */
const MAX_CALLS = 50;

/** The functions, inlined ones among them, that a step over the present line goes through. */
export function callsAhead({ statements, source, timeline }: OpenedRun): CallAhead[] {
  const here = statements.at(timeline.machine.step);
  const end = here < 0 ? undefined : (statements.after(here, 'over') ?? statements.count);
  const calls: CallAhead[] = [];
  if (end === undefined) return calls;
  const depth = statements.depth(here);
  for (let index = here + 1; index < end && calls.length < MAX_CALLS; index++) {
    const there = statements.depth(index);
    const isEntered = there > depth && statements.depth(index - 1) <= depth;
    if (!isEntered) continue;
    const frames = source.frames(statements.insn(index));
    // With code of its own the function is the outermost frame there; inlined, the one below the present depth.
    const isCalled = there >> 8 > depth >> 8;
    const frame = isCalled ? frames.at(-1) : frames.at(-1 - ((depth & 255) + 1));
    calls.push({ name: frame?.name ?? '?', step: statements.step(index) });
  }
  return calls;
}
