import { describe, expect, test } from 'vitest';
import { cpuMilliseconds } from '../../test/support/cpu-time';
import { followPath } from './path';
import type { SourcePositions, SourceSpan } from './position';
import { trailOf, type TrailRow } from './trail';

/** Positions from a table of instruction → one-based line; each holds until the next one. */
function positionsOf(table: Record<number, number>): SourcePositions {
  const at = (insn: number): SourceSpan | undefined => {
    const first = Object.keys(table)
      .map(Number)
      .filter((begin) => begin <= insn)
      .at(-1);
    if (first === undefined) return undefined;
    const line = (table[first] as number) - 1;
    const place = { line, character: 0 };
    const text = `line ${line + 1}`;
    return { path: '/x.c', range: { start: place, end: place }, text, column: 1, expression: text };
  };
  return {
    at,
    withWord: () => undefined,
    atLine: () => undefined,
    declared: () => at(0)!,
    first: () => at(0),
  };
}

/** Rows as text: `3`, `3→5`, `loop 3 ×2 [..]`, `3 {..}`. */
function spell(rows: TrailRow[]): string {
  return rows
    .map((row) => {
      const line = row.at ? String(row.at.range.start.line + 1) : '?';
      if (row.kind === 'loop') return `loop ${line} ×${row.count} [${spell(row.rows)}]`;
      const decision = row.decision ? `→${row.decision.to.range.start.line + 1}` : '';
      return `${line}${decision}${row.inside ? ` {${spell(row.inside)}}` : ''}`;
    })
    .join(' ');
}

const trail = (log: string[], table: Record<number, number>): TrailRow[] => {
  const { steps } = followPath(log.join('\n'));
  return trailOf(steps, 0, steps.length - 1, positionsOf(table));
};

const straight = ['0: (b7) r0 = 0', '1: (b7) r1 = 1', '2: (bf) r2 = r1'];
const round = ['1: (07) r1 += 1', '2: (a5) if r1 < 0x9 goto pc-2'];

describe('the rows of a path', () => {
  test('are visits of lines, not instructions', () => {
    expect(spell(trail(straight, { 0: 1, 2: 2 }))).toBe('1 2');
  });

  test('fold what comes again, with the last round and the way out', () => {
    const log = ['0: (b7) r1 = 0', ...round, ...round, ...round, '3: (95) exit'];
    expect(spell(trail(log, { 0: 1, 1: 3, 2: 2, 3: 5 }))).toBe('1 loop 2 ×3 [3 2→5] 5');
  });

  test('fold loops in loops', () => {
    const outer = ['1: (b7) r2 = 0', '2: (07) r2 += 1', '3: (a5) if r2 < 0x3 goto pc-2'];
    const inner = ['2: (07) r2 += 1', '3: (a5) if r2 < 0x3 goto pc-2'];
    const back = ['4: (a5) if r1 < 0x9 goto pc-4'];
    const turn = [...outer, ...inner, ...back];
    const log = ['0: (b7) r1 = 0', ...turn, ...turn, '5: (95) exit'];
    const rows = trail(log, { 0: 1, 1: 3, 2: 5, 3: 4, 4: 2, 5: 9 });
    expect(spell(rows)).toBe('1 loop 2 ×2 [3 loop 4 ×2 [5 4→2] 2→9] 9');
  });

  test('put a called function under its call, also in a loop', () => {
    const call = ['1: (85) call pc+3', '5: (b7) r0 = 1', '6: (95) exit', '2: (a5) if r0 < 0x9 goto pc-2'];
    const log = ['0: (b7) r1 = 0', ...call, ...call, '3: (95) exit'];
    expect(spell(trail(log, { 0: 1, 1: 3, 2: 2, 3: 4, 5: 8 }))).toBe('1 loop 2 ×2 [3 {8} 2→4] 4');
  });

  test('of a stretch that begins in a function go on in its caller', () => {
    const log = ['0: (85) call pc+2', '3: (b7) r0 = 1', '4: (95) exit', '1: (95) exit'];
    const { steps } = followPath(log.join('\n'));
    expect(spell(trailOf(steps, 1, 3, positionsOf({ 0: 1, 1: 2, 3: 8 })))).toBe('8 2');
  });

  test('exist without line information, and not for steps that are not there', () => {
    expect(spell(trail(straight, {}))).toBe('?');
    expect(trailOf([], 0, 5, positionsOf({}))).toEqual([]);
    const { steps } = followPath(straight.join('\n'));
    expect(trailOf(steps, 2, 1, positionsOf({}))).toEqual([]);
  });

  test('of a path of 100,000 steps are made in moments', () => {
    const log = Array.from({ length: 50_000 }, () => round).flat();
    const spent = cpuMilliseconds(() =>
      expect(spell(trail(log, { 1: 3, 2: 2 }))).toBe('loop 2 ×50000 [3 2]'),
    );
    expect(spent).toBeLessThan(60_000);
  });
});
