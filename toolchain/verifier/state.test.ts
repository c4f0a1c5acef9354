/** States as each kernel spells them; test/verifier/states.test.ts reads those that real kernels print. */
import { describe, expect, test } from 'vitest';
import { parseState } from './state';
import { constantOf, parseValue } from './value';

describe('a value', () => {
  test.each([
    ['Linux 5.10', 'inv(id=0,umax_value=255,var_off=(0x0; 0xff))'],
    ['Linux 6.1', 'scalar(umax=255,var_off=(0x0; 0xff))'],
    ['Linux 6.12', 'scalar(smin=smin32=0,smax=umax=smax32=umax32=255,var_off=(0x0; 0xff))'],
  ])('is the same number in the words of %s', (_, text) => {
    const { type, bounds, id, unread } = parseValue(text);
    expect([type, bounds.umin, bounds.umax, bounds.bits, id, unread]).toEqual([
      'scalar',
      0n,
      255n,
      { value: 0n, mask: 255n },
      undefined,
      [],
    ]);
  });

  test.each([
    ['invP-4', -4n, true],
    ['inv0', 0n, false],
    ['P18', 18n, true],
    ['0xffffffffffff8000', -0x8000n, false],
  ])('%s is a constant', (text, number, precise) => {
    const value = parseValue(text);
    expect([value.type, constantOf(value.bounds), value.precise]).toEqual(['scalar', number, precise]);
  });

  test('of a map tells its map, its offset and whether it may be NULL', () => {
    const value = parseValue('map_value_or_null(id=2,map=counts,ks=4,vs=16,off=8)');
    expect(value).toMatchObject({
      type: 'map_value',
      mayBeNull: true,
      id: 2,
      offset: 8n,
      map: { name: 'counts', keySize: 4, valueSize: 16 },
    });
    // `imm` is hexadecimal without a prefix up to 6.7.
    expect(constantOf(parseValue('map_value(id=0,off=0,ks=4,vs=16,imm=10)').bounds)).toBe(16n);
    expect(constantOf(parseValue('map_value(map=counts,ks=4,vs=16,imm=10)').bounds)).toBe(10n);
  });

  test('of the kernel tells its struct and how far it is trusted', () => {
    expect(parseValue('rcu_ptr_or_null_task_struct(id=1,ref_obj_id=3)')).toMatchObject({
      type: 'ptr',
      struct: 'task_struct',
      modifiers: ['rcu'],
      mayBeNull: true,
      reference: 3,
    });
  });

  test('of a packet whose end it is behind has nothing that can be read', () => {
    expect(parseValue('pkt(off=1,r=0xfffffffffffffffe)').range).toBe(-2);
  });

  test('that no kernel prints is kept, and named as not read', () => {
    expect(parseValue('pkt(r=4,zoom=9)').unread).toEqual(['zoom=9']);
    expect(parseState('R1=ctx() what R77=').unread).toEqual(['what']);
  });
});

describe('a stack slot', () => {
  const slot = (text: string) => parseState(`R10=fp0 ${text}`).stack[0];
  test.each([
    ['fp-8=mmmm????', { offset: -8, bytes: 'mmmm????' }],
    ['fp-16_w=00000000', { offset: -16, bytes: '00000000', written: true }],
    ['fp-24=mmmm0xffffffff', { bytes: 'mmmm' }],
    ['fp-24=0000scalar(id=1)', { bytes: '0000' }],
    ['fp-8=0', { bytes: '' }],
    ['fp-8=dynptr_skb(ref_id=2)', { object: { kind: 'dynptr', name: 'skb', reference: 2 } }],
    [
      'fp-8=iter_num(ref_id=1,state=active,depth=2)',
      { object: { kind: 'iter', name: 'num', reference: 1, state: 'active', depth: 2 } },
    ],
  ])('%s', (text, expected) => expect(slot(text)).toMatchObject(expected));

  test('of which a kernel prints the type only, tells no more', () => {
    expect(slot('fp-8=map_value')?.value).toMatchObject({ type: 'map_value', isBare: true });
    expect(slot('fp-8=1')?.value?.isBare).toBe(false);
  });
});

test('a state tells its frame, references and callbacks', () => {
  const state = parseState('from 3 to 12 (speculative execution): frame2: R0=0 R10=fp0 refs=1,4 cb');
  expect([state.frame, state.references, state.inCallback, state.unread]).toEqual([2, [1, 4], true, []]);
});
