/** Maps at each step of a recorded run are what the kernel had there. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KernelClient } from '../../kernel/client/client';
import { Compiler, openTestKernel } from '../../kernel/host/testing';
import type { OpenedRun } from '../../debug-adapter/recorder/open-run';
import { entriesOf, isTooOld, recordObject, toCall } from './record';

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
const map = (type: string, entries: number, name: string, more = '') =>
  `struct { __uint(type, BPF_MAP_TYPE_${type}); __uint(max_entries, ${entries}); __type(key, __u32); __type(value, __u32); ${more} } ${name} SEC(".maps");`;
const le = (value: number) => value.toString(16).padStart(2, '0').padEnd(8, '0');
const entry = (key: number, value: number) => `${le(key)}=${le(value)}`;

describe('updates whose result the program does not look at', () => {
  test('leave an entry that was to be new, and a map that is full, as they are', async () => {
    const run = await record(`
${map('HASH', 2, 'two')}
SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u32 key = 1, value = 5;

	bpf_map_update_elem(&two, &key, &value, BPF_ANY);
	value = 6;
	bpf_map_update_elem(&two, &key, &value, BPF_NOEXIST);
	key = 2;
	bpf_map_update_elem(&two, &key, &value, BPF_EXIST);
	bpf_map_update_elem(&two, &key, &value, BPF_ANY);
	key = 3;
	bpf_map_update_elem(&two, &key, &value, BPF_ANY);
	bpf_map_delete_elem(&two, &key);
	key = 1;
	bpf_map_delete_elem(&two, &key);
	return 2;
}`);
    expect(run.maps.lost).toEqual([]);
    const after = (nth: number) => {
      toCall(run, 'bpf_map_update_elem', nth, 1);
      return entriesOf(run, 'two');
    };
    expect(after(0)).toEqual([entry(1, 5)]);
    expect(after(1)).toEqual([entry(1, 5)]);
    expect(after(2)).toEqual([entry(1, 5)]);
    expect(after(3)).toEqual([entry(1, 5), entry(2, 6)]);
    expect(after(4)).toEqual([entry(1, 5), entry(2, 6)]);
    run.timeline.seek(run.timeline.length);
    expect(entriesOf(run, 'two')).toEqual([entry(2, 6)]);
    toCall(run, 'bpf_map_update_elem', 0);
    expect(entriesOf(run, 'two')).toEqual([]);
  });
});

test('a look-up in a trie leads to the entry with the longest prefix', async () => {
  const run = await record(`
struct net { __u32 bits; __u8 address[4]; };
struct { __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(max_entries, 8); __uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct net); __type(value, __u32); } nets SEC(".maps");
SEC("xdp") int prog(struct xdp_md *ctx)
{
	struct net wide = { 8, { 10 } }, narrow = { 16, { 10, 1, 77, 77 } }, host = { 32, { 10, 1, 2, 3 } };
	__u32 value = 1, *found;

	bpf_map_update_elem(&nets, &wide, &value, BPF_ANY);
	value = 2;
	bpf_map_update_elem(&nets, &narrow, &value, BPF_ANY);
	found = bpf_map_lookup_elem(&nets, &host);
	if (found)
		*found += 5;
	narrow.address[3] = 0;
	bpf_map_delete_elem(&nets, &wide);
	return 2;
}`);
  expect(run.maps.lost).toEqual([]);
  toCall(run, 'bpf_map_delete_elem');
  expect(entriesOf(run, 'nets')).toEqual(['080000000a000000=01000000', '100000000a014d4d=07000000']);
  run.timeline.seek(run.timeline.length);
  expect(entriesOf(run, 'nets')).toEqual(['100000000a014d4d=07000000']);
});

test('per-CPU maps have the values of the CPU that the run was on', async () => {
  const run = await record(`
${map('PERCPU_ARRAY', 2, 'counts')}
${map('PERCPU_HASH', 4, 'seen')}
__u32 cpu;
SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u32 key = 1, value = 3, *count = bpf_map_lookup_elem(&counts, &key);

	if (count)
		*count = 9;
	cpu = bpf_get_smp_processor_id();
	bpf_map_update_elem(&seen, &key, &value, BPF_ANY);
	return 2;
}`);
  expect(run.maps.lost).toEqual([]);
  const slots = (value: number) => {
    const cpus = Array.from({ length: kernel.client.hello.kernel.possibleCpus }, () => '00'.repeat(8));
    cpus[run.timeline.machine.cpu!] = le(value) + '00'.repeat(4);
    return cpus.join('');
  };
  toCall(run, 'bpf_get_smp_processor_id');
  expect(entriesOf(run, 'counts')).toEqual([`${le(0)}=${slots(0)}`, `${le(1)}=${slots(9)}`]);
  expect(entriesOf(run, 'seen')).toEqual([]);
  run.timeline.seek(run.timeline.length);
  expect(entriesOf(run, 'seen')).toEqual([`${le(1)}=${slots(3)}`]);
  run.timeline.seek(0);
  expect(entriesOf(run, 'counts')).toEqual([`${le(0)}=${slots(0)}`, `${le(1)}=${slots(0)}`]);
});

test('what a program does to a map in a map is seen in that map', async () => {
  const run = await record(`
struct inner { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 4); __type(key, __u32); __type(value, __u32); }
	first SEC(".maps"), second SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 3); __type(key, __u32); __array(values, struct inner); }
	outer SEC(".maps") = { .values = { &first, 0, &second } };
SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u32 key = 2, value = 5;
	void *inner = bpf_map_lookup_elem(&outer, &key);

	if (inner)
		bpf_map_update_elem(inner, &key, &value, BPF_ANY);
	return 2;
}`);
  expect(run.maps.lost).toEqual([]);
  run.timeline.seek(run.timeline.length);
  expect(entriesOf(run, 'first')).toEqual([]);
  expect(entriesOf(run, 'second')).toEqual([entry(2, 5)]);
  toCall(run, 'bpf_map_update_elem');
  expect(entriesOf(run, 'second')).toEqual([]);
});

test('values that a helper has written are known from there on', async () => {
  if (isTooOld(kernel.client, 518, 'bpf_xdp_load_bytes')) return;
  const run = await record(`
struct text { char bytes[80]; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 2); __type(key, __u32); __type(value, struct text); } texts SEC(".maps");
SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u32 key = 1;
	struct text *text = bpf_map_lookup_elem(&texts, &key);

	if (!text)
		return 0;
	text->bytes[0] = 1;
	bpf_xdp_load_bytes(ctx, 0, text->bytes + 8, 40);
	text->bytes[79] = 2;
	return 2;
}`);
  expect(run.maps.lost).toEqual([]);
  const packet = Buffer.from(run.recording.input.data!).toString('hex').slice(0, 80);
  const empty = `${le(0)}=${'00'.repeat(80)}`;
  toCall(run, 'bpf_xdp_load_bytes');
  expect(entriesOf(run, 'texts')[1]).toBe(`${le(1)}=01${'00'.repeat(79)}`);
  toCall(run, 'bpf_xdp_load_bytes', 0, 1);
  expect(entriesOf(run, 'texts')).toEqual([empty, `${le(1)}=01${'00'.repeat(7)}${packet}${'00'.repeat(32)}`]);
});

describe('maps that cannot be followed', () => {
  test('are shown as after the run, with the reason', async () => {
    const run = await record(`
${map('LRU_HASH', 4, 'recent')}
SEC("xdp") int prog(struct xdp_md *ctx)
{
	for (int i = 0; i < 20; i++) {
		__u32 key = i;

		bpf_map_update_elem(&recent, &key, &key, BPF_ANY);
	}
	return 2;
}`);
    expect(run.maps.lost).toMatchObject([
      { reason: expect.stringMatching(/entries out of it to make room/) },
    ]);
    run.timeline.seek(0);
    const before = entriesOf(run, 'recent');
    run.timeline.seek(run.timeline.length);
    expect(entriesOf(run, 'recent')).toEqual(before);
    expect(before.length).toBeGreaterThan(0);
  });

  test('but a callback over an array changes one element after the other', async () => {
    if (isTooOld(kernel.client, 513, 'bpf_for_each_map_elem')) return;
    const run = await record(`
${map('ARRAY', 3, 'values')}
static long each(void *map, __u32 *key, __u32 *value, void *context) { *value = *key + 7; bpf_ktime_get_ns(); return 0; }
SEC("xdp") int prog(struct xdp_md *ctx)
{
	bpf_for_each_map_elem(&values, each, 0, 0);
	return 2;
}`);
    expect(run.maps.lost).toEqual([]);
    const after = (nth: number) => {
      toCall(run, 'bpf_ktime_get_ns', nth);
      return entriesOf(run, 'values').map((text) => text.split('=')[1]);
    };
    expect(after(0)).toEqual([le(7), le(0), le(0)]);
    expect(after(2)).toEqual([le(7), le(8), le(9)]);
    expect(after(1)).toEqual([le(7), le(8), le(0)]);
  });

  test('a callback over a hash changes entries whose keys the run does not show', async () => {
    if (isTooOld(kernel.client, 513, 'bpf_for_each_map_elem')) return;
    const run = await record(`
${map('HASH', 4, 'values')}
static long each(void *map, __u32 *key, __u32 *value, void *context) { *value = 7; return 0; }
SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u32 key = 1;

	bpf_map_update_elem(&values, &key, &key, BPF_ANY);
	bpf_for_each_map_elem(&values, each, 0, 0);
	return 2;
}`);
    expect(run.maps.lost).toMatchObject([{ reason: expect.stringMatching(/another value after the run/) }]);
    run.timeline.seek(0);
    expect(entriesOf(run, 'values')).toEqual([entry(1, 7)]);
  });
});
