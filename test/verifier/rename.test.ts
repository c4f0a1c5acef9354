/**
 * What a finding says and where it stands does not depend on names: each fixture is verified again with every
 * variable, function, parameter and map renamed, and must give the same finding with the new names in it.
 * BPF_STUDIO_RENAME_ALL=1 takes all fixtures instead of every third.
 */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Diagnostic } from '../../toolchain/diagnostic';
import { toDiagnostics } from '../../toolchain/verifier/diagnostics';
import { placesInText } from '../../toolchain/verifier/places';
import { isFor, readFixture, repository } from './compile';
import { openTestKernel, verifySource } from './kernel';
import type { TestKernel } from './kernel';
import { declaredNames, rename, renameWords } from './rename';

const directory = path.join(repository, 'test/fixtures/verifier/rejected');
const every = process.env.BPF_STUDIO_RENAME_ALL ? 1 : 3;
const files = (await readdir(directory))
  .sort()
  // A million instructions say nothing more about names.
  .filter((name) => name.endsWith('.bpf.c') && !name.startsWith('complexity'))
  .filter((_, index) => index % every === 0);

let kernel: TestKernel;
let scratch: string;
beforeAll(async () => {
  kernel = await openTestKernel('renamed fixtures');
  scratch = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-rename-'));
});
afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
  await kernel?.dispose();
});

/** What an editor shows, without the file's name. */
function shown(diagnostics: Diagnostic[]) {
  return diagnostics.map(({ code, range, message, related }) => ({
    code,
    range,
    messages: [message, ...related.map((one) => one.message)],
    related: related.map((one) => one.range),
  }));
}

test.for(files)('%s', async (name, { skip }) => {
  const fixture = await readFixture(path.join(directory, name));
  if (!isFor(fixture, kernel.version)) skip(`not for Linux ${kernel.release}`);
  const finding = async (file: string, source: string) => {
    const { report } = await verifySource(kernel, file, 'rejected');
    return shown(toDiagnostics(report, placesInText(file, source)));
  };
  const before = await finding(fixture.path, fixture.text);
  const { text, names } = rename(fixture.text, await declaredNames(kernel, fixture.path));
  expect(names.size).toBeGreaterThan(1);
  const file = path.join(scratch, name);
  await writeFile(file, text);
  const after = await finding(file, text);
  expect(before.length).toBeGreaterThan(0);
  const expected = before.map((one, index) => ({
    ...one,
    messages: one.messages.map((message, at) =>
      renameWords(message, after[index]?.messages[at] ?? '', names),
    ),
  }));
  expect(after).toEqual(expected);
});
