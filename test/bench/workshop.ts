/** What all benchmark lines work with: a directory, clang, headers, a program. */
import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { KernelClient } from '../../kernel/client/client';
import { openKernel } from '../../kernel/client/open';
import { findClang } from '../../toolchain/clang/discover';
import { dist, root } from '../support/bpf-object';
import { run } from './measure';

export interface Workshop {
  directory: string;
  clang: string;
  /** Flags that find vmlinux.h and libbpf's headers. */
  include: string[];
  source: string;
  client: KernelClient;
  /** Twenty object files. */
  objects: string[];
  dispose(): Promise<void>;
}

const source = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";

SEC("xdp")
int passes(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *ethernet = data;
	struct iphdr *ip = (void *)(ethernet + 1);

	/* EDIT */
	if ((void *)(ip + 1) > end || ethernet->h_proto != bpf_htons(0x0800))
		return XDP_PASS;
	if (ip->protocol == 17 && ip->ttl < 2)
		return XDP_DROP;
	return XDP_PASS;
}
`;

export async function openWorkshop(): Promise<Workshop> {
  const kernel = await openKernel({
    target: { kind: 'local' },
    name: 'bench',
    distDirectory: dist,
    elevate: 'never',
    log: () => {},
  });
  if (!('client' in kernel)) throw new Error(`${kernel.message} ${kernel.hint}`);
  const found = await findClang('');
  if ('problem' in found) throw new Error(`${found.problem.message} ${found.problem.hint}`);
  const directory = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-bench-'));
  writeFileSync(path.join(directory, 'vmlinux.h'), (await kernel.client.request('vmlinuxHeader', {})).text);
  const include = ['-D__TARGET_ARCH_x86', '-I', directory, '-I', path.join(dist, 'include'), '-w'];
  const objects = await compileObjects(found.clang.path, include, directory);
  return {
    directory,
    clang: found.clang.path,
    include,
    source,
    client: kernel.client,
    objects,
    dispose: () => kernel.dispose(),
  };
}

/** The templates, compiled over and over under different names until there are twenty. */
async function compileObjects(clang: string, include: string[], directory: string): Promise<string[]> {
  const templates = readdirSync(path.join(root, 'bpf-templates'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.bpf.c'))
    .map((name) => path.join(root, 'bpf-templates', name));
  const objects: string[] = [];
  for (let copy = 0; objects.length < 20; copy++) {
    const template = templates[copy % templates.length]!;
    const object = path.join(directory, `${copy}-${path.basename(template, '.bpf.c')}.o`);
    await run(clang, ['-O2', '-g', '-target', 'bpf', ...include, '-c', template, '-o', object]);
    objects.push(object);
  }
  return objects;
}
