/** What can be said of an object file without its source, and what is said of files that are none. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, expect, test } from 'vitest';
import { clangAtHand } from '../../test/support/clang';
import { compileBpf, repository } from '../../test/verifier/compile';
import { childrenOf, decode } from '../btf/value';
import { format } from '../btf/format';
import { declaration } from '../btf/spell';
import { readBpfObject } from './object';
import { relocationsOf } from './elf';

const run = promisify(execFile);
const fixtures = path.join(repository, 'test/fixtures/verifier');
let bytes: Uint8Array;

beforeAll(async () => {
  bytes = await compileBpf(path.join(fixtures, 'rejected/null-deref-lookup.bpf.c'));
});

async function compiled(source: string, args: string[]): Promise<Uint8Array> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-'));
  try {
    await writeFile(path.join(directory, 'a.c'), source);
    await run(await clangAtHand(), [
      ...args,
      '-c',
      path.join(directory, 'a.c'),
      '-o',
      path.join(directory, 'a.o'),
    ]);
    return new Uint8Array(await readFile(path.join(directory, 'a.o')));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function problemOf(data: Uint8Array): string {
  const outcome = readBpfObject(data);
  if (!outcome.ok) return `${outcome.problem.code}: ${outcome.problem.message} ${outcome.problem.hint}`;
  return outcome.value.problems.map(({ code, message, hint }) => `${code}: ${message} ${hint}`).join('\n');
}

test('programs, maps and license are listed', () => {
  const outcome = readBpfObject(bytes);
  if (!outcome.ok) throw new Error(outcome.problem.message);
  const { programs, maps, license, problems, elf } = outcome.value;
  expect(programs).toMatchObject([{ name: 'program', section: 'xdp', firstInsn: 0 }]);
  expect(maps).toMatchObject([
    { name: 'counters', typeNumber: 1, keySize: 4, valueSize: 16, maxEntries: 16, globals: false },
  ]);
  expect(license).toBe('Dual MIT/GPL');
  expect(problems).toEqual([]);
  const xdp = elf.sections.find((section) => section.name === 'xdp');
  const symbols = relocationsOf(elf, xdp?.index ?? 0).map(({ symbol }) => elf.symbols[symbol]?.name);
  expect(symbols).toEqual(['counters']);
});

test('files that are no BPF object are named for what they are, with the way out', async () => {
  const source = 'int f(void *p) { return 1; }\n';
  expect(problemOf(new Uint8Array())).toMatch(/^elf\/empty: .*clang -O2 -g -target bpf/);
  expect(problemOf(new TextEncoder().encode(source))).toMatch(/^elf\/not-elf: This is a text file/);
  expect(problemOf(await compiled(source, []))).toMatch(
    /^elf\/foreign-machine: .* for \S+, not for BPF\. Add -target bpf/,
  );
  expect(problemOf(await compiled(source, ['-m32']))).toMatch(/^elf\/32-bit/);
  expect(problemOf(await compiled(source, ['-target', 'bpf', '-emit-llvm']))).toMatch(/LLVM bitcode/);
  expect(problemOf(bytes.subarray(0, 40))).toMatch(/^elf\/truncated/);
  expect(problemOf(bytes.subarray(0, bytes.length - 200))).toMatch(/^elf\/truncated/);
});

test('objects that lack something are read, and what is lacking is said', async () => {
  const source = '__attribute__((section("xdp"))) int f(void *p) { return 1; }\n';
  expect(problemOf(await compiled(source, ['-O2', '-target', 'bpf']))).toMatch(
    /^elf\/no-btf: .*Compile it with -g/,
  );
  expect(problemOf(await compiled(source, ['-O2', '-g', '-target', 'bpfeb']))).toMatch(/elf\/big-endian/);
  const none = await compiled('int x = 1;\n', ['-O2', '-g', '-target', 'bpf']);
  expect(problemOf(none)).toMatch(/elf\/no-programs: .*SEC/);
});

test('big-endian objects are read in their own byte order', async () => {
  const source =
    'struct { int a : 3; int b : 13; } state = { 2, -5 };\n' +
    '__attribute__((section("xdp"))) int f(void *p) { return ((volatile short *)&state)[0]; }\n';
  const outcome = readBpfObject(await compiled(source, ['-O2', '-g', '-target', 'bpfeb']));
  if (!outcome.ok || !outcome.value.btf) throw new Error('not readable');
  const { btf, elf, programs } = outcome.value;
  expect(programs.map((program) => program.name)).toEqual(['f']);
  const data = elf.sections.find((section) => section.name === '.data')?.data ?? new Uint8Array();
  const section = decode(btf, btf.find('datasec', '.data')?.id ?? 0, data);
  expect(childrenOf(section).map((value) => format(value))).toEqual(['{a = 2, b = -5}']);
});

test('damaged objects never throw, whatever is damaged', () => {
  let seed = 12345;
  const random = (limit: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed % limit;
  };
  const exercise = (data: Uint8Array) => {
    const outcome = readBpfObject(data);
    if (!outcome.ok || !outcome.value.btf) return;
    const { btf } = outcome.value;
    for (let id = 0; id < btf.typeCount + 2; id++) {
      declaration(btf, id, 'x');
      const value = decode(btf, id, new Uint8Array(64));
      format(value);
      for (const child of childrenOf(value, 0, 8)) format(child);
    }
  };
  for (let round = 0; round < 400; round++) {
    const data = bytes.slice(0, round % 3 === 0 ? random(bytes.length) : bytes.length);
    for (let hit = 0; hit < 1 + random(12) && data.length; hit++) data[random(data.length)] = random(256);
    exercise(data);
  }
});
