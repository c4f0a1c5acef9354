/**
 * For each rejected fixture on which Linux 7.3 makes a report of its own: our explanation, made from this machine's (or
 * BPF_STUDIO_TEST_TARGET's) log alone, names the same category and the same line. Disagreements are printed. Every
 * fourth fixture is compared, and with BPF_STUDIO_TEST_AGREEMENT=all each of them, which takes minutes in an emulated
 * machine.
 */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { kernelAtHand } from '../vm/kernels-at-hand';
import { compare } from './agreement';
import type { Comparison } from './agreement';
import { compileFixture, isFor, readFixture, repository } from './compile';
import { openTestKernel, verifyObject } from './kernel';
import type { TestKernel } from './kernel';

const everyNth = process.env.BPF_STUDIO_TEST_AGREEMENT === 'all' ? 1 : 4;
const newest = kernelAtHand('7.3');
const directory = path.join(repository, 'test/fixtures/verifier/rejected');
let here: TestKernel;
let reporting: TestKernel | undefined;

beforeAll(async () => {
  here = await openTestKernel('agreement: explains');
  if (typeof newest !== 'string') {
    reporting = await openTestKernel('agreement: reports', `vm:${newest.image}`);
  }
});
afterAll(async () => {
  await here?.dispose();
  await reporting?.dispose();
});

test('explanations agree with the reports of Linux 7.3', { timeout: 900_000 }, async ({ skip }) => {
  if (typeof newest === 'string' || !reporting) return skip(String(newest));
  const rows: Comparison[] = [];
  const names = (await readdir(directory)).sort().filter((_, index) => index % everyNth === 0);
  for (const name of names) {
    const fixture = await readFixture(path.join(directory, name));
    // A million instructions take minutes in an emulated machine, and have no report.
    if (!isFor(fixture, here.version) || !isFor(fixture, reporting.version)) continue;
    if (fixture.name.startsWith('complexity-')) continue;
    const { object } = await compileFixture(fixture.path, here.compilerFlags);
    const theirs = await verifyObject(reporting, object, 'rejected');
    const report = theirs.report.failure?.kernelReport;
    const ours = report && (await verifyObject(here, object, 'rejected')).report.failure;
    if (report && ours) rows.push(compare(fixture.name, ours, report));
  }
  const different = rows.filter((row) => !row.sameCategory || !row.samePlace);
  const share = 1 - different.length / rows.length;
  console.log(
    `${rows.length} rejected fixtures have a report; ${(share * 100).toFixed(1)} % agree` +
      different
        .map(
          (row) => `\n  ${row.name}: ${row.id} at ${row.ours}; Linux 7.3: ${row.category} at ${row.theirs}`,
        )
        .join(''),
  );
  expect(rows.length).toBeGreaterThan(100 / everyNth);
  expect(share).toBeGreaterThanOrEqual(0.97);
});
