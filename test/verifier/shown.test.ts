/**
 * What a user sees of the accepted programs, by everything that looks at a source file (parser, BPF checks, clang, this
 * machine's kernel): nothing.
 */
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { isFor, readFixture, repository } from './compile';
import { openTestKernel } from './kernel';

const run = promisify(execFile);
const directory = path.join(repository, 'test/fixtures/verifier/accepted');

test('accepted programs are shown without any finding', { timeout: 900_000 }, async () => {
  const kernel = await openTestKernel('shown');
  await kernel.dispose();
  const all = await Promise.all(
    (await readdir(directory)).sort().map((name) => readFixture(path.join(directory, name))),
  );
  const files = all.filter((fixture) => isFor(fixture, kernel.version)).map((fixture) => fixture.path);
  const target = process.env.BPF_STUDIO_TEST_TARGET ?? 'local';
  const { stdout } = await run(
    process.execPath,
    [path.join(repository, 'dist/cli.js'), 'verify', '--json', '--target', target, ...files],
    { maxBuffer: 1 << 26 },
  );
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map((line) => line.file)).toEqual(files);
  const findings = lines.flatMap((line) => [
    ...line.diagnostics,
    ...line.programs.flatMap((program: { diagnostics: unknown[] }) => program.diagnostics),
  ]);
  expect(findings).toEqual([]);
  expect(lines.flatMap((line) => line.programs.map(({ verdict }: { verdict: string }) => verdict))).toEqual(
    files.map(() => 'accepted'),
  );
});
