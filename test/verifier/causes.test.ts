/**
 * The story behind a rejection, on a real kernel: programs in test/fixtures/verifier/causes say in comments which
 * points it has. `// @origin WORDS` stands on a line where there must be a point of that kind with those words;
 * `// @failure WORDS` on the line that is refused, with words of the main message.
 */
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BpfObject } from '../../toolchain/elf/object';
import { explain } from '../../toolchain/verifier/report';
import type { Failure, VerdictInput } from '../../toolchain/verifier/report';
import { repository } from './compile';
import { openTestKernel, verifySource } from './kernel';
import type { TestKernel } from './kernel';

const directory = path.join(repository, 'test/fixtures/verifier/causes');
const files = (await readdir(directory)).sort();

let kernel: TestKernel;
beforeAll(async () => {
  kernel = await openTestKernel('causes');
});
afterAll(() => kernel?.dispose());

interface Told {
  line: number;
  kind: string;
  words: string;
}

function expectations(text: string): Told[] {
  return text.split('\n').flatMap((content, index) => {
    const marker = /\/\/ @([\w-]+) (.*)$/.exec(content);
    return marker ? [{ line: index + 1, kind: marker[1] as string, words: marker[2] as string }] : [];
  });
}

function told(failure: Failure | undefined): Told[] {
  if (!failure) return [];
  const points = failure.causes.map(({ kind, at, message }) => ({
    line: (at?.range.start.line ?? -1) + 1,
    kind,
    words: message,
  }));
  const line = (failure.at?.range.start.line ?? -1) + 1;
  return [...points, { line, kind: 'failure', words: failure.message }];
}

/** What is expected and not told, and all that is told, for a message that helps. */
function missing(expected: Told[], found: Told[]): { missing: Told[]; found: Told[] } {
  const isTold = ({ line, kind, words }: Told) =>
    found.some((one) => one.line === line && one.kind === kind && one.words.includes(words));
  return { missing: expected.filter((one) => !isTold(one)), found };
}

const verdicts: { name: string; failure: Failure; verdict: VerdictInput; object: BpfObject }[] = [];

describe('causes', () => {
  test.for(files)('%s', async (name) => {
    const file = path.join(directory, name);
    const expected = expectations(await readFile(file, 'utf8'));
    expect(expected.length).toBeGreaterThan(0);
    const { report, verdict, object } = await verifySource(kernel, file, 'rejected');
    const { failure } = report;
    expect(missing(expected, told(failure))).toMatchObject({ missing: [] });
    // The story is told in order of time; declarations come first.
    const steps = failure?.causes.map(({ step }) => step) ?? [];
    expect(steps).toEqual([...steps].sort((a, b) => a - b));
    if (failure) verdicts.push({ name, failure, verdict, object });
  });

  test('a log without states, as old kernels write it, tells less and nothing else', () => {
    for (const { name, failure, verdict, object } of verdicts) {
      const bare = (verdict.log ?? '')
        .replaceAll(/^(\d+: \([0-9a-f]{2}\) .*?)\s*(?:; | \d+: )(?:frame\d+: )?R\d.*$/gm, '$1')
        .replaceAll(/^(from \d+ to \d+:) .*$/gm, '$1');
      expect(bare.length, name).toBeLessThanOrEqual((verdict.log ?? '').length);
      const without = explain({ ...verdict, log: bare }, { btf: object.btf, object }).failure;
      expect([name, without?.id]).toEqual([name, failure.id]);
      const instructions = new Set([...failure.causes.map((one) => one.instruction), failure.instruction]);
      const more = without?.causes.filter((one) => !instructions.has(one.instruction));
      expect({ name, more }).toEqual({ name, more: [] });
    }
  });
});
