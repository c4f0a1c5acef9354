/** Breakpoints on lines, on columns of them, and on instructions. */
import type { OpenedRun } from '../../recorder/open-run';
import type { Hit, Source } from './source';
import type { Placement } from './store';

const NO_CODE = 'The program has no code on this line or after it.';

/** A breakpoint of one kind found its place, or why not. */
export interface Sited {
  placement: Placement;
  source?: Source;
}

/** The same step whichever way the run is gone through. */
export function hitAt(step: number): Hit {
  return { at: step, back: step };
}

/**
 * A breakpoint on a line stops wherever the run comes to that line, in whichever of its instructions; one on a column
 * where it comes to what the compiler has put at that column. Lines without code stand for the next one that has some.
 */
export function siteOfLine(
  run: OpenedRun,
  { path, line, column }: { path: string; line: number; column?: number | undefined },
): Sited {
  const at = lineWithCode(run, path, line);
  if (at === undefined) return { placement: { verified: false, message: NO_CODE } };
  const columns = columnsOf(run, path, at);
  const wanted = column === undefined || at !== line ? undefined : nearest(columns, column);
  if (wanted === undefined || wanted === columns[0])
    return { placement: { verified: true, line: at }, source: lineSource(run, path, at) };
  return {
    placement: { verified: true, line: at, column: wanted },
    source: columnSource(run, path, at, wanted),
  };
}

/** Where in a file breakpoints can stand, one place for each column that has code of its own. */
export function locations(
  run: OpenedRun,
  path: string,
  first: number,
  last: number,
): { line: number; column?: number }[] {
  const lines = new Set(
    run.source.places
      .filter((place) => place.path === path && place.line >= first && place.line <= last)
      .map(({ line }) => line),
  );
  return [...lines]
    .sort((one, other) => one - other)
    .flatMap((line) => {
      const columns = columnsOf(run, path, line).filter((column) => column > 0);
      return columns.length === 0 ? [{ line }] : columns.map((column) => ({ line, column }));
    });
}

function lineWithCode({ source }: OpenedRun, path: string, line: number): number | undefined {
  let found: number | undefined;
  for (const place of source.places) {
    if (place.path !== path || place.line < line) continue;
    if (found === undefined || place.line < found) found = place.line;
  }
  return found;
}

function lineSource({ source, statements }: OpenedRun, path: string, line: number): Source {
  const numbers = new Set<number>();
  source.places.forEach((place, number) => {
    if (place.path === path && place.line === line) numbers.add(number);
  });
  return {
    known(from, to) {
      const hits: Hit[] = [];
      const first = statements.at(from);
      const start = first >= 0 && statements.step(first) === from ? first : first + 1;
      for (let index = start; index < statements.count && statements.step(index) < to; index++)
        if (statements.isNew(index) && numbers.has(statements.line(index)))
          hits.push(hitAt(statements.step(index)));
      return hits;
    },
  };
}

/** Columns at which code of a line begins, ascending. */
function columnsOf(run: OpenedRun, path: string, line: number): number[] {
  const columns = new Set<number>();
  run.code.insns.forEach((_, insn) => {
    const at = placedAt(run, insn);
    if (at?.path === path && at.line === line) columns.add(at.column);
  });
  return [...columns].sort((one, other) => one - other);
}

function nearest(columns: readonly number[], wanted: number): number | undefined {
  return columns.find((column) => column >= wanted) ?? columns.at(-1);
}

function placedAt({ source }: OpenedRun, insn: number) {
  return (source.line[insn] as number) < 0 ? undefined : source.placeOf(insn);
}

/** Code of one column is come to from other code, or from itself by going back. */
function columnSource(run: OpenedRun, path: string, line: number, column: number): Source {
  const isThere = run.code.insns.map((_, insn) => {
    const at = placedAt(run, insn);
    return at?.path === path && at.line === line && at.column === column;
  });
  return {
    observer: {
      wants: (insn) => isThere[insn] === true,
      before: ({ step, pc }, passed) => (isThere[passed.insn] && pc > passed.insn ? undefined : hitAt(step)),
    },
  };
}

/** A breakpoint before one instruction, given by its index. */
export function siteOfInstruction({ code }: OpenedRun, insn: number): Sited {
  if (!code.insns[insn])
    return {
      placement: {
        verified: false,
        message: `The program has no instruction ${insn}: its instructions are 0 to ${code.insns.length - 1}.`,
      },
    };
  return { placement: { verified: true, insn }, source: instructionSource(new Set([insn])) };
}

export function instructionSource(insns: ReadonlySet<number>): Source {
  return { observer: { wants: (insn) => insns.has(insn), before: ({ step }) => hitAt(step) } };
}
