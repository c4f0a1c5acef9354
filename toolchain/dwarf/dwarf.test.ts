/**
 * What this reader says of objects that clang wrote, against what llvm-dwarfdump says of them: two readers of one
 * format that share no line of code.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { compileBpf, repository } from '../../test/verifier/compile';
import { readBpfElf } from '../elf/elf';
import type { ElfFile } from '../elf/elf';
import { readDwarf } from './dwarf';
import type { Dwarf, Scope } from './dwarf';
import { describeLocation, evaluate } from './expression';

const fixtures = ['accepted', 'rejected'].flatMap((folder) => {
  const directory = path.join(repository, 'test/fixtures/verifier', folder);
  return readdirSync(directory).map((name) => path.join(directory, name));
});
// Some twenty are enough to meet every form, and keep the test within seconds. Those that need a kernel's types would
// need that kernel, too.
const sample = fixtures
  .filter((file) => file.endsWith('.bpf.c') && !readFileSync(file, 'utf8').includes('vmlinux.h'))
  .filter((_, index) => index % 12 === 0);

/** A program whose variables live in all the places that clang knows. */
const everywhere = `
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
typedef struct { __u32 low : 3; __u32 high : 29; } flags_t;
struct pair { __u64 first; union { __u32 word; __u8 bytes[4]; }; flags_t flags; enum { RED, BLUE = 7 } colour; };
static __always_inline int add(int left, int right) { int sum = left + right; return sum * sum; }
static __noinline int outer(struct pair *pair, long count) {
  int total = 0;
  for (int round = 0; round < 4; round++) { int step = add((int)((long *)pair)[round], (int)count); total ^= step; }
  return total + (int)pair->first;
}
SEC("tc") int classify(struct __sk_buff *skb) {
  struct pair pair = { .first = skb->len };
  const int constant = 42;
  long array[4] = {};
  bpf_skb_load_bytes(skb, 0, array, sizeof(array));
  int unused = constant * 2;
  return outer(&pair, array[skb->mark & 3]) + constant;
}
SEC("xdp") int drop(struct xdp_md *ctx) { return add(ctx->rx_queue_index, 3); }
char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;

async function compileText(text: string, args: string[]): Promise<Uint8Array<ArrayBuffer>> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-dwarf-'));
  try {
    const source = path.join(directory, 'program.bpf.c');
    await writeFile(source, text);
    return await compileBpf(source, args);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function open(bytes: Uint8Array): { elf: ElfFile; dwarf: Dwarf } {
  const elf = readBpfElf(bytes);
  if (!elf.ok) throw new Error(elf.problem.message);
  const dwarf = readDwarf(elf.value);
  if (!dwarf) throw new Error('the object has no DWARF');
  return { elf: elf.value, dwarf };
}

/** One entry of llvm-dwarfdump's output: its depth, and its attributes as printed. */
interface Dumped {
  tag: string;
  depth: number;
  attributes: Map<string, string>;
}

const dumper = ['llvm-dwarfdump-19', 'llvm-dwarfdump'].find((name) => {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
});

async function dumpText(bytes: Uint8Array, section: string): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-dwarf-'));
  try {
    const file = path.join(directory, 'object.o');
    await writeFile(file, bytes);
    return execFileSync(dumper as string, [section, file], { encoding: 'utf8', maxBuffer: 1 << 28 });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function dump(bytes: Uint8Array): Promise<Dumped[]> {
  const entries: Dumped[] = [];
  let attribute = '';
  for (const line of (await dumpText(bytes, '--debug-info')).split('\n')) {
    const entry = /^0x[0-9a-f]+:( +)(DW_TAG_\w+)/.exec(line);
    if (entry) entries.push({ tag: entry[2]!, depth: (entry[1]!.length - 1) / 2, attributes: new Map() });
    const named = /^ +(DW_AT_\w+)\t\((.*)$/.exec(line);
    if (named) attribute = named[1]!;
    const attributes = entries.at(-1)?.attributes;
    if (named) attributes?.set(attribute, named[2]!);
    else if (!entry && line.startsWith('  ')) {
      attributes?.set(attribute, `${attributes.get(attribute)}\n${line.trim()}`);
    }
  }
  return entries;
}

/** `[0x8, 0x10): DW_OP_reg1 W1` and the like, from llvm-dwarfdump's text. */
function dumpedRanges(text: string): string[] {
  return [...text.matchAll(/\[0x([0-9a-f]+), 0x([0-9a-f]+)\)[^:\n]*(?:: (DW_OP_\w+))?/g)].map(
    ([, from, to, op]) => `${parseInt(from!, 16)}-${parseInt(to!, 16)}${op ? ` ${op}` : ''}`,
  );
}

const mnemonics: Record<number, string> = {
  0x10: 'DW_OP_constu',
  0x11: 'DW_OP_consts',
  0x91: 'DW_OP_fbreg',
  0xa3: 'DW_OP_entry_value',
  0x9e: 'DW_OP_implicit_value',
  0x93: 'DW_OP_piece',
  0xa1: 'DW_OP_addrx',
  0x03: 'DW_OP_addr',
};
function firstOperation(expression: Uint8Array): string {
  const op = expression[0]!;
  if (op >= 0x30 && op < 0x50) return `DW_OP_lit${op - 0x30}`;
  if (op >= 0x50 && op < 0x70) return `DW_OP_reg${op - 0x50}`;
  if (op >= 0x70 && op < 0x90) return `DW_OP_breg${op - 0x70}`;
  return mnemonics[op] ?? `op ${op}`;
}

const low = (address: number) => address % 2 ** 32;

/** Functions, inlined calls, blocks and variables as lines of text, in the order of the entries. */
function outline(scope: Scope, dwarf: Dwarf, depth = 1): string[] {
  const ranges = scope.ranges.map(({ from, to }) => `${low(from)}-${low(to)}`).join(' ');
  const call = scope.call ? ` called at ${scope.call.line}:${scope.call.column}` : '';
  const variables = scope.variables.map((variable) => {
    const [first] = variable.locations;
    const places =
      first?.to === Infinity
        ? [firstOperation(first.expression)]
        : variable.locations.map(
            ({ from, to, expression }) => `${low(from)}-${low(to)} ${firstOperation(expression)}`,
          );
    const where = variable.constant === undefined ? places.join(', ') : `constant ${variable.constant}`;
    return `${'  '.repeat(depth + 1)}${variable.isParameter ? 'parameter' : 'variable'} ${variable.name}: ${typeName(dwarf.spell(variable.type))} line ${variable.line} of ${variable.file} ${where}`;
  });
  return [
    `${'  '.repeat(depth)}${scope.kind} ${scope.name} ${ranges}${call}`,
    ...variables,
    ...scope.scopes.flatMap((one) => outline(one, dwarf, depth + 1)),
  ];
}

/** Both write functions and pointers to arrays in ways of their own; the other types alike but for the keyword. */
function typeName(text: string): string {
  return text.includes('(') ? 'complex' : text.replaceAll(/\b(struct|union|enum) /g, '');
}

function unquote(text: string | undefined): string {
  return /"(.*)"\)$/s.exec(text ?? '')?.[1] ?? '';
}

function dumpedOutline(entries: Dumped[]): string[][] {
  const functions: string[][] = [];
  let lines: string[] | undefined;
  for (const { tag, depth, attributes } of entries) {
    if (depth <= 1) lines = undefined;
    const kind = (
      {
        DW_TAG_subprogram: 'function',
        DW_TAG_inlined_subroutine: 'inlined',
        DW_TAG_lexical_block: 'block',
      } as Record<string, string>
    )[tag];
    const get = (name: string) => attributes.get(name);
    const name = unquote(get('DW_AT_name') ?? get('DW_AT_abstract_origin'));
    if (kind) {
      const start = get('DW_AT_low_pc');
      const ranges = start
        ? [`${parseInt(start, 16)}-${parseInt(get('DW_AT_high_pc') ?? '', 16)}`]
        : dumpedRanges(get('DW_AT_ranges') ?? '');
      if (depth === 1 && ranges.length === 0) continue;
      if (depth === 1) functions.push((lines = []));
      const call =
        kind === 'inlined'
          ? ` called at ${parseInt(get('DW_AT_call_line') ?? '0', 10)}:${parseInt(get('DW_AT_call_column') ?? '0', 10)}`
          : '';
      lines?.push(`${'  '.repeat(depth)}${kind} ${kind === 'block' ? '' : name} ${ranges.join(' ')}${call}`);
    } else if (tag === 'DW_TAG_formal_parameter' || tag === 'DW_TAG_variable') {
      const location = get('DW_AT_location');
      const constant = get('DW_AT_const_value');
      const places = location?.includes('[0x')
        ? dumpedRanges(location)
        : [/^\s*(DW_OP_\w+)/.exec(location ?? '')?.[1] ?? ''];
      const where =
        constant === undefined ? places.join(', ') : `constant ${BigInt(constant.replace(')', ''))}`;
      lines?.push(
        `${'  '.repeat(depth)}${tag === 'DW_TAG_variable' ? 'variable' : 'parameter'} ${name}: ${typeName(unquote(get('DW_AT_type')))} line ${parseInt(get('DW_AT_decl_line') ?? '0', 10)} of ${unquote(get('DW_AT_decl_file'))} ${where}`,
      );
    }
  }
  return functions;
}

describe.skipIf(!dumper)(`against llvm-dwarfdump${dumper ? '' : ' (needs llvm)'}`, () => {
  const builds = [
    ...sample.map((file) => ({ name: path.basename(file), build: () => compileBpf(file) })),
    ...[[], ['-gdwarf-4'], ['-O1'], ['-mcpu=v4']].map((args) => ({
      name: `everywhere ${args.join(' ')}`,
      build: () => compileText(everywhere, args),
    })),
  ];
  test.for(builds)('$name', async ({ build }) => {
    const bytes = await build();
    const { dwarf } = open(bytes);
    const dumped = dumpedOutline(await dump(bytes));
    expect(dumped.length).toBeGreaterThan(0);
    // An entry that refers to another shows its type and line there only; both sides are compared by what both print.
    const essence = (lines: string[]) =>
      [...new Set(lines.map((line) => line.replace(/: .* line \d+ of \S*/, '')))].sort();
    const ours = dwarf.functions.map((one) => outline(one, dwarf));
    const printed = dumped.map(essence).sort();
    const optimisedOut = (line: string) => /^ +(parameter|variable) \w+ $/.test(line);
    const known = (lines: string[]) => lines.filter((line) => !optimisedOut(line));
    expect(ours.map(essence).map(known).sort()).toEqual(printed.map(known));
    // Types and lines of those that say them themselves.
    const typed = dumped.flat().filter((line) => /: \S.* line [1-9]/.test(line));
    const said = new Set(ours.flat());
    expect(typed.filter((line) => !said.has(line))).toEqual([]);
  });

  test('instructions without a line', async () => {
    const file = path.join(repository, 'test/fixtures/debug/steps.bpf.c');
    const bytes = await compileBpf(file);
    const { dwarf, elf } = open(bytes);
    const text = await dumpText(bytes, '--debug-line');
    const lines = new Map<string, number>();
    for (const sequence of text.split(/(?<=end_sequence)$/m)) {
      const rows = [...sequence.matchAll(/^0x([0-9a-f]{16}) +(\d+) /gm)].map(
        ([, address, line]) => [parseInt(address!, 16), Number(line)] as const,
      );
      // A sequence is the code of one section, and ends where that does.
      const { name } =
        elf.sections.find(({ flags, size }) => (flags & 4) !== 0 && size === rows.at(-1)?.[0]) ?? {};
      for (const [address, line] of rows.slice(0, -1)) lines.set(`${name}:${address / 8}`, line);
    }
    const differing = [...lines].filter(([key, line]) => {
      const [section, insn] = key.split(':');
      return dwarf.isWithoutLine(section!, Number(insn)) !== (line === 0);
    });
    expect(differing).toEqual([]);
    expect([...lines.values()].filter((line) => line === 0).length).toBeGreaterThan(0);
  });
});
if (!dumper)
  console.log('llvm-dwarfdump is not installed (apt-get install llvm-19): DWARF is not compared with it');

describe('a program whose variables live everywhere', async () => {
  const { dwarf } = open(await compileText(everywhere, ['-fstack-size-section']));
  const lineOf = (text: string) => everywhere.split('\n').findIndex((line) => line.includes(text)) + 1;

  test('types', () => {
    const outer = dwarf.functions.find(({ name }) => name === 'outer')!;
    const pair = dwarf.resolve(outer.variables.find(({ name }) => name === 'pair')!.type);
    if (pair.kind !== 'pointer') throw new Error(pair.kind);
    expect(dwarf.spell(pair.to)).toBe('struct pair');
    expect(dwarf.sizeOf(pair.to)).toBe(24);
    const struct = dwarf.resolve(pair.to);
    if (struct.kind !== 'struct') throw new Error(struct.kind);
    expect(struct.members.map(({ name, bitOffset }) => [name, bitOffset])).toEqual([
      ['first', 0],
      ['', 64],
      ['flags', 96],
      ['colour', 128],
    ]);
    const flags = dwarf.resolve(struct.members[2]!.type);
    expect(flags).toMatchObject({
      kind: 'struct',
      members: [
        { name: 'low', bitOffset: 0, bitSize: 3 },
        { name: 'high', bitOffset: 3, bitSize: 29 },
      ],
    });
    const colour = dwarf.resolve(struct.members[3]!.type);
    expect(colour).toMatchObject({ kind: 'enum', enumerators: [{ value: 0n }, { name: 'BLUE', value: 7n }] });
    const classify = dwarf.functions.find(({ name }) => name === 'classify')!;
    const array = classify.variables.find(({ name }) => name === 'array')!;
    expect([dwarf.spell(array.type), dwarf.sizeOf(array.type)]).toEqual(['long[4]', 32]);
  });

  test('an inlined call is a frame', () => {
    const outer = dwarf.functions.find(({ name }) => name === 'outer')!;
    const insns = Array.from({ length: outer.end - outer.first }, (_, index) => outer.first + index);
    const frames = insns.map((insn) => dwarf.frames('.text', insn));
    const inlined = frames.find((one) => one.length > 1)!;
    expect(inlined.map(({ name }) => name)).toEqual(['add', 'outer']);
    expect(inlined[0]!.call?.line).toBe(lineOf('int step = add('));
    expect(frames.some((one) => one.length === 1)).toBe(true);
  });

  test('variables on the stack lie where the code puts them', () => {
    const { frameSize, first, end } = dwarf.functions.find(({ name }) => name === 'classify')!;
    expect(frameSize).toBeGreaterThanOrEqual(56);
    const stack = new Map<string, number>();
    for (let insn = first; insn < end; insn++) {
      for (const { name, location } of dwarf.variables('tc', insn)) {
        if (location.kind === 'stack') stack.set(name, location.offset);
      }
    }
    const pair = stack.get('pair')!;
    const array = stack.get('array')!;
    // Both lie within the frame, and neither covers the other.
    for (const [offset, size] of [
      [pair, 24],
      [array, 32],
    ] as const) {
      expect(offset).toBeGreaterThanOrEqual(-frameSize);
      expect(offset + size).toBeLessThanOrEqual(0);
    }
    expect(pair + 24 <= array || array + 32 <= pair).toBe(true);
  });
});

test('the frame size that the code shows is the one clang writes down', async () => {
  for (const file of sample) {
    const { elf, dwarf } = open(await compileBpf(file, ['-fstack-size-section']));
    const without = readDwarf({
      ...elf,
      sections: elf.sections.map((one) => (one.name === '.stack_sizes' ? { ...one, name: '' } : one)),
    });
    const sizes = (one: Dwarf | undefined) => one?.functions.map(({ name, frameSize }) => [name, frameSize]);
    expect(sizes(without), file).toEqual(sizes(dwarf));
  }
});

describe('expressions', () => {
  const context = { littleEndian: true, frameSize: 16 };
  const machine = {
    register: (number: number) => (number === 10 ? 0x1000n : BigInt(number)),
    memory: (address: bigint) => (address === 0xff8n ? 99n : undefined),
  };
  test('a frame offset counts from the frame’s lower end', () => {
    const fbreg8 = Uint8Array.of(0x91, 8);
    expect(describeLocation(fbreg8, context)).toEqual({ kind: 'stack', offset: -8 });
    expect(evaluate(fbreg8, machine, context)).toEqual({ kind: 'address', address: 0xff8n });
  });
  test('arithmetic', () => {
    // breg3 +4; lit10; mul; const1s -1; plus; stack_value
    const bytes = Uint8Array.of(0x73, 4, 0x3a, 0x1e, 0x09, 0xff, 0x22, 0x9f);
    expect(describeLocation(bytes, context).kind).toBe('computed');
    expect(evaluate(bytes, machine, context)).toEqual({ kind: 'value', value: 69n });
    expect(describeLocation(Uint8Array.of(0x73, 4, 0x9f), context)).toEqual({
      kind: 'value',
      register: 3,
      offset: 4,
    });
    // fbreg 8; deref; stack_value
    expect(evaluate(Uint8Array.of(0x91, 8, 0x06, 0x9f), machine, context)).toEqual({
      kind: 'value',
      value: 99n,
    });
  });
  test('pieces, constants, nothing', () => {
    expect(describeLocation(Uint8Array.of(0x52, 0x93, 4, 0x93, 4), context)).toEqual({
      kind: 'pieces',
      pieces: [
        { bits: 32, location: { kind: 'register', register: 2 } },
        { bits: 32, location: { kind: 'optimised-out' } },
      ],
    });
    expect(describeLocation(Uint8Array.of(0x11, 0x7f, 0x9f), context)).toEqual({
      kind: 'constant',
      value: -1n,
    });
    expect(evaluate(Uint8Array.of(0xa3, 1, 0x51, 0x9f), machine, context)).toBeUndefined();
    expect(evaluate(Uint8Array.of(0x1e), machine, context)).toBeUndefined();
  });
});

test('damaged debug information is read without an exception, and in time', async () => {
  const original = await compileText(everywhere, []);
  let seed = 815;
  const random = (limit: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % limit;
  };
  const { elf } = open(original);
  const targets = elf.sections.filter(({ name, data }) => /^\.(rel\.)?debug_/.test(name) && data.length > 0);
  const rounds = Number(process.env.BPF_STUDIO_FUZZ_ROUNDS ?? 200);
  for (let round = 0; round < rounds; round++) {
    const bytes = original.slice();
    const read = readBpfElf(bytes);
    if (!read.ok) throw new Error(read.problem.message);
    for (let hits = 1 + random(8); hits > 0; hits--) {
      const section = read.value.sections[targets[random(targets.length)]!.index]!;
      section.data[random(section.data.length)] = random(256);
    }
    const dwarf = readDwarf(read.value);
    for (const { section, first, end } of dwarf?.functions ?? []) {
      for (const insn of [first, (first + Math.min(end, first + 1000)) >> 1]) {
        dwarf?.frames(section, insn);
        for (const { type, location } of dwarf?.variables(section, insn) ?? []) {
          dwarf?.spell(type);
          dwarf?.sizeOf(type);
          if (location.kind === 'computed') {
            const context = dwarf!.expressionContext(section, insn);
            evaluate(location.expression, { register: () => 1n, memory: () => 1n }, context);
          }
        }
      }
    }
  }
});
