/**
 * Every source in test/fixtures/load, compiled and loaded as the editor does: what is said of it, and where, is what
 * is written in the source. BPF_STUDIO_TEST_TARGET chooses another kernel, e.g. `vm:PATH-TO-VMLINUZ`.
 */
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Parser } from 'web-tree-sitter';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openKernel } from '../../kernel/client/open';
import type { OpenedKernel } from '../../kernel/client/open';
import { parseTarget } from '../../kernel/targets/target';
import { attachHints } from '../../language-server/model/attach-hints';
import { explainer, verifyObject } from '../../language-server/model/verify';
import { loadParser } from '../../toolchain/c/parser';
import { readSource } from '../../toolchain/c/source';
import { compile } from '../../toolchain/clang/compile';
import { findClang } from '../../toolchain/clang/discover';
import { Severity } from '../../toolchain/diagnostic';
import type { Diagnostic } from '../../toolchain/diagnostic';
import { entryById } from '../../toolchain/verifier/catalogue';
import { loadingEntries } from '../../toolchain/verifier/catalogue/loading';
import { compileBpf, isFor } from '../verifier/compile';
import { readLoadFixture } from './fixture';
import type { LoadFixture } from './fixture';

const repository = path.resolve(import.meta.dirname, '../..');
const directory = path.join(repository, 'test/fixtures/load');
const fixtures = await Promise.all(
  (await readdir(directory))
    .filter((name) => name.endsWith('.bpf.c'))
    .sort()
    .map((name) => readLoadFixture(path.join(directory, name))),
);

let kernel: OpenedKernel;
let parser: Parser;
let cache: string;

beforeAll(async () => {
  const target = parseTarget(process.env.BPF_STUDIO_TEST_TARGET ?? 'local');
  if ('problem' in target) throw new Error(target.problem);
  const distDirectory = path.join(repository, 'dist');
  const opened = await openKernel({
    target,
    name: 'load fixtures',
    distDirectory,
    elevate: 'never',
    log() {},
  });
  if ('code' in opened) throw new Error(`${opened.message} ${opened.hint}`);
  kernel = opened;
  parser = await loadParser();
  cache = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-load-'));
});
afterAll(async () => {
  await kernel?.dispose();
  await rm(cache, { recursive: true, force: true });
});

/** Errors and hints of a source: clang's if it does not compile, else the kernel's. */
async function findingsOf({ path: file, text, flags }: LoadFixture): Promise<Diagnostic[]> {
  const found = await findClang('');
  if ('problem' in found) throw new Error(found.problem.message);
  const args = ['-O2', '-g', '-target', 'bpf', '-I', path.join(repository, 'dist/include')];
  args.push('-I', `/usr/include/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`, ...flags);
  const signal = new AbortController().signal;
  const result = await compile({ clang: found.clang, path: file, text, args, cache, signal, log() {} });
  if (result.outcome === 'errors') {
    return result.diagnostics.filter(({ severity }) => severity === Severity.Error);
  }
  if (result.outcome !== 'compiled') throw new Error(JSON.stringify(result));
  const source = readSource(parser, text);
  const { client } = kernel;
  const { diagnostics, programs } = await verifyObject(client, result.object, source, file, signal);
  return [...diagnostics, ...(await attachHints(client, source, file, programs))];
}

describe('a source that fails before, or beside, the verifier', () => {
  test.for(fixtures)('$name', async (fixture, { skip, expect: check }) => {
    const { version, release } = kernel.client.hello.kernel;
    if (!isFor(fixture, version)) skip(`not for Linux ${release}`);
    const found = await findingsOf(fixture);
    const shown = JSON.stringify(found, null, 1);
    const { expected } = fixture;
    if (!expected) {
      check(found, shown).toEqual([]);
      return;
    }
    const first = found.find(({ code }) => expected.ids.includes(code));
    check(first?.code, shown).toBeDefined();
    check(
      found.filter(({ code }) => code !== first?.code),
      shown,
    ).toEqual([]);
    check(first!.severity, shown).toBe(expected.isHint ? Severity.Hint : Severity.Error);
    const { start, end } = first!.range;
    check(first!.path).toBe(fixture.path);
    check(start.line + 1, shown).toBe(expected.line);
    if (expected.at !== undefined) {
      const line = fixture.text.split('\n')[start.line] ?? '';
      check(line.slice(start.character, end.line === start.line ? end.character : undefined)).toBe(
        expected.at,
      );
    }
    const words = `${first!.message}\n${first!.data?.help ?? ''}`;
    for (const says of fixture.says) check(words).toContain(says);
    // Whoever reads it learns what to do next.
    check(first!.data?.help ?? '', shown).not.toBe('');
  });
});

