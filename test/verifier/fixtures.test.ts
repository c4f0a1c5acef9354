/**
 * Every program in test/fixtures/verifier, verified by a real kernel: the class and the line of each finding are
 * those written in the source. BPF_STUDIO_TEST_TARGET chooses another kernel, e.g. `vm:PATH-TO-VMLINUZ`.
 */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openKernel } from '../../kernel/client/open';
import type { OpenedKernel } from '../../kernel/client/open';
import { parseTarget } from '../../kernel/targets/target';
import { readBpfObject } from '../../toolchain/elf/object';
import { toDiagnostics } from '../../toolchain/verifier/diagnostics';
import { placesInText } from '../../toolchain/verifier/places';
import { explain } from '../../toolchain/verifier/report';
import type { Report } from '../../toolchain/verifier/report';
import { compileBpf, isFor, readFixture, repository } from './compile';
import type { Fixture } from './compile';

const directory = path.join(repository, 'test/fixtures/verifier');
const rejected = await fixturesIn('rejected');
const accepted = await fixturesIn('accepted');
let kernel: OpenedKernel;

async function fixturesIn(folder: string): Promise<Fixture[]> {
  const names = await readdir(path.join(directory, folder));
  return Promise.all(names.sort().map((name) => readFixture(path.join(directory, folder, name))));
}

beforeAll(async () => {
  const target = parseTarget(process.env.BPF_STUDIO_TEST_TARGET ?? 'local');
  if ('problem' in target) throw new Error(target.problem);
  const opened = await openKernel({
    target,
    name: 'verifier fixtures',
    distDirectory: path.join(repository, 'dist'),
    elevate: 'never',
    log: () => {},
  });
  if ('code' in opened) throw new Error(`${opened.message} ${opened.hint}`);
  kernel = opened;
});
afterAll(() => kernel?.dispose());

async function reportOf(
  fixture: Fixture,
  log: 'rejected' | 'all' | 'states',
): Promise<{ report: Report; text: string }> {
  const bytes = await compileBpf(fixture.path);
  const object = readBpfObject(bytes);
  if (!object.ok) throw new Error(object.problem.message);
  const { programs } = await kernel.client.request('verify', { object: bytes, log });
  const [verdict] = programs;
  if (!verdict) throw new Error('the kernel host returned no verdict');
  const report = explain(verdict, { btf: object.value.btf });
  return { report, text: JSON.stringify({ ...verdict, lineInfo: undefined }, null, 1) };
}

describe('rejected', () => {
  test.for(rejected)('$name', async (fixture, { skip, expect }) => {
    const { version, release } = kernel.client.hello.kernel;
    if (!isFor(fixture, version)) skip(`not for Linux ${release}`);
    const { report, text } = await reportOf(fixture, 'rejected');
    const [diagnostic] = toDiagnostics(report, placesInText(fixture.path, fixture.text));
    expect(fixture.error, `${fixture.name} has no #ERR marker`).toBeDefined();
    expect(fixture.error?.ids, text).toContain(diagnostic?.code);
    expect({ path: diagnostic?.path, line: (diagnostic?.range.start.line ?? -2) + 1 }, text).toEqual({
      path: fixture.path,
      line: fixture.error?.line,
    });
    const related = diagnostic?.related.map(({ range }) => range.start.line + 1);
    expect(related, text).toEqual(expect.arrayContaining(fixture.causes));
    expect(diagnostic?.data?.kernelMessage, text).not.toBe('');
    // Linux 7.3 and later say themselves where it is.
    const said = report.failure?.kernelReport?.at;
    if (said && !said.file.endsWith('.h')) expect(said.line, text).toBe(fixture.error?.line);
  });
});

describe('accepted', () => {
  test.for(accepted)('$name', async (fixture, { skip, expect }) => {
    const { version, release } = kernel.client.hello.kernel;
    if (!isFor(fixture, version)) skip(`not for Linux ${release}`);
    const { report, text } = await reportOf(fixture, 'all');
    expect(report.verdict, text).toBe('accepted');
    expect(toDiagnostics(report, { path: fixture.path })).toEqual([]);
    expect(report.statistics?.insns).toBeGreaterThan(0);
  });
});

test('there is a fixture for every kind of failure that people ask about most', () => {
  expect(rejected.length).toBeGreaterThanOrEqual(40);
  expect(accepted.length).toBeGreaterThanOrEqual(15);
});
