/** Every fixture and every template that can be run on an input does the same when it is recorded, and replays. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compilerFor } from '../../debug-adapter/runner/compile';
import { openProgramFile } from '../../debug-adapter/runner/object';
import type { KernelClient } from '../../kernel/client/client';
import { openTestKernel } from '../../kernel/host/testing';
import { root } from '../support/bpf-object';
import { PACKETS, compareRuns } from './agreement';
import type { Agreement } from './agreement';

let kernel: { client: KernelClient; dispose(): Promise<void> };
beforeAll(async () => {
  kernel = await openTestKernel();
});
afterAll(() => kernel?.dispose());

/** That are there to be rejected, or not to compile. */
const NO_PROGRAMS = new Set(['broken.bpf.c', 'rejected.bpf.c']);
/** Return what the program's own address in a stack trace is hashed to. */
const LOOK_AT_THEMSELVES = new Set(['walk']);
const sourcesUnder = (directory: string): string[] =>
  readdirSync(path.join(root, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.bpf.c') && !NO_PROGRAMS.has(path.basename(name)))
    .map((name) => path.join(directory, name));

async function compareFile(source: string, packets: typeof PACKETS): Promise<Agreement[]> {
  const { client } = kernel;
  const nobody = () => {};
  const compile = compilerFor(client, {}, nobody, nobody);
  const file = await openProgramFile(path.join(root, source), compile, new AbortController().signal);
  const compared: Agreement[] = [];
  for (const { name } of file.object.programs.filter((program) => !LOOK_AT_THEMSELVES.has(program.name)))
    for (const packet of packets) {
      const one = await compareRuns(client, file, name, packet);
      compared.push(one);
      if (one.outcome === 'not run') break;
    }
  return compared;
}

const sources = [...sourcesUnder('test/fixtures/debug'), ...sourcesUnder('bpf-templates')];
let ran = 0;

test.each(sources)('%s', async (source) => {
  // A hundred thousand entries a run are enough of them once.
  const packets = source.endsWith('many.bpf.c') ? PACKETS.slice(0, 1) : PACKETS;
  const compared = await compareFile(source, packets);
  expect(compared.filter(({ outcome }) => outcome === 'differs')).toEqual([]);
  for (const one of compared)
    if (one.outcome === 'not recorded') expect(`${one.program}: ${one.why}`).toMatch(REFUSED);
  ran += compared.filter(({ outcome }) => outcome === 'agrees').length;
});

/** Reasons for which a program may not be recorded. */
const REFUSED = /tail call|timer|arena|the kernel does not accept/;

test('most of them were run', () => {
  expect(ran).toBeGreaterThan(20);
});
