/** Whether a condition of the source holds on a path is said only where the jump leaves no doubt. */
import { describe, expect, test } from 'vitest';
import { conditionAt, truthOf } from './decisions';
import type { Comparison, FlowValue } from './flow';
import { decode } from './instruction';

const value: FlowValue = { kind: 'load', index: 0, register: 1, holders: [] };
const on = (relation: string, right: bigint): Comparison => ({
  index: 1,
  left: value,
  right,
  relation,
  bits: 64,
});

describe('truth of a condition', () => {
  test.each([
    ['len > 64', '>', 64n, true],
    ['len > 64', '<=', 64n, false],
    ['len > 64', '<', 65n, false],
    ['len >= 0x10', 's>', 15n, true],
    ['!v', '==', 0n, true],
    ['!v', '!=', 0n, false],
    ['v', '!=', 0n, true],
    ['p == NULL', '==', 0n, true],
    ['n == 017', '==', 15n, true],
    // The jump belongs to something else, or the compiler took the condition apart.
    ['len > 64', '>', 63n, undefined],
    ['len > limit', '>', 64n, undefined],
    ['flags & 4', '&', 4n, undefined],
  ])('%s on a path where the value is %s %s', (condition, relation, right, truth) => {
    expect(truthOf(condition, on(relation, right))).toBe(truth);
  });

  test('a condition that is only a part of the decision is not judged', () => {
    expect(conditionAt('\tif (len > 64) {', 6)).toBe('len > 64');
    expect(conditionAt('\twhile (next(a, b) != 0)', 9)).toBe('next(a, b) != 0');
    for (const text of [
      '\tif (a > 1 && b > 2)',
      '\tif (a ? b : c)',
      '\tif (a) if (b)',
      '\tif (a >',
      '\tx = a > 1;',
    ]) {
      expect(conditionAt(text, 6), text).toBeUndefined();
    }
  });
});

test('instructions of all kernels are taken apart, and rubbish is none', () => {
  expect(decode('if w3 s<= 0xffffffff goto pc-4', 9)).toEqual({
    kind: 'branch',
    left: 3,
    operator: 's<=',
    right: { constant: 0xffffffffn },
    bits: 32,
    target: 6,
  });
  expect(decode('r1 = (s8)r2', 0)).toEqual({ kind: 'move', to: 1, from: 2, bits: 8, signed: true });
  expect(decode('r2 = *(u32 *)(r10 -8)', 0)).toEqual({
    kind: 'load',
    to: 2,
    base: 10,
    offset: -8,
    size: 4,
    signed: false,
  });
  expect(decode('call bpf_map_lookup_elem#1', 0)).toEqual({ kind: 'call', name: 'bpf_map_lookup_elem' });
  expect(decode('call pc+12', 0)).toEqual({ kind: 'call', name: undefined });
  expect(decode('r0 = atomic64_fetch_add((u64 *)(r1 +8), r2)', 0)).toEqual({
    kind: 'atomic',
    base: 1,
    offset: 8,
    size: 8,
    to: 0,
  });
  expect(decode('lock *(u64 *)(r1 +0) += r2', 0)).toMatchObject({ kind: 'atomic', base: 1, to: undefined });
  for (const text of ['', 'r', 'if', 'r99 = ', '*(u8 *)(', 'call', '\u0000'])
    expect(decode(text, 0).kind).toBe('other');
});
