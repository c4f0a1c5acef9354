/** Values are decoded as a native compiler laid them out, and encoded so that decoding gives them back. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { clangAtHand } from '../../test/support/clang';
import { compileBpf, repository } from '../../test/verifier/compile';
import { readBpfObject } from '../elf/object';
import type { BpfObject } from '../elf/object';
import type { Btf } from './btf';
import { encode, setValue } from './encode';
import { format, toJson } from './format';
import { bytesOf, childrenOf, decode, decodeBytes, valueAt } from './value';
import type { Value } from './value';

const run = promisify(execFile);
const fixtures = path.join(repository, 'test/fixtures/btf');
let object: BpfObject;
let btf: Btf;
let oracle: { members: Record<string, [number, number]>; sizes: Record<string, number>; bytes: string };
let everything: Value;

beforeAll(async () => {
  const outcome = readBpfObject(await compileBpf(path.join(fixtures, 'layout.bpf.c')));
  if (!outcome.ok || !outcome.value.btf) throw new Error('the fixture has no BTF');
  object = outcome.value;
  btf = outcome.value.btf;
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-'));
  try {
    const program = path.join(directory, 'oracle');
    await run(await clangAtHand(), [path.join(fixtures, 'oracle.c'), '-o', program]);
    oracle = JSON.parse((await run(program)).stdout);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  everything = decode(btf, idOf('everything'), hex(oracle.bytes), { name: 'value' });
});

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'));
const idOf = (name: string) => btf.find('struct', name)?.id ?? 0;
const shown = (path: string) => format(at(path));
function at(path: string): Value {
  const value = valueAt(everything, path);
  if (!value) throw new Error(`no value at ${path}`);
  return value;
}

test('sizes and offsets are those of the native compiler', () => {
  for (const [name, size] of Object.entries(oracle.sizes))
    expect([name, btf.sizeOf(idOf(name))]).toEqual([name, size]);
  for (const [key, [offset, size]] of Object.entries(oracle.members)) {
    const [type, member] = key.split('.') as [string, string?];
    if (!member) continue;
    const value = valueAt(decode(btf, idOf(type), new Uint8Array(4096)), `.${member}`);
    expect([key, value?.offset, value?.size]).toEqual([key, offset, size]);
  }
});

test('every kind of member shows the value that was stored natively', () => {
  const expected: Record<string, string> = {
    '.s8': '-5',
    '.s16': '-30000',
    '.s32': '-2000000000',
    '.s64': '-9000000000000000000',
    '.u_8': '200',
    '.u_16': '60000',
    '.u_32': '4000000000',
    '.u_64': '18000000000000000000',
    '.s128': `${-(1n << 100n)}`,
    '.f': '1.5',
    '.d': '-0.125',
    '.yes': 'true',
    '.action': 'ACT_NEGATIVE (-3)',
    '.flags': 'FLAG_A | FLAG_D (257)',
    '.wide': `WIDE_TOP (${0xfedcba9876543210n})`,
    '.mac': '02:00:5e:10:ff:01 [02 00 5e 10 ff 01]',
    '.saddr': `${0x0700000a} (10.0.0.7)`,
    '.address.s_addr': `${0xfe01a8c0} (192.168.1.254)`,
    '.matrix[1][2]': '42',
    '.matrix[0]': '[0, 0, 0]',
    '.pointer': '0xffff888012345678',
    '.handler': 'NULL',
    '.packed.second': '77',
    '.bits.low': '5',
    '.bits.middle': '1234',
    '.bits.negative': '-7',
    '.bits.high': '301',
    '.bits.across': `${0xabcdef0123}`,
    '.bits.tail': '1',
    '.bits.truth': 'true',
    '.anonymous.before': '1',
    '.anonymous.number': `${0x56781234}`,
    '.anonymous.octets[3]': `${0x56}`,
    '.anonymous.high_half': `${0x5678}`,
    '.anonymous.inner_b': '10',
    '.anonymous.after': '-1',
  };
  for (const [path, text] of Object.entries(expected)) expect([path, shown(path)]).toEqual([path, text]);
  expect(shown('.port')).toMatch(/^47873 \(host order 443\)$/);
  expect(shown('.address6')).toMatch(/^2001:db8::1 \{20 01 0d b8 /);
  expect(shown('.name')).toBe('"a\\"b\\n" (and 1 bytes after the NUL)');
  expect(shown('.anonymous')).toContain('before = 1');
});

test('types are spelled as C declares them', () => {
  const spelled = (path: string) => at(path).type;
  expect(spelled('.handler')).toBe('int (*)(void *, int)');
  expect(spelled('.list')).toBe('const struct padded *const[2]');
  expect(spelled('.matrix')).toBe('int[2][3]');
  expect(spelled('.s128')).toBe('__int128');
  expect(spelled('.u_64')).toBe('u64');
});

test('children are made a page at a time, with paths that lead back to them', () => {
  const visit = (value: Value): number => {
    const children = childrenOf(value);
    expect(children.length).toBe(value.childCount);
    for (const [index, child] of children.entries()) {
      expect(childrenOf(value, index, 1)[0]?.path).toBe(child.path);
      if (!child.path.includes('<')) expect(valueAt(everything, child.path)).toEqual(child);
    }
    return children.reduce((count, child) => count + visit(child), 1);
  };
  expect(visit(everything)).toBeGreaterThan(80);
  expect(valueAt(everything, '.nothing')).toBeUndefined();
  expect(valueAt(everything, '.matrix[7]')).toBeUndefined();
  expect(valueAt(everything, '.s8.deeper')).toBeUndefined();
});

test('a flexible array takes the bytes behind the struct', () => {
  const value = decode(btf, idOf('flexible'), hex('03000000010002000300ff'));
  expect(format(valueAt(value, '.items') as Value)).toBe('[1, 2, 3]');
});

test('values that end before their type does are shown as missing, not as zero', () => {
  const value = decode(btf, idOf('padded'), hex('61000000'));
  expect(value.kind).toBe('missing');
  expect(format(value)).toBe('<beyond the 4 bytes read>');
});

test('bytes without a type are shown as bytes and as the number they would be', () => {
  expect(format(decodeBytes(hex('ffffffff')))).toBe('ff ff ff ff (u32 4294967295, s32 -1)');
  expect(format(decodeBytes(hex('0100000000000000')))).toBe('01 00 00 00 00 00 00 00 (u64 1)');
  expect(childrenOf(decodeBytes(new Uint8Array(40))).map((row) => row.name)).toEqual(['[0]', '[16]', '[32]']);
});

describe('global variables', () => {
  test('their offsets come from the symbol table, which clang leaves out of BTF', () => {
    const symbol = (name: string) => object.elf.symbols.find((one) => one.name === name)?.value;
    for (const section of btf.ofKind('datasec')) {
      for (const { type, offset } of section.variables) {
        const { name } = btf.type(type);
        if (symbol(name) !== undefined) expect([name, offset]).toEqual([name, symbol(name)]);
      }
    }
    const data = object.elf.sections.find((section) => section.name === '.data');
    const section = decode(btf, btf.find('datasec', '.data')?.id ?? 0, data?.data ?? new Uint8Array());
    expect(format(valueAt(section, '.small') as Value)).toBe('[1, 2, 3]');
    expect(toJson(section)).toMatchObject({ local_state: { hidden: 1, counter: 2 }, small: [1, 2, 3] });
  });

  test('they are listed as maps of the object', () => {
    expect(
      object.maps
        .filter((map) => map.globals)
        .map((map) => map.name)
        .sort(),
    ).toEqual(['.bss', '.data', '.rodata']);
  });
});

describe('typed text becomes bytes', () => {
  const edited = (path: string, text: string): string => {
    const outcome = setValue(at(path), text);
    if (!outcome.ok) return `${outcome.problem.code}: ${outcome.problem.message}`;
    const root = decode(btf, everything.typeId, outcome.value);
    return format(valueAt(root, path) as Value);
  };

  test('each leaf takes what it shows, and other notations of it', () => {
    expect(edited('.u_32', '0x2a')).toBe('42');
    expect(edited('.s32', '-17')).toBe('-17');
    expect(edited('.s32', '0xffffffff')).toBe('-1');
    expect(edited('.u_8', "'A'")).toBe('65');
    expect(edited('.s128', '-170141183460469231731687303715884105728')).toBe(`${-(1n << 127n)}`);
    expect(edited('.action', 'ACT_DROP')).toBe('ACT_DROP (5)');
    expect(edited('.flags', 'FLAG_B | FLAG_C')).toBe('FLAG_B | FLAG_C (6)');
    expect(edited('.flags', 'FLAG_A | FLAG_D (257)')).toBe('FLAG_A | FLAG_D (257)');
    expect(edited('.wide', 'WIDE_ONE')).toBe('WIDE_ONE (1)');
    expect(edited('.yes', 'false')).toBe('false');
    expect(edited('.d', '2.5e3')).toBe('2500');
    expect(edited('.name', '"eth0"')).toBe('"eth0"');
    expect(edited('.mac', 'aa:bb:cc:dd:ee:ff')).toMatch(/^aa:bb:cc:dd:ee:ff/);
    expect(edited('.mac', '01 02 03 04 05 06')).toMatch(/^01:02:03:04:05:06/);
    expect(edited('.saddr', '127.0.0.1')).toMatch(/\(127\.0\.0\.1\)$/);
    expect(edited('.address', '127.0.0.2')).toMatch(/^127\.0\.0\.2 /);
    expect(edited('.address6', 'fe80::1')).toMatch(/^fe80::1 /);
    expect(edited('.port', 'bpf_htons(8080)')).toMatch(/\(host order 8080\)$/);
    expect(edited('.matrix[0]', '{ 7, 8, 9 }')).toBe('[7, 8, 9]');
    expect(edited('.anonymous', '{ .low_half = 1, .inner_b = 3 }')).toMatch(/before = 1,.*inner_b = 3/);
    expect(edited('.padded', '{"first": 1, "second": 2, "third": 3}')).toMatch(/second = 2, third = 3/);
    expect(edited('.bits.across', `${0xffffffffff}`)).toBe(`${0xffffffffff}`);
  });

  test('the displayed text of any leaf, typed back, changes nothing', () => {
    const leaves = (value: Value): Value[] =>
      value.childCount && value.kind !== 'text' ? childrenOf(value).flatMap(leaves) : [value];
    for (const leaf of leaves(everything).filter((one) => one.path !== '.name')) {
      const outcome = setValue(leaf, format(leaf));
      expect([leaf.path, outcome.ok ? 'same' : outcome.problem.message]).toEqual([leaf.path, 'same']);
      if (outcome.ok) expect(Buffer.from(outcome.value).toString('hex')).toBe(oracle.bytes);
    }
  });

  test('writing a bitfield leaves its neighbours alone', () => {
    const outcome = setValue(at('.bits.middle'), '0');
    if (!outcome.ok) throw new Error(outcome.problem.message);
    const root = decode(btf, everything.typeId, outcome.value);
    for (const name of ['low', 'negative', 'high', 'across', 'tail', 'truth']) {
      expect(format(valueAt(root, `.bits.${name}`) as Value)).toBe(shown(`.bits.${name}`));
    }
    expect(bytesOf(everything)).toEqual(hex(oracle.bytes));
  });

  test('what does not fit is refused with the reason and the limits', () => {
    expect(edited('.u_8', '256')).toMatch(/^value\/range/);
    expect(edited('.s8', '-129')).toMatch(/^value\/range/);
    expect(edited('.bits.low', '8')).toMatch(/^value\/range/);
    expect(edited('.u_32', 'twelve')).toMatch(/^value\/syntax/);
    expect(edited('.name', '"far too long a name"')).toMatch(/^value\/length/);
    expect(edited('.mac', '1:2:3')).toMatch(/^value\/(length|syntax)/);
    expect(edited('.matrix[0]', '{1, 2, 3, 4}')).toMatch(/^value\/length/);
    expect(edited('.padded', '{ .missing = 1 }')).toMatch(/^value\/member/);
    expect(edited('.padded', '{ .first = 1')).toMatch(/^value\/syntax/);
    expect(edited('.saddr', '10.0.0.256')).toMatch(/^value\/syntax/);
  });

  test('a new value is zero where nothing is said', () => {
    const outcome = encode(btf, idOf('padded'), '{ .second = 258 }');
    expect(outcome).toEqual({ ok: true, value: hex('000000000000000002010000000000000000000000000000') });
  });
});
