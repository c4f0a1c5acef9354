/** The packet at each step of a recorded run is the kernel's, also where helpers change it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KernelClient } from '../../kernel/client/client';
import { Compiler, openTestKernel } from '../../kernel/host/testing';
import { openRun } from '../../debug-adapter/recorder/open-run';
import type { OpenedRun } from '../../debug-adapter/recorder/open-run';
import { UDP, isTooOld, recordObject } from './record';

let kernel: { client: KernelClient; dispose(): Promise<void> };
let compiler: Compiler;
beforeAll(async () => {
  kernel = await openTestKernel();
  compiler = await Compiler.create(kernel.client);
});
afterAll(() => kernel?.dispose());

/** The packet at the present step in hex digits, `··` for bytes that are not known; undefined where it is not known. */
function packet({ timeline: { machine } }: OpenedRun): string | undefined {
  const { data, end } = machine.packet ?? {};
  if (data === undefined || end === undefined) return undefined;
  const { bytes, known } = machine.memory.bytes(data, Number(end - data));
  return Array.from(bytes, (byte, at) => (known[at] ? byte.toString(16).padStart(2, '0') : '··')).join('');
}

/** The packet's different forms through the run, in order. */
function forms(run: OpenedRun): (string | undefined)[] {
  const seen: (string | undefined)[] = [];
  for (let step = 0; step <= run.timeline.length; step++) {
    run.timeline.seek(step);
    const now = packet(run);
    if (seen.length === 0 || seen.at(-1) !== now) seen.push(now);
  }
  return seen;
}

const original = Buffer.from(UDP).toString('hex');
const bounds = `
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	if (data + 34 > end)
		return 0;
`;

interface Case {
  section: 'xdp' | 'tc';
  body: string;
  since?: number;
  /** Forms of the packet after it is known where it is. */
  expected: string[];
}
const zeros = (count: number) => '00'.repeat(count);
const cases: Record<string, Case> = {
  'is written by instructions': {
    section: 'xdp',
    body: `${bounds} data[0] = 7; asm volatile("" ::: "memory"); *(__u16 *)(data + 32) = 0x0102; return 2;`,
    expected: [original, `07${original.slice(2)}`, `07${original.slice(2, 64)}0201${original.slice(68)}`],
  },
  'loses its beginning and end': {
    section: 'xdp',
    body: `${bounds} bpf_xdp_adjust_head(ctx, 14); bpf_xdp_adjust_tail(ctx, -4); return 2;`,
    expected: [original, original.slice(28), original.slice(28, -8)],
  },
  'gets a longer end, of zeros': {
    section: 'xdp',
    body: `${bounds} bpf_xdp_adjust_tail(ctx, 8); return 2;`,
    expected: [original, original + zeros(8)],
  },
  'gets a longer beginning, which the program writes': {
    section: 'xdp',
    body: `${bounds}
	bpf_xdp_adjust_head(ctx, -4);
	data = (void *)(long)ctx->data, end = (void *)(long)ctx->data_end;
	if (data + 4 > end)
		return 0;
	*(__u32 *)data = 0x04030201;
	return 2;`,
    expected: [original, `········${original}`, `01020304${original}`],
  },
  'is kept by a helper that fails': {
    section: 'xdp',
    body: `${bounds} bpf_xdp_adjust_head(ctx, 5000); return 2;`,
    expected: [original],
  },
  'gets metadata before it': {
    section: 'xdp',
    body: `${bounds} bpf_xdp_adjust_meta(ctx, -8); return 2;`,
    expected: [original],
  },
  'is changed before the program asks where it is': {
    section: 'xdp',
    body: `bpf_xdp_adjust_head(ctx, 14); ${bounds.replace('34', '20')} return 2;`,
    expected: [original.slice(28)],
  },
  'is stored to by a helper': {
    section: 'xdp',
    since: 518,
    body: `${bounds} __u32 word = 0xaabbccdd; bpf_xdp_store_bytes(ctx, 30, &word, 4); return 2;`,
    expected: [original, `${original.slice(0, 60)}ddccbbaa${original.slice(68)}`],
  },
  'of tc is stored to by a helper': {
    section: 'tc',
    body: `${bounds} __u32 word = 0xaabbccdd; bpf_skb_store_bytes(ctx, 30, &word, 4, 0); return 0;`,
    expected: [original, `${original.slice(0, 60)}ddccbbaa${original.slice(68)}`],
  },
  'of tc gets another length': {
    section: 'tc',
    body: `${bounds} bpf_skb_change_tail(ctx, 60, 0); bpf_skb_change_tail(ctx, 40, 0); return 0;`,
    expected: [original, original + zeros(14), original.slice(0, 80)],
  },
  'of tc gets another beginning': {
    section: 'tc',
    body: `${bounds} bpf_skb_change_head(ctx, 8, 0); return 0;`,
    expected: [original, zeros(8) + original],
  },
  'of tc is pulled, and read': {
    section: 'tc',
    body: `
	bpf_skb_pull_data(ctx, 40);
	${bounds} return data[20];`,
    expected: [original],
  },
};

