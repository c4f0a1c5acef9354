/**
 * The steps of a failing path as a person reads them: a row for each visit of a source line, functions as rows that
 * hold what ran in them, loops as one row that says how often they were gone through.
 */
import type { Step } from './path';
import type { SourcePositions, SourceSpan } from './position';

export type TrailRow = TrailLine | TrailLoop;

/** Consecutive instructions of one source line. */
export interface TrailLine {
  kind: 'line';
  /** Undefined for instructions without line information. */
  at: SourceSpan | undefined;
  /** Positions in the path of its first and last step; what a called function did stands between them. */
  first: number;
  last: number;
  /** Where the path goes on, when the line's last instruction is a conditional jump that leads to another line. */
  decision?: { to: SourceSpan };
  /** What ran in the function that its last instruction calls. */
  inside?: TrailRow[];
}

/** A part of the path that was gone through several times. */
export interface TrailLoop {
  kind: 'loop';
  at: SourceSpan | undefined;
  first: number;
  last: number;
  /** How often the path came to the loop's beginning. */
  count: number;
  /** The last time through it, and what was left of it when the path went on. */
  rows: TrailRow[];
}

/** A step with what ran in the function it calls. */
interface Visit {
  index: number;
  insn: number;
  inside?: Visit[];
}

/** Rows for the steps from position `first` to `last` of a path, both included. */
export function trailOf(
  steps: readonly Step[],
  first: number,
  last: number,
  positions: SourcePositions,
): TrailRow[] {
  const visits = nested(steps, Math.max(first, 0), Math.min(last, steps.length - 1));
  return rowsOf(visits, { steps, positions });
}

interface Context {
  steps: readonly Step[];
  positions: SourcePositions;
}

/** Steps of called functions go under the call that leads to them. */
function nested(steps: readonly Step[], first: number, last: number): Visit[] {
  const root: Visit[] = [];
  const open: { list: Visit[]; frame: number }[] = [{ list: root, frame: steps[first]?.frame ?? 0 }];
  for (let index = first; index <= last; index++) {
    const { frame, insn } = steps[index] as Step;
    // A stretch may begin inside a function and end outside: then its caller goes on in the same list.
    while (open.length > 1 && frame < (open.at(-1) as { frame: number }).frame) open.pop();
    const top = open.at(-1) as { list: Visit[]; frame: number };
    const caller = top.list.at(-1);
    if (frame > top.frame && caller) {
      const inside: Visit[] = (caller.inside ??= []);
      open.push({ list: inside, frame });
      inside.push({ index, insn });
    } else {
      top.frame = frame;
      top.list.push({ index, insn });
    }
  }
  return root;
}

/** Folds what is repeated: from an instruction that comes again to the end of its last round. */
function rowsOf(visits: Visit[], context: Context): TrailRow[] {
  const positionsOf = new Map<number, number[]>();
  for (const [position, { insn }] of visits.entries()) {
    const known = positionsOf.get(insn);
    if (known) known.push(position);
    else positionsOf.set(insn, [position]);
  }
  const rows: TrailRow[] = [];
  let plain: Visit[] = [];
  const flush = (): void => {
    rows.push(...linesOf(plain, context));
    plain = [];
  };
  for (let position = 0; position < visits.length;) {
    const visit = visits[position] as Visit;
    const rounds = (positionsOf.get(visit.insn) as number[]).filter((other) => other >= position);
    if (rounds.length === 1) {
      plain.push(visit);
      position++;
      continue;
    }
    flush();
    const lastRound = rounds.at(-1) as number;
    const body = new Set(visits.slice(position, lastRound).map(({ insn }) => insn));
    let end = lastRound + 1;
    while (end < visits.length && body.has((visits[end] as Visit).insn)) end++;
    const wholeRound = visits.slice(rounds.at(-2), lastRound);
    const rest = visits.slice(lastRound, end);
    // A last round that ends at once shows the way out; the round before it shows what the loop does.
    const shown = rest.length < wholeRound.length ? [wholeRound, rest] : [rest];
    rows.push({
      kind: 'loop',
      // The jump back is compiled from the loop's own statement; what it leads to may be the body's first one.
      at: context.positions.at((wholeRound.at(-1) as Visit).insn) ?? context.positions.at(visit.insn),
      first: visit.index,
      last: lastIndex(visits[end - 1] as Visit),
      count: rounds.length,
      rows: shown.flatMap((round) => rowsOf(round, context)),
    });
    position = end;
  }
  flush();
  return rows;
}

function linesOf(visits: Visit[], context: Context): TrailRow[] {
  const { steps, positions } = context;
  const rows: TrailLine[] = [];
  for (const visit of visits) {
    const at = positions.at(visit.insn);
    const previous = rows.at(-1);
    const continues =
      previous &&
      !previous.inside &&
      !previous.decision &&
      (!at || (previous.at && isSameLine(at, previous.at)));
    const row: TrailLine = continues ? previous : { kind: 'line', at, first: visit.index, last: visit.index };
    if (!continues) rows.push(row);
    row.last = lastIndex(visit);
    if (visit.inside) row.inside = rowsOf(visit.inside, context);
    const to = decisionAt(steps, visit.index, positions);
    if (to && !(row.at && isSameLine(to, row.at))) row.decision = { to };
  }
  return rows;
}

/** Where a conditional jump led, when the path has a step after it. */
function decisionAt(
  steps: readonly Step[],
  index: number,
  positions: SourcePositions,
): SourceSpan | undefined {
  const next = steps[index + 1];
  return next && /^(if |may_goto)/.test((steps[index] as Step).text) ? positions.at(next.insn) : undefined;
}

function lastIndex(visit: Visit): number {
  return visit.inside?.length ? lastIndex(visit.inside.at(-1) as Visit) : visit.index;
}

function isSameLine(a: SourceSpan, b: SourceSpan): boolean {
  return a.path === b.path && a.range.start.line === b.range.start.line;
}
