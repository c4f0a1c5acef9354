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
import { verifyObject } from '../../language-server/model/verify';
import { loadParser } from '../../toolchain/c/parser';
import { readSource } from '../../toolchain/c/source';
import { compile } from '../../toolchain/clang/compile';
import { findClang } from '../../toolchain/clang/discover';
import { Severity } from '../../toolchain/diagnostic';
import type { Diagnostic } from '../../toolchain/diagnostic';
import { isFor } from '../verifier/compile';
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
  test.for(fixtures)('$name', { timeout: 60_000 }, async (fixture, { skip, expect: check }) => {
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

test('each class of failure that people ask about has a fixture', async () => {
  const ids = new Set(fixtures.flatMap(({ expected }) => expected?.ids ?? []));
  for (const id of ids) {
    const page = path.join(repository, 'docs/verifier', `${id.replace(/^bpf\//, '')}.md`);
    expect(await readFile(page, 'utf8').catch(() => ''), page).not.toBe('');
  }
  expect(fixtures.filter(({ expected }) => expected).length).toBeGreaterThanOrEqual(70);
});
