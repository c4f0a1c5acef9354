/** Two sets of verification costs, matched and told apart, as veristat's comparison does. */
import { cellOf, columns, NOT_KNOWN, type Column, type StatsRow } from './columns';

export interface Pair {
  /** Absent: the program is only in the new set. */
  old?: StatsRow;
  /** Absent: it is only in the old one. */
  new?: StatsRow;
}

/** What is compared; names, sizes and times, which vary from run to run, are left out. */
export const compared: readonly Column[] = columns.filter(({ key }) =>
  ['verdict', 'insns', 'states'].includes(key),
);

/**
 * Pairs of rows, in the order of the new set, what is only in the old one last. Programs match by the file's base
 * name and their own; when each set is of one file, whose name may have changed, by their own alone.
 */
export function pairRows(before: readonly StatsRow[], after: readonly StatsRow[]): Pair[] {
  const oneFile = (rows: readonly StatsRow[]) => new Set(rows.map(({ file }) => file)).size <= 1;
  const byName = oneFile(before) && oneFile(after);
  const key = ({ file, program }: StatsRow) =>
    JSON.stringify(byName ? [program] : [file.replace(/^.*\//, ''), program]);
  const left = new Map(before.map((row) => [key(row), row]));
  const pairs: Pair[] = after.map((row) => {
    const old = left.get(key(row));
    left.delete(key(row));
    return { ...(old ? { old } : {}), new: row };
  });
  return [...pairs, ...[...left.values()].map((old) => ({ old }))];
}

/** The cells of one column: old, new, and how they differ: `+12 (+4.80%)`, `MATCH`, `MISMATCH`. */
export function comparedCells(pair: Pair, column: Column): [string, string, string] {
  const of = (row: StatsRow | undefined) => (row ? cellOf(row, column) : NOT_KNOWN);
  const [a, b] = [of(pair.old), of(pair.new)];
  return [a, b, difference(a, b, column)];
}

function difference(a: string, b: string, { key }: Column): string {
  if (a === NOT_KNOWN || b === NOT_KNOWN) return NOT_KNOWN;
  if (key === 'verdict') return a === b ? 'MATCH' : 'MISMATCH';
  const [before, after] = [Number(a), Number(b)];
  const percent = before === 0 ? (after === 0 ? 0 : 100) : ((after - before) / before) * 100;
  const sign = after >= before ? '+' : '';
  return `${sign}${after - before} (${sign}${percent.toFixed(2)}%)`;
}

/** A growth of a cost that is not to be taken: `insns+5%`, `states+100`. */
export interface Limit {
  column: Column;
  amount: number;
  percent: boolean;
  /** As it was written. */
  text: string;
}

/** What got worse: a program that is no longer accepted, a cost beyond its limit. One sentence each. */
export function regressions(pairs: readonly Pair[], limits: readonly Limit[]): string[] {
  return pairs.flatMap(({ old, new: now }) => {
    if (!old || !now) return [];
    const found: string[] = [];
    if (old.verdict === 'success' && now.verdict === 'failure') {
      found.push(`${now.program}: accepted before, rejected now`);
    }
    for (const { column, amount, percent, text } of limits) {
      const [before, after] = [old[column.key], now[column.key]];
      if (typeof before !== 'number' || typeof after !== 'number') continue;
      if (after > before + (percent ? (before * amount) / 100 : amount)) {
        found.push(
          `${now.program}: ${column.title.toLowerCase()} grew from ${before} to ${after}, beyond ${text}`,
        );
      }
    }
    return found;
  });
}
