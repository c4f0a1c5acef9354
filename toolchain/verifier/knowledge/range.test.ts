import { describe, expect, test } from 'vitest';
import { parseValue } from '../value';
import { spellPointer } from './pointer';
import { joinRanges, rangeOf, spellRange } from './range';
import { joinVariables, spellVariable } from './variable';

const range = (text: string, width: number, isSigned = false) =>
  rangeOf(parseValue(text).bounds, width, isSigned);

describe('the range of a variable', () => {
  test.each([
    ['scalar(smin=0,smax=umax=1500,var_off=(0x0; 0x7ff))', 64, false, '∈ [0, 1500]'],
    ['scalar(smin=0,smax=umax=60,var_off=(0x0; 0x3c))', 32, false, '∈ [0, 60], multiple of 4'],
    ['scalar(smin=umin=34,smax=umax=74,var_off=(0x2; 0x7c))', 32, false, '∈ [34, 74], multiple of 4 plus 2'],
    ['5', 32, true, '= 5'],
    ['0xffffffff', 32, true, '= -1'],
    ['0xffffffff', 32, false, '= 0xffffffff'],
    ['scalar(smin=-10,smax=20)', 64, true, '∈ [-10, 20]'],
    // As an unsigned number a value that may be negative may be anything.
    ['scalar(smin=-10,smax=20)', 64, false, undefined],
    ['scalar()', 32, false, undefined],
    ['scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))', 32, false, undefined],
    // More bits may be set than the variable has.
    ['scalar(smin=0,smax=umax=300,var_off=(0x0; 0x1ff))', 8, false, undefined],
    ['scalar(smin32=-5,smax32=7)', 32, true, '∈ [-5, 7]'],
    ['scalar(var_off=(0x0; 0xfffffffffffffff8))', 64, false, '∈ [0, 18446744073709551608], multiple of 8'],
  ])('%s as %i bits, signed: %s', (text, width, isSigned, said) => {
    expect(spellRange(range(text, width, isSigned))).toBe(said);
  });

  test('holds every value that one of two visits allows, and no claim that fails in one', () => {
    const [four, six] = [range('4', 32), range('6', 32)];
    expect(spellRange(joinRanges(four, six))).toBe('∈ [4, 6], multiple of 2');
    expect(spellRange(joinRanges(four, range('7', 32)))).toBe('∈ [4, 7]');
  });

  test('never leaves out a value that the register may have', () => {
    // Every limit alone and all together, against counting.
    const text = 'scalar(smin=-3,smax=9,umin32=1,var_off=(0x1; 0xfffffffffffffffe))';
    for (const [width, isSigned] of [
      [8, true],
      [8, false],
      [16, true],
      [32, false],
    ] as const) {
      const { min, max } = range(text, width, isSigned);
      for (let number = -3n; number <= 9n; number += 2n) {
        const low = isSigned ? BigInt.asIntN(width, number) : BigInt.asUintN(width, number);
        expect(low >= min && low <= max, `${number} as ${width} bits`).toBe(true);
      }
    }
  });
});

describe('a pointer', () => {
  const older = { mergesOffsets: false };
  const newer = { mergesOffsets: true };
  test.each([
    ['pkt(off=14,r=34)', older, 'packet+14, 20 bytes proven'],
    ['pkt(id=0,off=14,r=34,imm=0)', older, 'packet+14, 20 bytes proven'],
    ['pkt(r=34,imm=14)', newer, 'packet+14, 20 bytes proven'],
    [
      'pkt(id=1,off=14,r=22,smin=umin=20,smax=umax=60,var_off=(0x0; 0x3c))',
      older,
      'packet+[34, 74], 8 bytes proven',
    ],
    [
      'pkt(id=1,r=82,smin=umin=34,smax=umax=74,var_off=(0x2; 0x7c))',
      newer,
      'packet+[34, 74], 8 bytes proven',
    ],
    ['pkt(off=14,r=0)', older, 'packet+14, no bytes proven'],
    ['map_value_or_null(id=1,map=counts,ks=4,vs=8)', older, 'map value of counts, may be NULL'],
    ['fp-24', older, 'stack-24'],
    ['ctx()', older, 'ctx'],
    ['trusted_ptr_task_struct()', older, 'struct task_struct'],
  ])('%s', (text, dialect, said) => expect(spellPointer(parseValue(text), dialect)).toBe(said));
});

test('of a pointer that is another one in each visit a few are named', () => {
  const all = Array.from({ length: 1000 }, (_, offset) => ({ name: 'p', texts: [`packet+${offset}`] }));
  expect(spellVariable(all.reduce(joinVariables))).toBe('p: packet+0 or packet+1 or packet+2 or others');
  const nullable = [
    { name: 'v', texts: ['map value'] },
    { name: 'v', texts: ['map value, may be NULL'] },
  ];
  expect(spellVariable(nullable.reduce(joinVariables))).toBe('v: map value, may be NULL');
});
