/** Coverage of several runs added up, by source text: what ran in any of them, and how often in all. */
import type { BranchCoverage, BranchSide, FileCoverage, LineCoverage } from '../protocol';

export interface SummedCoverage extends FileCoverage {
  /** Runs that were added up: those of programs with code from the file. */
  runs: number;
}

/** Files by path. */
export type CoverageSum = ReadonlyMap<string, SummedCoverage>;

/**
 * The sum with one run more. A file whose text has changed between the runs has the lines of the new text only;
 * `replaced` names those.
 */
export function withRun(
  sum: CoverageSum,
  run: readonly FileCoverage[],
): { sum: CoverageSum; replaced: string[] } {
  const next = new Map(sum);
  const replaced: string[] = [];
  for (const file of run) {
    const before = next.get(file.path);
    const isSame = before !== undefined && before.digest === file.digest;
    if (before && !isSame) replaced.push(file.path);
    const lines = addLines(isSame ? before.lines : [], file.lines);
    next.set(file.path, { ...file, lines, runs: isSame ? before.runs + 1 : 1 });
  }
  return { sum: next, replaced };
}

function addLines(before: readonly LineCoverage[], more: readonly LineCoverage[]): LineCoverage[] {
  const lines = new Map<number, LineCoverage>();
  for (const { line, hits, branches } of [...before, ...more]) {
    const known = lines.get(line);
    lines.set(line, {
      line,
      hits: (known?.hits ?? 0) + hits,
      branches: addBranches([...(known?.branches ?? []), ...branches]),
    });
  }
  return [...lines.values()].sort((a, b) => a.line - b.line);
}

/** One for each place in the source: copies that inlining and unrolling made of a branch are the same. */
function addBranches(branches: readonly BranchCoverage[]): BranchCoverage[] {
  const sums = new Map<string, BranchCoverage>();
  for (const branch of branches) {
    const sides = [...branch.sides].sort((a, b) => compare(keyOf(a), keyOf(b))) as BranchCoverage['sides'];
    const key = [branch.column, ...sides.map(keyOf)].join('|');
    const known = sums.get(key)?.sides;
    const sum = sides.map((side, index) => ({ ...side, times: side.times + (known?.[index]?.times ?? 0) }));
    sums.set(key, { column: branch.column, sides: sum as BranchCoverage['sides'] });
  }
  return [...sums.values()].sort((a, b) => a.column - b.column);
}

function keyOf({ path = '', line = 0, column = 0 }: BranchSide): string {
  return [path, line, column].map((part) => String(part).padStart(8)).join(':');
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Lines that ran, of those with code, and sides of branches that were taken. */
export interface Totals {
  lines: number;
  linesRun: number;
  sides: number;
  sidesTaken: number;
}

export function totals(lines: readonly LineCoverage[]): Totals {
  const sides = lines.flatMap(({ branches }) => branches.flatMap((branch) => branch.sides));
  return {
    lines: lines.length,
    linesRun: lines.filter(({ hits }) => hits > 0).length,
    sides: sides.length,
    sidesTaken: sides.filter(({ times }) => times > 0).length,
  };
}

/** What both sides do has no line of its own, such as the constants of `a ? 1 : 2`. */
export function isSamePlace([one, other]: BranchCoverage['sides']): boolean {
  return one.line === other.line && one.column === other.column && one.path === other.path;
}