const pageIds = loadingEntries.map(({ id }) => id).filter((id) => id !== 'bpf/verifier-bug');

describe('the page of an id', () => {
  test.for(pageIds)('%s shows a program that fails with it, and one that does not', async (id, context) => {
    const file = path.join(repository, 'docs/verifier', `${id.replace('bpf/', '')}.md`);
    const text = await readFile(file, 'utf8');
    context.expect(text.split('\n')[0]).toBe(`# ${id}: ${entryById(id)?.title}`);
    const [rejected, accepted] = ['Rejected', 'Accepted'].map((section) =>
      new RegExp(`^## ${section}\\n+((?:<!-- .* -->\\n+)*)\`\`\`c\\n([^]*?)\`\`\``, 'm').exec(text),
    );
    const { version } = kernel.client.hello.kernel;
    for (const [match, isRejected] of [
      [rejected, true],
      [accepted, false],
    ] as const) {
      const [, note = '', code = ''] = match ?? [];
      context.expect(code).not.toBe('');
      const bound = /<!-- (since|until) (\d+)\.(\d+) -->/.exec(note);
      const range = bound && { [bound[1]!]: [Number(bound[2]), Number(bound[3])] };
      const isElsewhere = note.includes('<!-- not run: ') && !note.includes('test/load does');
      if (isElsewhere || (range && !isFor(range, version))) continue;
      const flags = /^\/\/ compiled with (-.*)$/m.exec(code)?.[1]?.split(' ') ?? [];
      if (/^\/\/ compiled without -g$/m.test(code)) flags.push('-g0');
      if (flags.includes('-mcpu=v4') && !isFor({ until: [6, 5] }, version)) continue;
      const fixture = { name: id, path: path.join(cache, 'page.bpf.c'), text: code, flags, says: [] };
      const found = await findingsOf(fixture);
      const codes = [...new Set(found.map((one) => one.code))];
      context.expect(codes, JSON.stringify(found, null, 1)).toEqual(isRejected ? [id] : []);
    }
  });
});

test('damaged objects and spliced words are explained without an exception', async () => {
  let seed = 99;
  const random = (limit: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % limit;
  };
  const objects: Uint8Array<ArrayBuffer>[] = [];
  for (const name of ['core-two-fields', 'ksym-weak-called', 'map-array-key', 'cpu-v3-atomic']) {
    const fixture = fixtures.find((one) => one.name === name)!;
    objects.push(await compileBpf(fixture.path));
  }
  const words = [
    'failed to resolve CO-RE relocation <byte_off> [7] struct task_struct.second_wish (0:2 @ offset 8)',
    "kfunc 'bpf_there_is_no_such_function' is referenced but wasn't resolved",
    "libbpf: map 'broken': failed to create: -EINVAL",
    'BPF_STX uses reserved fields',
    'invalid func unknown#195896080',
    "prog 'program': missing BPF prog type, check ELF section name 'x'",
    'cannot call kernel function from non-GPL compatible program',
  ];
  const target = { release: '5.10.0', mapTypes: {}, programTypes: {} };
  for (let round = 0; round < 1000; round++) {
    const object = Uint8Array.from(objects[random(objects.length)]!);
    for (let hit = random(40); hit > 0; hit--) object[random(object.length)] = random(256);
    const { explainProgram } = explainer(object, '/x.bpf.c', undefined, target);
    const said = `${words[random(words.length)]!.slice(random(3))}\n${words[random(words.length)]!}`;
    const lineInfo = new Uint8Array(32).map(() => random(256));
    const common = { name: 'program', section: 'x', type: 'y', typeNumber: 1, insnCount: 9, lineInfo };
    for (const verdict of ['rejected', 'error'] as const) {
      const [found] = explainProgram({
        ...common,
        verdict,
        libbpfLog: said,
        log: verdict === 'error' ? '' : said,
      });
      expect(found?.message).toBeTruthy();
    }
  }
});

test('each class of failure has fixtures', () => {
  const ids = new Set(fixtures.flatMap(({ expected }) => expected?.ids ?? []));
  expect(ids.size).toBeGreaterThanOrEqual(24);
  expect(fixtures.filter(({ expected }) => expected).length).toBeGreaterThanOrEqual(70);
});
