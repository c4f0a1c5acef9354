/** A program that cannot be recorded is run as it is, and the reason is given. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recordProgram } from '../../debug-adapter/recorder/record-program';
import { loadObject } from '../../debug-adapter/runner/load';
import type { KernelClient } from '../../kernel/client/client';
import { Compiler, openTestKernel } from '../../kernel/host/testing';
import { readBpfObject } from '../../toolchain/elf/object';
import { UDP, isTooOld } from './record';

let kernel: { client: KernelClient; dispose(): Promise<void> };
let compiler: Compiler;
beforeAll(async () => {
  kernel = await openTestKernel();
  compiler = await Compiler.create(kernel.client);
});
afterAll(() => kernel?.dispose());

/** `runs` counts in the program itself: each has run once. */
const programs: Record<string, { source: string; reason: RegExp }> = {
  'starts a timer': {
    source: `
struct clock { struct bpf_timer timer; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, struct clock); } clocks SEC(".maps");
static int later(void *map, __u32 *key, struct clock *clock) { return 0; }
SEC("tc") int prog(struct __sk_buff *ctx)
{
	__u32 key = 0;
	struct clock *clock = bpf_map_lookup_elem(&clocks, &key);

	runs++;
	if (clock && bpf_timer_init(&clock->timer, &clocks, 1) == 0)
		bpf_timer_set_callback(&clock->timer, later);
	return 3;
}`,
    reason: /a timer runs its callback after the program has ended/,
  },
  'runs for longer than there is room for': {
    source: `
static long turn(__u32 index, __u64 *sum) { *sum += bpf_get_prandom_u32(); return 0; }
SEC("tc") int prog(struct __sk_buff *ctx)
{
	__u64 sum = 0;

	runs++;
	bpf_loop(2000000, turn, &sum, 0);
	return 3;
}`,
    reason: /^the run was too long; its recording takes [\d.]+ MiB, and this kernel has room for 64\.0 MiB/,
  },
};

test.each(Object.entries(programs))('one that %s', async (name, { source, reason }) => {
  if (isTooOld(kernel.client, 517, `a program that ${name}`)) return;
  const bytes = await compiler.compile(`__u64 runs;\n${source}`);
  const object = readBpfObject(bytes);
  if (!object.ok) throw new Error(object.problem.message);
  const { client } = kernel;
  const loaded = await loadObject(client, { path: '/nowhere/prog.bpf.c', bytes, object: object.value }, {});
  try {
    const input = { data: UDP, dataOutSize: 1024, contextOutSize: 0 };
    const recorded = await recordProgram(loaded, loaded.programs[0]!, input, new AbortController().signal);
    expect(recorded).toMatchObject({ reason: expect.stringMatching(reason), result: { returnValue: 3 } });
    const globals = loaded.maps.find(({ name }) => name.endsWith('.bss'))!;
    const { value } = await client.request('mapLookup', { map: globals.handle, key: new Uint8Array(4) });
    expect(Buffer.from(value!).readBigUInt64LE()).toBe(1n);
  } finally {
    await loaded.close();
  }
});
