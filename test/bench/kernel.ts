/** What the terminal, the client and the VM take. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { openKernel } from '../../kernel/client/open';
import { defaultKernel, findKernels } from '../../kernel/targets/vm/kernels';
import { dist } from '../support/bpf-object';
import { milliseconds, ratioLine, run, seconds, sideBySide, skippedLine, type Line } from './measure';
import type { Workshop } from './workshop';

/** Verdicts of twenty objects, Node's start included, against veristat. */
export async function verifyObjects({ objects }: Workshop, veristat: string | undefined): Promise<Line> {
  const name = `verify of ${objects.length} objects / veristat`;
  const bound = 1.3;
  if (veristat === undefined) {
    const how =
      'build veristat (github.com/libbpf/veristat) and give its path: npm run bench -- --veristat PATH';
    return skippedLine(name, bound, how);
  }
  const cli = path.join(dist, 'cli.js');
  const ours = () => run(process.execPath, [cli, 'verify', '--json', '--target', 'local', ...objects]);
  return ratioLine(name, bound, await sideBySide(9, ours, () => run(veristat, objects)));
}

const ENTRIES = 1_000_000;

/** Every entry of a hash of a million, in memory and counted, against bpftool's dump of it. */
export async function readMap({ client, clang, include, directory }: Workshop): Promise<Line> {
  const file = path.join(directory, 'million.bpf.c');
  writeFileSync(
    file,
    `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, ${ENTRIES}); __type(key, __u32); __type(value, __u64); } million SEC(".maps");
__u32 next;
SEC("xdp") int fill(struct xdp_md *ctx)
{
	__u32 key = next++;
	__u64 value = key;
	bpf_map_update_elem(&million, &key, &value, BPF_ANY);
	return XDP_PASS;
}
`,
  );
  const object = path.join(directory, 'million.o');
  await run(clang, ['-O2', '-g', '-target', 'bpf', ...include, '-c', file, '-o', object]);
  const opened = await client.request('objectOpen', { object: readFileSync(object) });
  const loaded = await client.request('objectLoad', { object: opened.object, log: 'rejected' });
  const { handle: program } = loaded.programs[0]!;
  const packet = { data: new Uint8Array(64), dataOutSize: 64, contextOutSize: 0 };
  await client.request('testRun', { program, ...packet, repeat: ENTRIES });
  const map = loaded.maps.find(({ name }) => name === 'million')!;
  const ours = async () => {
    let count = 0;
    let cursor: Uint8Array | undefined;
    do {
      const page = await client.request('mapEntries', {
        map: map.handle,
        limit: 1 << 18,
        ...(cursor ? { cursor } : {}),
      });
      count += page.count;
      cursor = page.cursor;
    } while (cursor);
    if (count !== ENTRIES) throw new Error(`${count} entries instead of ${ENTRIES}`);
  };
  // To a pipe nobody keeps, as `bpftool map dump | wc` would have it.
  const theirs = () => run('sh', ['-c', `bpftool map dump id ${map.id} > /dev/null`]);
  const measured = await sideBySide(3, ours, theirs);
  await client.request('objectClose', { object: opened.object });
  return ratioLine('1,000,000-entry hash read / bpftool map dump', 0.2, measured);
}

/** From selecting a VM's kernel to the first verdict. */
export async function vmStart({ objects }: Workshop): Promise<Line> {
  const name = 'VM: kernel selected to first verdict, in s';
  const bound = 6;
  const kernel = defaultKernel(findKernels());
  if (!kernel) return skippedLine(name, bound, 'no kernel image here: node scripts/kernels.mjs 6.12');
  const object = readFileSync(objects[0]!);
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    let stop = async () => {};
    times.push(
      await milliseconds(async () => {
        const vm = await openKernel({
          target: { kind: 'vm', kernel: kernel.image },
          name: 'bench',
          distDirectory: dist,
          elevate: 'never',
          log: () => {},
        });
        if (!('client' in vm)) throw new Error(`${vm.message} ${vm.hint}`);
        stop = () => vm.dispose();
        const { programs } = await vm.client.request('verify', { object, log: 'rejected' });
        if (programs.some(({ verdict }) => verdict !== 'accepted')) throw new Error(JSON.stringify(programs));
      }),
    );
    await stop();
  }
  const best = times.sort((a, b) => a - b)[1]!;
  return { name: `${name} (${kernel.release})`, bound, ours: seconds(best), theirs: '', value: best / 1000 };
}

/** Without bpftool there is nothing to compare with. */
export function hasBpftool(): boolean {
  try {
    execFileSync('bpftool', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
