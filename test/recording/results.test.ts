/** What a step of a recorded run says of calls and registers: neither more nor less than the kernel had there. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { KernelClient } from '../../kernel/client/client';
import { Compiler, openTestKernel } from '../../kernel/host/testing';
import type { OpenedRun } from '../../debug-adapter/recorder/open-run';
import { frameViews } from '../../debug-adapter/stepping/frame-view';
import { SourceFiles } from '../../debug-adapter/stepping/source-files';
import { Stepper } from '../../debug-adapter/stepping/stepper';
import { isTooOld, recordObject, toCall } from './record';

let kernel: { client: KernelClient; dispose(): Promise<void> };
let compiler: Compiler;
beforeAll(async () => {
  kernel = await openTestKernel();
  compiler = await Compiler.create(kernel.client);
});
afterAll(() => kernel?.dispose());

async function record(source: string): Promise<OpenedRun> {
  const run = await recordObject(kernel.client, await compiler.compile(source));
  expect(run.ending).toEqual({ kind: 'returned' });
  return run;
}

/** Where the run stops by an exception filter, one text a stop. */
async function stopsOf(run: OpenedRun, filter: string): Promise<string[]> {
  const stepper = new Stepper(run, SourceFiles.onDisk([]));
  await stepper.place([{ kind: 'exception', id: 1, filter, enabled: true }]);
  const texts: string[] = [];
  for (let rest = await stepper.start(); rest === 'breakpoint'; rest = await stepper.move('continue', 'line'))
    texts.push(...(stepper.stop?.texts ?? []));
  return texts;
}

test('helpers fail and lookups miss also where the program ignores what they return', async () => {
  const run = await record(`
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, __u32); __type(value, __u32); } seen SEC(".maps");
SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u32 key = 7, value;

	bpf_probe_read_kernel(&value, sizeof(value), (void *)8);
	bpf_map_lookup_elem(&seen, &key);
	bpf_trace_printk("%d", 3, 1);
	return XDP_PASS;
}`);
  expect(await stopsOf(run, 'helperError')).toEqual(['bpf_probe_read_kernel returned -ERANGE (-34)']);
  expect(await stopsOf(run, 'lookupMissed')).toEqual(['bpf_map_lookup_elem found no entry']);
});

test('a helper that calls back has its result when it has returned', async () => {
  const { client } = kernel;
  if (isTooOld(client, 517, 'bpf_loop')) return;
  const run = await record(`
static long turn(__u32 index, __u32 *sum) { *sum += index; return index == 4; }
SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u32 sum = 0;

	bpf_loop(3, turn, &sum, 0);
	bpf_loop(9, turn, &sum, 0);
	bpf_get_smp_processor_id();
	return sum & 1;
}`);
  const loops = run.calls.calls.filter(({ name }) => name === 'bpf_loop');
  expect(loops.map(({ result }) => result)).toEqual([3n, 5n]);
});

test('a function sees no register that its caller has not given it, and nothing is in those that were never set', async () => {
  const run = await record(`
static __attribute__((noinline)) __u64 spread(__u64 time)
{
	__u64 a = bpf_get_prandom_u32(), b = bpf_get_prandom_u32(), c = bpf_get_prandom_u32(), d = bpf_get_prandom_u32();

	return time ^ a ^ (b << 3) ^ (c << 5) ^ (d << 7);
}
SEC("xdp") int prog(struct xdp_md *ctx) { return spread(bpf_ktime_get_ns()) & 1; }`);
  const { timeline } = run;
  toCall(run, 'bpf_ktime_get_ns', 0, 1);
  timeline.forward(({ frames }) => frames.length === 1);
  const registers = (frame: number) => {
    const view = frameViews(timeline.machine)[frame]!;
    return Array.from({ length: 11 }, (_, number) => number).filter(
      (number) => view.register(number) !== undefined,
    );
  };
  expect(registers(0)).toEqual([1, 10]);
  expect(registers(1)).toEqual([10]);
  toCall(run, 'bpf_get_prandom_u32', 3, 1);
  expect(registers(0)).toContain(6);
  timeline.forward(({ frames }) => frames.length === 0);
  expect(registers(0)).toEqual([0, 10]);
});
