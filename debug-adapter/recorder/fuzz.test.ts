/**
 * Random programs, run by the JIT of this machine's kernel with every register recorded, and executed again: every
 * register at every instruction has to be the same. BPF_STUDIO_FUZZ_PROGRAMS says how many, BPF_STUDIO_FUZZ_SEED which.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { KernelClient } from '../../kernel/client/client';
import { Compiler, load, openTestKernel } from '../../kernel/host/testing';
import type { Loaded } from '../../kernel/host/testing';
import { Random, randomProgram } from './random-program';
import { openRecorder } from './record';
import { replayCode } from './replay/code';
import { Machine } from './replay/machine';

const COUNT = Number(process.env.BPF_STUDIO_FUZZ_PROGRAMS ?? 300);
const SEED = Number(process.env.BPF_STUDIO_FUZZ_SEED ?? 1);
/** For one program; emulated machines take their time. */
const PATIENCE_MS = process.env.BPF_STUDIO_TEST_TARGET ? 4000 : 1000;
let kernel: { client: KernelClient; dispose(): Promise<void> };
let loaded: Loaded;

beforeAll(async () => {
  kernel = await openTestKernel();
  const compiler = await Compiler.create(kernel.client);
  const source = `
char value[64];
SEC("xdp") int prog(struct xdp_md *ctx) { return value[1]; }`;
  loaded = await load(kernel.client, await compiler.compile(source, { debugInfo: false }));
});
afterAll(() => kernel?.dispose());

test(`${COUNT} random programs`, { timeout: 60_000 + COUNT * PATIENCE_MS }, async () => {
  const { client } = kernel;
  const program = loaded.program('prog');
  const valueMap = loaded.map('.bss').handle;
  const { major, minor } = client.hello.kernel.version;
  const recorder = await openRecorder(client, program, { license: 'GPL', capacity: 1 << 20 });
  let accepted = 0;
  let steps = 0;
  for (let number = 0; number < COUNT; number++) {
    const random = new Random((SEED * 1_000_003 + number * 7919) | 0);
    const instructions = randomProgram(random, { valueMap, kernel: major * 100 + minor });
    const prepared = { instructions, funcInfo: new Uint8Array(0), lineInfo: new Uint8Array(0) };
    const data = Uint8Array.from({ length: 64 + random.below(64) }, () => random.below(256));
    const input = { data, dataOutSize: 256, contextOutSize: 0 };
    const run = await recorder.run(prepared, [128, 128, 128], input, 'full', undefined);
    const what = `program ${number} of seed ${SEED}`;
    if ('reason' in run) {
      expect(run.reason, what).toMatch(/^the kernel does not accept/);
      continue;
    }
    accepted++;
    const machine = new Machine(
      replayCode(run.prepared.instructions, run.records, run.stackDepth, run.addresses),
      run.trace,
    );
    while (!machine.ending) machine.run();
    steps += machine.step;
    await run.close();
    expect(machine.ending, what).toEqual({ kind: 'returned' });
    expect((machine.registers.lo[0] as number) >>> 0, what).toBe(run.result.returnValue);
  }
  await recorder.close();
  // What the generator makes has to be programs, or nothing was compared.
  expect(accepted / COUNT).toBeGreaterThan(0.9);
  console.log(
    `seed ${SEED}: ${accepted} of ${COUNT} random programs were accepted; ${steps} instructions compared`,
  );
});
