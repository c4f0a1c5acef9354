/**
 * What a finding says and where it stands does not depend on names: each fixture is verified again with every
 * variable, function, parameter and map renamed, and must give the same finding with the new names in it.
 * BPF_STUDIO_RENAME_ALL=1 takes all fixtures instead of every third.
 */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openKernel } from '../../kernel/client/open';
import type { OpenedKernel } from '../../kernel/client/open';
import { parseTarget } from '../../kernel/targets/target';
import type { Diagnostic } from '../../toolchain/diagnostic';
import { readBpfObject } from '../../toolchain/elf/object';
import { toDiagnostics } from '../../toolchain/verifier/diagnostics';
import { placesInText } from '../../toolchain/verifier/places';
import { explain } from '../../toolchain/verifier/report';
import { compileBpf, isFor, readFixture, repository } from './compile';
import { declaredNames, rename, renameWords } from './rename';

const directory = path.join(repository, 'test/fixtures/verifier/rejected');
const every = process.env.BPF_STUDIO_RENAME_ALL ? 1 : 3;
const files = (await readdir(directory))
  .sort()
  // A million instructions say nothing more about names.
  .filter((name) => name.endsWith('.bpf.c') && !name.startsWith('complexity'))
  .filter((_, index) => index % every === 0);

let kernel: OpenedKernel;
let scratch: string;
beforeAll(async () => {
  const target = parseTarget(process.env.BPF_STUDIO_TEST_TARGET ?? 'local');
  if ('problem' in target) throw new Error(target.problem);
  const opened = await openKernel({
    target,
    name: 'renamed fixtures',
    distDirectory: path.join(repository, 'dist'),
    elevate: 'never',
    log: () => {},
  });
  if ('code' in opened) throw new Error(`${opened.message} ${opened.hint}`);
  kernel = opened;
  scratch = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-rename-'));
});
afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
  await kernel?.dispose();
});

async function findingOf(object: Uint8Array<ArrayBuffer>, file: string, text: string): Promise<Diagnostic[]> {
  const read = readBpfObject(object);
  if (!read.ok) throw new Error(read.problem.message);
  const { programs } = await kernel.client.request('verify', { object, log: 'rejected' });
  return programs.flatMap((verdict) =>
    toDiagnostics(explain(verdict, { btf: read.value.btf, object: read.value }), placesInText(file, text)),
  );
}

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
  const { version, release } = kernel.client.hello.kernel;
  if (!isFor(fixture, version)) skip(`not for Linux ${release}`);
  const original = await compileBpf(fixture.path);
  const { text, names } = rename(fixture.text, declaredNames(original, fixture.path));
  expect(names.size).toBeGreaterThan(1);
  const file = path.join(scratch, name);
  await writeFile(file, text);
  const before = shown(await findingOf(original, fixture.path, fixture.text));
  const after = shown(await findingOf(await compileBpf(file), file, text));
  expect(before.length).toBeGreaterThan(0);
  const expected = before.map((finding, index) => ({
    ...finding,
    messages: finding.messages.map((one, at) => renameWords(one, after[index]?.messages[at] ?? '', names)),
  }));
  expect(after).toEqual(expected);
});
