/** Objects that only their own loader completes get verdicts, and what was assumed for them is said. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeAsRoot } from '../support/root';
import { bpfStudio, start } from './command-line';

const source = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps"); // #ENTRIES

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(key_size, sizeof(__u32));
} stacks SEC(".maps"); // #STACKS

SEC("classifier/ingress") // #SECTION
int count(struct __sk_buff *skb)
{
	__u32 mark = skb->mark;
	__u64 *packets = bpf_map_lookup_elem(&counts, &mark);

	if (packets)
		__sync_fetch_and_add(packets, 1);
	return 0;
}

SEC("tracepoint/sched/sched_switch")
int sampled(void *ctx)
{
	bpf_get_stackid(ctx, &stacks, 0);
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;
const lineOf = (marker: string) => source.split('\n').findIndex((line) => line.includes(`#${marker}`));

interface Report {
  programs: { name: string; type: string; verdict: string; diagnostics: unknown[] }[];
  diagnostics: { code: string; severity: number; message: string; range: { start: { line: number } } }[];
}

describeAsRoot('an object that leaves things to its loader', () => {
  let directory: string;
  const file = () => path.join(directory, 'open.bpf.c');
  beforeAll(() => {
    directory = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-assumed-'));
    writeFileSync(file(), source);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('is verified, with a word on each thing left open', async () => {
    const { status, json } = await bpfStudio('verify', '--json', file());
    const [report] = json() as unknown as [Report];
    expect(report.programs).toMatchObject([
      { name: 'count', type: 'sched_cls', verdict: 'accepted', diagnostics: [] },
      { name: 'sampled', type: 'tracepoint', verdict: 'accepted' },
    ]);
    const said = report.diagnostics.map(({ code, severity, range }) => [code, severity, range.start.line]);
    expect(said).toEqual([
      ['bpf/section', 2, lineOf('SECTION')],
      ['bpf/map-create', 4, lineOf('ENTRIES')],
      ['bpf/map-create', 4, lineOf('STACKS')],
    ]);
    expect(report.diagnostics[0]?.message).toContain('SEC("classifier")');
    expect(report.diagnostics[2]?.message).toContain('max_entries and no value_size');
    expect(status).toBe(0);
  });

  it('is run, attached and recorded with the same words, once', async () => {
    const { diagnostics } = (await bpfStudio('verify', '--json', file())).json()[0] as unknown as Report;
    const settled = [
      '',
      ' Here it has max_entries 1024.',
      ' Here it has max_entries 1024 and value_size 1016.',
    ];
    const words = diagnostics.map(({ message }, index) => `${message}.${settled[index]} `);

    const run = await bpfStudio('run', file(), '-p', 'count', '--packet', '00'.repeat(60));
    const record = await bpfStudio(
      ...['record', file(), '-p', 'count', '--packet', '00'.repeat(60)],
      ...['-o', path.join(directory, 'open.bpfrec')],
    );
    for (const { status, stderr } of [run, record]) {
      expect(words.map((each) => stderr.split(each).length - 1)).toEqual([1, 1, 1]);
      expect(status).toBe(0);
    }

    // Of the programs that are loaded only: the section of the other one is nothing to speak of.
    const attach = start(['attach', file(), '-p', 'sampled', '--json']);
    await attach.seen(/"attached"/);
    attach.signal('SIGINT');
    const said = (await attach.finished).json().filter(({ type }) => type === 'assumption');
    expect(said.map(({ message }) => words.findIndex((each) => String(message).startsWith(each)))).toEqual([
      1, 2,
    ]);
  });
});
