/** A path is told by the branch of the source that it takes, on a real kernel and with the source at hand. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { verifyObject } from '../../language-server/model/verify';
import { loadParser } from '../../toolchain/c/parser';
import { readSource } from '../../toolchain/c/source';
import { compileFixture } from './compile';
import { openTestKernel, type TestKernel } from './kernel';

let kernel: TestKernel;
let directory: string;
beforeAll(async () => {
  kernel = await openTestKernel('branches');
  directory = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-branches-'));
});
afterAll(async () => {
  await kernel?.dispose();
  await rm(directory, { recursive: true, force: true });
});

const program = (body: string): string => `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
SEC("tc")
int program(struct __sk_buff *skb)
{
	__u32 key = skb->mark;
	__u64 *v = bpf_map_lookup_elem(&counts, &key);

${body}
	return *v;
}
char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;

async function told(text: string): Promise<{ message: string; related: string[] }> {
  const file = path.join(directory, 'program.bpf.c');
  await writeFile(file, text);
  const { object } = await compileFixture(file, kernel.compilerFlags);
  const source = readSource(await loadParser(), text);
  const signal = new AbortController().signal;
  const { diagnostics } = await verifyObject(kernel.opened.client, object, source, file, signal);
  expect(diagnostics.map(({ code }) => code)).toEqual(['bpf/null-deref']);
  return { message: diagnostics[0]!.message, related: diagnostics[0]!.related.map(({ message }) => message) };
}

test('through the else', async () => {
  const body = `	if (skb->len > 64) {
		if (!v)
			return 1;
		bpf_printk("long");
	} else { // #ELSE
		bpf_printk("short");
	}`;
  const text = program(body);
  const line = text.split('\n').findIndex((one) => one.includes('#ELSE')) + 1;
  const { message, related } = await told(text);
  expect(message).toContain(
    `without a check on the path through the \`else\` on line ${line}, where \`skb->len > 64\` is false`,
  );
  expect(related).toContain(
    `\`skb->len > 64\` is false on the path that fails, which goes through the \`else\` on line ${line}`,
  );
  // Whatever the variables are called.
  expect(await told(text.replaceAll(/\bv\b/g, 'otherwise'))).toMatchObject({
    message: expect.stringContaining(`through the \`else\` on line ${line}`) as string,
  });
});

test('not through an else that the path does not take, or that is not there', async () => {
  const taken = program(`	if (skb->len > 64) {
		bpf_printk("long");
	} else {
		if (!v)
			return 1;
		bpf_printk("short");
	}`);
  expect((await told(taken)).message).toContain('on the path where `skb->len > 64` is true');
  const none = program(`	if (skb->len > 64) {
		if (!v)
			return 1;
		bpf_printk("long");
	}`);
  expect((await told(none)).message).toContain('on the path where `skb->len > 64` is false');
});
