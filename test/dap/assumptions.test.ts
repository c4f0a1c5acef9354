/** What was settled for an object that leaves it to its own loader is said in the console, once a load. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { DapClient } from './client';
import { sharedTarget } from './target';

const target = sharedTarget();
const program = path.join(mkdtempSync(path.join(os.tmpdir(), 'bpfs-dap-')), 'open.bpf.c');
writeFileSync(
  program,
  `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
} marks SEC(".maps");

SEC("classifier/ingress")
int count(struct __sk_buff *skb)
{
	__u32 mark = skb->mark;
	__u64 one = 1;

	bpf_map_update_elem(&marks, &mark, &one, BPF_ANY);
	return 0;
}

SEC("raw_tracepoint/sched_switch")
int watch(void *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&marks, &key) != 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
`,
);

let client: DapClient | undefined;
afterEach(async () => {
  await client?.close();
  client = undefined;
});
const times = (pattern: RegExp) => client!.printed('console').match(new RegExp(pattern, 'gm'))?.length ?? 0;
const SECTION =
  /do not load SEC\("classifier\/ingress"\), .* it was verified as SEC\("classifier"\)\. Write /;
const ENTRIES =
  /^The map marks has no max_entries: .*\. Here it has max_entries 1024\. Call bpf_map__set_max/;

it('of a launch, and of a restart', async () => {
  client = await DapClient.started('launch', { ...target.configuration, program, entry: 'count' });
  expect([times(SECTION), times(ENTRIES)]).toEqual([1, 1]);
  expect((await client.row('Maps', 'marks')).value).toBe('hash, 1 entry of at most 1,024');
  const before = client.events.length;
  await client.request('continue', { threadId: 1 });
  await client.event('stopped', undefined, before);
  expect([times(SECTION), times(ENTRIES)]).toEqual([1, 1]);
  const seen = client.events.length;
  await client.request('restart');
  await client.event('stopped', undefined, seen);
  expect([times(SECTION), times(ENTRIES)]).toEqual([2, 2]);
});

it('of programs that are attached', async () => {
  client = await DapClient.started('attach', {
    ...target.configuration,
    program,
    attach: [{ entry: 'watch' }],
  });
  expect([times(SECTION), times(ENTRIES)]).toEqual([0, 1]);
});
