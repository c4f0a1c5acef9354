/**
 * Every program in test/fixtures/verifier, verified by a real kernel: the class and the line of each finding are
 * those written in the source. BPF_STUDIO_TEST_TARGET chooses another kernel, e.g. `vm:PATH-TO-VMLINUZ`.
 */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toDiagnostics } from '../../toolchain/verifier/diagnostics';
import { parseLog } from '../../toolchain/verifier/logIndex';
import { placesInText } from '../../toolchain/verifier/places';
import { explain } from '../../toolchain/verifier/report';
import type { Report } from '../../toolchain/verifier/report';
import { isFor, readFixture, repository } from './compile';
import type { Fixture } from './compile';
import { openTestKernel, verifySource } from './kernel';
import type { TestKernel } from './kernel';

const directory = path.join(repository, 'test/fixtures/verifier');
const rejected = await fixturesIn('rejected');
const accepted = await fixturesIn('accepted');
let kernel: TestKernel;

async function fixturesIn(folder: string): Promise<Fixture[]> {
  const names = await readdir(path.join(directory, folder));
  return Promise.all(names.sort().map((name) => readFixture(path.join(directory, folder, name))));
}

beforeAll(async () => {
  kernel = await openTestKernel('verifier fixtures');
});
afterAll(() => kernel?.dispose());

/** Logs of this kernel, collected for the tests that read them in other ways. */
const logs: { fixture: Fixture; log: string; report: Report }[] = [];

async function reportOf(
  fixture: Fixture,
  log: 'rejected' | 'all' | 'states',
): Promise<{ report: Report; text: string }> {
  const { report, verdict, clang } = await verifySource(kernel, fixture.path, log);
  expect(clang, 'what clang said').toBe('');
  if (verdict.log) logs.push({ fixture, log: verdict.log, report });
  return { report, text: JSON.stringify({ ...verdict, lineInfo: undefined }, null, 1) };
}

// A million instructions take the verifier minutes in an emulated machine.
const patience = 900_000;

describe('rejected', () => {
  test.for(rejected)('$name', { timeout: patience }, async (fixture, { skip, expect }) => {
    const { version, release } = kernel;
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
    const { version, release } = kernel;
    if (!isFor(fixture, version)) skip(`not for Linux ${release}`);
    const { report, text } = await reportOf(fixture, 'all');
    expect(report.verdict, text).toBe('accepted');
    expect(toDiagnostics(report, { path: fixture.path })).toEqual([]);
    expect(report.statistics?.insns).toBeGreaterThan(0);
  });
});

describe('logs of this kernel', () => {
  test('every line is read, and the lines are the log', () => {
    expect(logs.length).toBeGreaterThan(40);
    for (const { fixture, log, report } of logs) {
      const lines = [...parseLog(log)].map((line) => line.text);
      expect(`${lines.join('\n')}\n` === log || lines.join('\n') === log, fixture.name).toBe(true);
      const unknown = [...parseLog(log)].filter((line) => line.kind === 'text').map((line) => line.text);
      const known = report.failure?.kernelMessage.split('\n') ?? [];
      const left = unknown.filter(
        (line) => !known.includes(line) && !/^(func '|arg#0 |reg type|Unrecognized arg#0)/.test(line),
      );
      expect(left, fixture.name).toEqual([]);
    }
  });

  test('states of every instruction change nothing about the finding', async () => {
    for (const { fixture, report } of logs.filter(
      (one) => one.report.verdict === 'rejected' && one.log.length < 50_000,
    )) {
      const { report: detailed } = await reportOf(fixture, 'states');
      const essence = ({ failure }: Report) => [
        failure?.id,
        failure?.instruction,
        failure?.causes.map((one) => one.at?.range.start.line),
      ];
      expect([fixture.name, ...essence(detailed)]).toEqual([fixture.name, ...essence(report)]);
    }
    // Some 250 programs are compiled and loaded once more, in a VM under emulation, too.
  }, 900_000);

  test('cut, spliced and altered logs are explained without an exception', () => {
    let seed = 4711;
    const random = (limit: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % limit;
    };
    for (let round = 0; round < 1000; round++) {
      const one = logs[random(logs.length)]?.log.slice(0, 20_000) ?? '';
      const other = logs[random(logs.length)]?.log.slice(0, 20_000) ?? '';
      const letters = Array.from(
        one.slice(0, random(one.length + 1)) + other.slice(random(other.length + 1)),
      );
      for (let hit = random(20); hit > 0 && letters.length; hit--) {
        letters[random(letters.length)] = String.fromCharCode(random(300));
      }
      const verdict = { name: 'p', section: 's', type: 't', verdict: 'rejected' as const, libbpfLog: other };
      const report = explain(
        { ...verdict, log: letters.join(''), lineInfo: new Uint8Array(40) },
        { btf: undefined },
      );
      expect(toDiagnostics(report, { path: 'x' })[0]?.message).toBeTruthy();
    }
  });
});

test('there is a fixture for every kind of failure that people ask about most', () => {
  expect(rejected.length).toBeGreaterThanOrEqual(40);
  expect(accepted.length).toBeGreaterThanOrEqual(15);
});
