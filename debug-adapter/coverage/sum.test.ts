import { expect, test } from 'vitest';
import type { BranchCoverage, FileCoverage } from '../protocol';
import { totals, withRun, type CoverageSum } from './sum';

const none: CoverageSum = new Map();

function branch(column: number, ...sides: [line: number, times: number][]): BranchCoverage {
  return { column, sides: sides.map(([line, times]) => ({ line, times })) as BranchCoverage['sides'] };
}

function file(digest: string, hits: Record<number, number>, branches: BranchCoverage[] = []): FileCoverage {
  return {
    path: '/drop.bpf.c',
    digest,
    lines: Object.entries(hits).map(([line, times], index) => ({
      line: Number(line),
      hits: times,
      branches: index === 0 ? branches : [],
    })),
  };
}

test('hits of several runs are added, also of lines that only one program has', () => {
  const first = withRun(none, [file('a', { 3: 1, 4: 0 })]);
  const { sum, replaced } = withRun(first.sum, [file('a', { 3: 2, 9: 5 })]);
  expect(replaced).toEqual([]);
  expect(sum.get('/drop.bpf.c')!.runs).toBe(2);
  expect(sum.get('/drop.bpf.c')!.lines.map(({ line, hits }) => [line, hits])).toEqual([
    [3, 3],
    [4, 0],
    [9, 5],
  ]);
});

test('a branch is the same in each run and each copy, whichever of its sides jumps', () => {
  const copies = [branch(6, [7, 2], [9, 0]), branch(6, [9, 4], [7, 1]), branch(20, [7, 1], [9, 0])];
  const first = withRun(none, [file('a', { 5: 3 }, copies)]);
  const { sum } = withRun(first.sum, [file('a', { 5: 1 }, [branch(6, [7, 0], [9, 1])])]);
  expect(sum.get('/drop.bpf.c')!.lines[0]!.branches).toEqual([
    branch(6, [7, 3], [9, 5]),
    branch(20, [7, 1], [9, 0]),
  ]);
});

test('lines of a changed text replace those of the old one', () => {
  const first = withRun(none, [file('a', { 3: 1, 4: 1 })]);
  const { sum, replaced } = withRun(first.sum, [file('b', { 3: 0 })]);
  expect(replaced).toEqual(['/drop.bpf.c']);
  expect(sum.get('/drop.bpf.c')!.runs).toBe(1);
  expect(sum.get('/drop.bpf.c')!.lines).toEqual([{ line: 3, hits: 0, branches: [] }]);
});

test('totals count lines and sides', () => {
  expect(totals(file('a', { 3: 1, 4: 0 }, [branch(1, [4, 0], [5, 1])]).lines)).toEqual({
    lines: 2,
    linesRun: 1,
    sides: 2,
    sidesTaken: 1,
  });
});
