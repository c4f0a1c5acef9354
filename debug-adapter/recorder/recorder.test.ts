/** Recording in this machine's kernel and re-execution: what the kernel did is what the replay shows. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KernelClient } from '../../kernel/client/client';
import { Compiler, load, openTestKernel } from '../../kernel/host/testing';
import { readBpfObject } from '../../toolchain/elf/object';
import { recordRun } from './record';
import type { RecordedRun } from './record';
import { replayCode } from './replay/code';
import { Machine } from './replay/machine';

let kernel: { client: KernelClient; dispose(): Promise<void> };
let compiler: Compiler;
beforeAll(async () => {
  kernel = await openTestKernel();
  compiler = await Compiler.create(kernel.client);
});
afterAll(() => kernel?.dispose());

const udp = Uint8Array.from(
  Buffer.from(
    '020000000002020000000001080045000020000100004011f96c0a0000010a00000230390035000c000068656c6c',
    'hex',
  ),
);

async function record(
  source: string,
  recording: 'lean' | 'full',
  data: Uint8Array = udp,
): Promise<RecordedRun> {
  const bytes = await compiler.compile(source);
  const object = readBpfObject(bytes);
  const loaded = await load(kernel.client, bytes);
  try {
    const run = await recordRun(
      kernel.client,
      loaded.program('prog'),
      { data, dataOutSize: data.length + 512, contextOutSize: 0 },
      {
        license: 'Dual MIT/GPL',
        btf: object.ok ? object.value.btf : undefined,
        recording,
        capacity: 1 << 20,
      },
    );
    if ('reason' in run) throw new Error(`${run.reason} (insn ${run.insn})`);
    return run;
  } finally {
    await kernel.client.request('objectClose', { object: loaded.object });
  }
}

function replay(run: RecordedRun): Machine {
  const machine = new Machine(
    replayCode(run.prepared.instructions, run.records, run.stackDepth, run.addresses),
    run.trace,
  );
  while (!machine.ending) machine.run();
  return machine;
}

const programs: Record<string, string> = {
  'returns a number': `SEC("xdp") int prog(struct xdp_md *ctx) { return 2; }`,
  'reads its packet': `
SEC("xdp") int prog(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	int sum = 0;

	for (int i = 0; i < 40; i++) {
		if (data + i + 1 > end)
			break;
		sum += data[i] * (i + 3);
	}
	return sum & 3;
}`,
  'writes its packet, calls subprograms and helpers, counts in a map': `
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
__u64 total;
const volatile int limit = 3;
static __noinline int checksum(unsigned char *from, unsigned char *end)
{
	int sum = 0;

	for (int i = 0; i < 20; i++) {
		if (from + i + 1 > end)
			return -1;
		sum += from[i];
	}
	return sum;
}
SEC("xdp") int prog(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 key = bpf_get_smp_processor_id() % 4;
	__u64 one = 1, *count;

	if (data + 34 > end)
		return XDP_DROP;
	int sum = checksum(data + 14, end);
	count = bpf_map_lookup_elem(&counts, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
	count = bpf_map_lookup_elem(&counts, &key);
	if (count && *count > limit)
		return XDP_DROP;
	data[0] = sum;
	total += sum;
	return sum > 100 ? XDP_PASS : XDP_TX;
}`,
  'calls back': `
static long add(__u32 index, __u64 *sum)
{
	*sum += index * index + bpf_ktime_get_ns() % 3;
	return index > 8;
}
SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u64 sum = 0;

	bpf_loop(20, add, &sum, 0);
	return sum % 5;
}`,
  'computes in every way': `
__u64 sink[16];
SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u64 a = bpf_ktime_get_ns(), b = bpf_get_prandom_u32();
	__s64 s = (__s64)(a ^ (b << 33));
	__s32 w = (__s32)a;

	sink[0] = a * b;
	sink[1] = a / (b | 1);
	sink[2] = a % (b | 1);
	sink[3] = s >> (b & 63);
	sink[4] = a << (b & 63);
	sink[5] = a >> (b & 63);
	sink[6] = (__u32)a * (__u32)b;
	sink[7] = (__u32)a / ((__u32)b | 1);
	sink[8] = w >> (b & 31);
	sink[9] = __builtin_bswap64(a);
	sink[10] = __builtin_bswap32(a);
	sink[11] = __builtin_bswap16(a);
	sink[12] = -s;
	sink[13] = (s < (__s64)b) + (a > b) + (w < (__s32)b);
	sink[14] = __sync_fetch_and_add(&sink[15], a);
	__sync_fetch_and_xor(&sink[15], b);
	return sink[0] & 1;
}`,
  'keeps strings on its stack': `
const char name[8] = "strings";
SEC("xdp") int prog(struct xdp_md *ctx)
{
	char text[32] = {};
	long length = bpf_probe_read_kernel_str(text, 16, name);

	bpf_probe_read_kernel(text + 16, 8, &length);
	return (text[0] + text[17] + length) & 3;
}`,
};

const GO_ON = 'asm volatile goto("may_goto %l[enough]" :::: enough);';
Object.assign(programs, {
  'loops as long as the kernel lets it': `
__u64 rounds;
SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u32 sum = 0;

	for (int outer = 0; outer < 3; outer++) {
		for (;;) {
			${GO_ON}
			sum = sum * 5 + 1;
			rounds++;
			if (sum % 7 == outer)
				break;
		}
	}
enough:
	return sum & 3;
}`,
  'has jumps that become too long': `
__u64 value = 3;
SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u64 sum = bpf_get_prandom_u32(), loaded;

	for (int i = 0; i < 2; i++) {
		if (sum & 1)
			asm volatile(".rept 14000; %[loaded] = *(u64 *)(%[value] + 0); %[sum] += %[loaded]; .endr"
				     : [sum]"+r"(sum), [loaded]"=&r"(loaded) : [value]"r"(&value));
		value += sum & 7;
		sum ^= 1;
	}
	return sum & 3;
}`,
});
/** `major * 100 + minor` of the first kernel that runs a program: bpf_loop, atomics that fetch, may_goto, jumps of 32 bits. */
const SINCE: Record<string, number> = {
  'calls back': 517,
  'computes in every way': 512,
  'loops as long as the kernel lets it': 609,
  'has jumps that become too long': 606,
};

describe.each(['full', 'lean'] as const)('%s', (recording) => {
  test.each(Object.entries(programs))('a program that %s', async (name, source) => {
    const { major, minor } = kernel.client.hello.kernel.version;
    if (major * 100 + minor < (SINCE[name] ?? 0))
      return console.log(`not run on Linux ${major}.${minor}: a program that ${name}`);
    const run = await record(source, recording);
    const machine = replay(run);
    expect(machine.ending).toEqual({ kind: 'returned' });
    expect(machine.registers.lo[0]! >>> 0).toBe(run.result.returnValue);
  });
});
