/** Programs in `SEC("?…")`: libbpf loads them only when a loader asks for them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bpfStudio } from './command-line';
import { describeAsRoot } from '../support/root';

const source = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int leaf(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, int(struct xdp_md *));
} jumps SEC(".maps") = { .values = { [1] = (void *)&leaf } };

SEC("?xdp")
int jump(struct xdp_md *ctx)
{
	bpf_tail_call(ctx, &jumps, 1);
	return XDP_PASS;
}

SEC("xdp")
int leaf(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("?xdp")
int refused(struct xdp_md *ctx)
{
	return *(__u8 *)(long)ctx->data;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;

let scratch: string;
let file: string;
beforeAll(() => {
  scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-optional-'));
  file = path.join(scratch, 'optional.bpf.c');
  writeFileSync(file, source);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describeAsRoot('a program that is loaded only on request', () => {
  it('is verified like the others, and marked', async () => {
    const { status, stdout } = await bpfStudio('verify', file);
    expect(status).toBe(1);
    expect(stdout).toMatch(/✓ jump \(\?xdp\): accepted, .*, loaded only on request/);
    expect(stdout).toMatch(/✓ leaf \(xdp\): accepted, (?!.*on request)/);
    expect(stdout).toMatch(/✗ refused \(\?xdp\): rejected/);
    expect(stdout).toContain('error[bpf/packet-bounds]');
    const [report] = (await bpfStudio('verify', '--json', file)).json() as {
      programs: { name: string; optional?: boolean }[];
    }[];
    expect(report!.programs.filter(({ optional }) => optional).map(({ name }) => name)).toEqual([
      'jump',
      'refused',
    ]);
  });

  it('runs when it is asked for, beside what its tail calls reach and without the others', async () => {
    const { status, stdout } = await bpfStudio('run', file, '--prog', 'jump');
    expect(stdout).toContain('jump returned XDP_DROP');
    expect(status).toBe(0);
  });
});
