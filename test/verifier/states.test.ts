/**
 * Every state that a real kernel prints of the fixtures at log level 2 is read completely: spelled again it is the
 * text it was read from. BPF_STUDIO_TEST_TARGET chooses another kernel.
 */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openKernel } from '../../kernel/client/open';
import type { OpenedKernel } from '../../kernel/client/open';
import { parseTarget } from '../../kernel/targets/target';
import { instructionOf, parseLog } from '../../toolchain/verifier/log';
import { parseState } from '../../toolchain/verifier/state';
import { compileBpf, isFor, readFixture, repository } from './compile';
import { dialectOf, spellState } from './spell-state';

let kernel: OpenedKernel;

beforeAll(async () => {
  const target = parseTarget(process.env.BPF_STUDIO_TEST_TARGET ?? 'local');
  if ('problem' in target) throw new Error(target.problem);
  const opened = await openKernel({
    target,
    name: 'verifier states',
    distDirectory: path.join(repository, 'dist'),
    elevate: 'never',
    log: () => {},
  });
  if ('code' in opened) throw new Error(`${opened.message} ${opened.hint}`);
  kernel = opened;
});
afterAll(() => kernel?.dispose());

/** Logs of level 2 of the fixtures in a folder; a million instructions would be hundreds of MiB of the same states. */
async function logsOf(folder: string): Promise<{ name: string; log: string }[]> {
  const directory = path.join(repository, 'test/fixtures/verifier', folder);
  const logs: { name: string; log: string }[] = [];
  for (const file of (await readdir(directory)).sort()) {
    const fixture = await readFixture(path.join(directory, file));
    if (fixture.error?.ids.includes('bpf/complexity')) continue;
    if (!isFor(fixture, kernel.client.hello.kernel.version)) continue;
    const object = await compileBpf(fixture.path);
    const { programs } = await kernel.client.request('verify', { object, log: 'states' });
    for (const { log } of programs) if (log) logs.push({ name: fixture.name, log });
  }
  return logs;
}

test.for(['accepted', 'rejected'])('states of %s programs', { timeout: 300_000 }, async (folder) => {
  const dialect = dialectOf(kernel.client.hello.kernel.version);
  const logs = await logsOf(folder);
  let states = 0;
  for (const { name, log } of logs) {
    for (const line of parseLog(log)) {
      if (!/^(instruction|state|branch)$/.test(line.kind) || /: safe$/.test(line.text)) continue;
      const text = line.kind === 'instruction' ? (instructionOf(line)?.state ?? '') : line.text;
      const printed = text.replace(/^(from \d+ to \d+( \(.*?\))?:|\d+:)? *(frame\d+: ?)?/, '').trim();
      if (printed === '') continue;
      const state = parseState(text);
      expect([name, state.unread, spellState(state, dialect)]).toEqual([name, [], printed]);
      states++;
    }
  }
  expect(states).toBeGreaterThan(100);
});
