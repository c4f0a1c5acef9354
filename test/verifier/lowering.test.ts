/** What LLVM makes of C so that the verifier refuses it: named as that, with what helps, on a real kernel. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Failure } from '../../toolchain/verifier/report';
import { compileFixture } from './compile';
import { openTestKernel, verifyObject, type TestKernel } from './kernel';

let kernel: TestKernel;
let directory: string;
beforeAll(async () => {
  kernel = await openTestKernel('lowering');
  directory = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-lowering-'));
});
afterAll(async () => {
  await kernel?.dispose();
  await rm(directory, { recursive: true, force: true });
});

async function failureOf(text: string, cpu: 'v1' | 'v3'): Promise<Failure | undefined> {
  const file = path.join(directory, 'program.bpf.c');
  await writeFile(file, text);
  const { object } = await compileFixture(file, [...kernel.compilerFlags, `-mcpu=${cpu}`]);
  return (await verifyObject(kernel, object, 'rejected')).report.failure;
}

const head = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, char[64]); } buffers SEC(".maps");
char LICENSE[] SEC("license") = "Dual MIT/GPL";
SEC("tracepoint/syscalls/sys_enter_openat")
int program(long *ctx)
{
	__u32 key = 0;
	char *buffer = bpf_map_lookup_elem(&buffers, &key);

	if (!buffer)
		return 0;
`;
const programs = {
  'sign-extended': `${head}	int n = bpf_probe_read_user_str(buffer, 64, (void *)ctx[3]);

	if (n < 0)
		return 0;
	if (n > 32)
		return 0;
	buffer[n] = 0;
	bpf_probe_read_user(buffer, n, (void *)ctx[2]);
	return 0;
}
`,
  'zero-extended': `${head}	__u32 n = ctx[4];

	if (n > 64)
		return 0;
	bpf_probe_read_user(buffer, n, (void *)ctx[3]);
	return buffer[0];
}
`,
};

describe.each(Object.entries(programs))('a check of a %s copy', (how, text) => {
  test('is told, with the compiler that made it', async () => {
    const failure = await failureOf(text, 'v1');
    expect(failure?.id).toMatch(/^bpf\/(index|size)-/);
    const told = failure!.causes.map(({ message }) => message).join('\n');
    expect(told).toContain(`is of a ${how} copy, and the value that is used later is not that copy`);
    expect(failure!.help).toContain(`clang compares a ${how} copy of the low 32 bits of \`n\``);
    expect(failure!.help.includes('-mcpu=v3')).toBe(how === 'sign-extended');
  });

  test('is gone with what is advised', async () => {
    const wider = text.replace('int n =', 'long n =').replace('__u32 n =', '__u64 n =');
    expect(wider).not.toBe(text);
    expect((await failureOf(wider, 'v1'))?.message).toBeUndefined();
    // Older kernels do not know of 64 bits what a comparison of 32 proves.
    if (how === 'sign-extended' && kernel.version.major >= 6)
      expect(await failureOf(text, 'v3')).toBeUndefined();
  });

  test('is told whatever the variable is called', async () => {
    const failure = await failureOf(text.replaceAll(/\bn\b/g, 'zahl'), 'v1');
    expect(failure!.help).toContain(`${how} copy of the low 32 bits of \`zahl\``);
  });
});

describe('the length of a packet in 32 bits', () => {
  const body = (declarations: string) => `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
char copy[256];
SEC("xdp")
int program(struct xdp_md *ctx)
{
	${declarations}

	if (length > 256)
		length = 256;
	bpf_probe_read_kernel(copy, length, 0);
	return XDP_PASS;
}
`;

  test('is told to be unknown in its upper half', async () => {
    const failure = await failureOf(body('__u32 length = ctx->data_end - ctx->data;'), 'v3');
    expect(failure?.id).toMatch(/^bpf\/size-/);
    const told = failure!.causes.map(({ message }) => message).join('\n');
    expect(told).toContain('the distance of two packet pointers is taken in 32 bits here');
    expect(failure!.help).toContain('__u64 length = data_end - data');
  });

  test('is known with what is advised', async () => {
    const declarations =
      'void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;\n\t__u64 length = data_end - data;';
    expect((await failureOf(body(declarations), 'v3'))?.message).toBeUndefined();
  });
});
