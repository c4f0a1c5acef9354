/** Recording a run on an old and a new kernel, each in a VM: what is recorded is what that kernel did. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KernelClient } from '../../kernel/client/client';
import { Compiler, openTestKernel } from '../../kernel/host/testing';
import { UDP, entriesOf, recordObject, toCall } from '../recording/record';
import { startGuest } from './guest';
import { kernelAtHand } from './kernels-at-hand';

const source = `
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, __u32); } counts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } runs SEC(".maps");
__u64 total;
static __noinline int sum(unsigned char *from, unsigned char *end)
{
	int sum = 0;

	for (int i = 0; i < 20 && from + i + 1 <= end; i++)
		sum += from[i];
	return sum;
}
SEC("xdp") int prog(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 key = 0, value = 5;
	__u64 *run = bpf_map_lookup_elem(&runs, &key);

	if (run)
		*run += 1;
	if (data + 14 > end)
		return XDP_DROP;
	__sync_fetch_and_add(&total, sum(data, end));
	data[0] = 9;
	bpf_map_update_elem(&counts, &key, &value, BPF_ANY);
	bpf_map_update_elem(&counts, &key, &key, BPF_NOEXIST);
	bpf_xdp_adjust_head(ctx, 4);
	return XDP_TX;
}`;

describe.each(['5.10', '7.3'])('Linux %s', (version) => {
  const image = kernelAtHand(version);
  if (typeof image === 'string') {
    test.skip(`(${image})`, () => {});
    return;
  }
  let kernel: { client: KernelClient; dispose(): Promise<void> };
  beforeAll(async () => {
    kernel = await openTestKernel(`vm:${image.image}`);
  });
  afterAll(() => kernel?.dispose());

  test('a run is recorded, replayed, and agrees with what the kernel gave back', async () => {
    const compiler = await Compiler.create(kernel.client);
    const run = await recordObject(kernel.client, await compiler.compile(source));
    expect(run.recording.kernel.slice(0, version.length + 1)).toBe(`${version}.`);
    expect(run.ending).toEqual({ kind: 'returned' });
    expect(run.recording.result.returnValue).toBe(3);
    expect(run.maps.lost).toEqual([]);
    const { machine } = run.timeline;
    const packet = () => {
      const { data, end } = machine.packet!;
      return machine.memory.bytes(data!, Number(end! - data!)).bytes;
    };
    expect(packet()).toEqual(new Uint8Array(run.recording.result.data));
    expect(packet()).toHaveLength(UDP.length - 4);
    toCall(run, 'bpf_xdp_adjust_head');
    expect(packet()).toEqual(Uint8Array.from([9, ...UDP.subarray(1)]));
    expect(entriesOf(run, 'counts')).toEqual(['00000000=05000000']);
    toCall(run, 'bpf_map_update_elem');
    expect(entriesOf(run, 'counts')).toEqual([]);
    const [, bytes] = entriesOf(run, '.bss')[0]!.split('=');
    const sum = UDP.subarray(0, 20).reduce((total, byte) => total + byte, 0);
    expect(Buffer.from(bytes!, 'hex').readBigUInt64LE()).toBe(BigInt(sum));
  });
});

const MODULE_CALLS = `
struct nf_conn;
struct bpf_ct_opts___mine { s32 netns_id; s32 error; u8 l4proto; u8 dir; u8 reserved[2]; };
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, u32 size,
					 struct bpf_ct_opts___mine *options, u32 options_size) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;
SEC("xdp") int prog(struct xdp_md *ctx)
{
	struct bpf_ct_opts___mine options = { .netns_id = -1, .l4proto = 17 };
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *found;

	tuple.ipv4.saddr = 0x0100000a;
	tuple.ipv4.daddr = 0x0200000a;
	found = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &options, sizeof(options));
	if (found) {
		bpf_ct_release(found);
		return XDP_DROP;
	}
	/* -ENOENT */
	return options.error == -2 ? XDP_TX : XDP_ABORTED;
}`;

describe('Linux 6.12', () => {
  const image = kernelAtHand('6.12');
  if (typeof image === 'string') {
    test.skip(`(${image})`, () => {});
    return;
  }
  test('a run that calls functions of a kernel module is recorded', async () => {
    const guest = await startGuest(image.image);
    try {
      // Where a guest has the modules of its kernel (kernel/targets/vm/boot-plan.ts).
      await guest.run('modprobe', '--dirname=/kernel', 'nf_conntrack');
      const client = await KernelClient.connect(guest.socketPath, 'recording.test');
      const compiler = await Compiler.create(client);
      const object = await compiler.compile(MODULE_CALLS, { vmlinux: true });
      const run = await recordObject(client, object);
      expect(run.ending).toEqual({ kind: 'returned' });
      // XDP_TX: there is no such connection.
      expect(run.recording.result.returnValue).toBe(3);
      client.dispose();
    } finally {
      await guest.dispose();
    }
  });
});