describe('a packet that', () => {
  test.each(Object.entries(cases))('%s', async (name, { section, body, expected, since = 0 }) => {
    if (isTooOld(kernel.client, since, `a packet that ${name}`)) return;
    const context = section === 'xdp' ? 'struct xdp_md' : 'struct __sk_buff';
    const source = `SEC("${section}") int prog(${context} *ctx)\n{\n${body}\n}`;
    const run = await recordObject(kernel.client, await compiler.compile(source));
    expect(run.ending).toEqual({ kind: 'returned' });
    const [first, ...seen] = forms(run);
    expect(first).toBeUndefined();
    expect(seen).toEqual(expected);
    // The kernel's own result is the last form; metadata stands in front of it.
    expect(Buffer.from(run.recording.result.data).toString('hex').slice(-seen.at(-1)!.length)).toBe(
      seen.at(-1),
    );
  });

  test('has its checksums replaced is what the kernel gave back from there on', async () => {
    const run = await recordObject(
      kernel.client,
      await compiler.compile(`
SEC("tc") int prog(struct __sk_buff *ctx)
{
	${bounds}
	bpf_l3_csum_replace(ctx, 24, 0x0a000001, 0x0a000009, 4);
	bpf_l4_csum_replace(ctx, 40, 0x0a000001, 0x0a000009, 0x10 | 4);
	return 0;
}`),
    );
    expect(run.ending).toEqual({ kind: 'returned' });
    const output = Buffer.from(run.recording.result.data).toString('hex');
    expect(output).not.toBe(original);
    const afterFirst = original.slice(0, 48) + output.slice(48, 52) + original.slice(52);
    const expected = afterFirst === output ? [original, output] : [original, afterFirst, output];
    expect(forms(run).slice(1)).toEqual(expected);
  });

  test('is written through a dynptr is what the kernel gave back from there on', async () => {
    if (isTooOld(kernel.client, 604, 'bpf_dynptr_from_xdp')) return;
    const run = await recordObject(
      kernel.client,
      await compiler.compile(`
struct bpf_dynptr;
extern int bpf_dynptr_from_xdp(struct xdp_md *xdp, __u64 flags, struct bpf_dynptr *ptr) __ksym;
SEC("xdp") int prog(struct xdp_md *ctx)
{
	struct bpf_dynptr packet;
	__u32 word = 0x04030201;
	${bounds}
	bpf_dynptr_from_xdp(ctx, 0, &packet);
	bpf_dynptr_write(&packet, 30, &word, 4, 0);
	return 2;
}`),
    );
    expect(run.ending).toEqual({ kind: 'returned' });
    const output = Buffer.from(run.recording.result.data).toString('hex');
    expect(output).toBe(`${original.slice(0, 60)}01020304${original.slice(68)}`);
    expect(forms(run).slice(1)).toEqual([original, output]);
  });

  test('lies in several pieces is followed in the first of them', async () => {
    if (isTooOld(kernel.client, 518, 'xdp.frags')) return;
    const object = await compiler.compile(`
SEC("xdp.frags") int prog(struct xdp_md *ctx)
{
	__u32 word = 0x04030201;
	${bounds}
	data[0] = 5;
	bpf_xdp_store_bytes(ctx, 4990, &word, 4);
	bpf_xdp_adjust_tail(ctx, -2);
	return 2;
}`);
    const data = Uint8Array.from({ length: 5000 }, (_, at) => at);
    const run = await recordObject(kernel.client, object, 'prog', { data, dataOutSize: 8192 });
    expect(run.ending).toEqual({ kind: 'returned' });
    expect(run.recording.result.data).toHaveLength(4998);
    expect(run.recording.result.data[4990]).toBe(1);
    const [, before, after, end] = forms(run);
    expect(before!.slice(0, 8)).toBe('00010203');
    expect(after!.slice(0, 8)).toBe('05010203');
    expect(after!.length / 2).toBeLessThan(5000);
    expect(end).toBeUndefined();
  });

  test('comes with a context that the program writes', async () => {
    const object = await compiler.compile(`
SEC("tc") int prog(struct __sk_buff *ctx)
{
	ctx->mark = ctx->mark + 1;
	ctx->cb[1] = 7;
	return 0;
}`);
    const context = new Uint8Array(192);
    context[8] = 4;
    const run = await recordObject(kernel.client, object, 'prog', { context, contextOutSize: 192 });
    expect(run.ending).toEqual({ kind: 'returned' });
    const { machine } = run.timeline;
    expect(run.recording.result.context[8]).toBe(5);
    expect(machine.memory.bytes(machine.context + 8n, 4)).toMatchObject({ bytes: Uint8Array.of(5, 0, 0, 0) });
    // What the kernel gave back is what is compared with.
    const other = { ...run.recording.result, context: Uint8Array.from(run.recording.result.context) };
    other.context[52] = 8;
    const opened = openRun({ ...run.recording, result: other });
    expect(opened.ok && opened.value.ending).toMatchObject({
      kind: 'diverged',
      reason: expect.stringMatching(/in cb$/),
    });
  });

  test('has its layers changed is not known until it is read', async () => {
    const run = await recordObject(
      kernel.client,
      await compiler.compile(`
SEC("tc") int prog(struct __sk_buff *ctx)
{
	${bounds}
	bpf_skb_adjust_room(ctx, 8, BPF_ADJ_ROOM_MAC, 0);
	data = (void *)(long)ctx->data, end = (void *)(long)ctx->data_end;
	if (data + 34 > end)
		return 0;
	return data[12];
}`),
    );
    expect(run.ending).toEqual({ kind: 'returned' });
    const seen = forms(run);
    expect(seen[1]).toBe(original);
    expect(seen[2]).toBeUndefined();
    expect(seen.at(-1)).toMatch(/^(··){12}08(··)+$/);
    expect(seen.at(-1)).toHaveLength(run.recording.result.data.length * 2);
  });
});
