/** `verify --fixes`: what it prints is applied by git, and the kernel accepts the result. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { dist } from '../support/bpf-object';
import { bpfStudio, startCommand, type Finished } from './command-line';

const asRoot = process.geteuid?.() === 0;
const directory = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-cli-fixes-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const file = (name: string) => path.join(directory, name);

const head = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;
const sources = {
  'unchecked.bpf.c': `${head}struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");

SEC("xdp")
int unchecked(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);

	*count += 1;
	return XDP_PASS;
}
`,
  'large.bpf.c': `${head}
SEC("xdp")
int large(struct xdp_md *ctx)
{
	char name[600] = {};

	bpf_get_current_comm(name, sizeof(name));
	return name[0] == 'a' ? XDP_DROP : XDP_PASS;
}
`,
  'section.bpf.c': `${head}
SEC("xpd")
int misspelt(struct xdp_md *ctx)
{
	return XDP_PASS;
}
`,
  'nowhere.bpf.c': `${head}
SEC("kprobe/vfs_reed")
int nowhere(void *ctx)
{
	return 0;
}
`,
  'hopeless.bpf.c': `${head}
SEC("xdp")
int hopeless(struct xdp_md *ctx)
{
	return *(int *)0x1000;
}
`,
};
type Name = keyof typeof sources;

beforeEach(() => {
  for (const [name, text] of Object.entries(sources)) writeFileSync(file(name), text);
});

function inDirectory(...args: string[]): Promise<Finished> {
  const env = { ...process.env, NO_COLOR: '1' };
  return startCommand([process.execPath, path.join(dist, 'cli.js'), ...args], { cwd: directory, env })
    .finished;
}

interface Report {
  file: string;
  programs: { verdict: string; diagnostics: Finding[] }[];
  diagnostics: Finding[];
}
interface Finding {
  code: string;
  severity: number;
  data?: { fixes?: { title: string; diff: string; isPreferred: boolean; edits: unknown[] }[] };
}

async function reportsOn(...args: string[]): Promise<Report[]> {
  const finished = await inDirectory('verify', '--json', ...args);
  return finished.json() as unknown as Report[];
}

function findingsOf({ programs, diagnostics }: Report): Finding[] {
  return [...diagnostics, ...programs.flatMap((program) => program.diagnostics)];
}

const apply = (patch: string) => execFileSync('git', ['apply', '-'], { cwd: directory, input: patch });

describe.skipIf(!asRoot)('bpf-studio verify --fixes (needs root)', () => {
  it('finds changes that the kernel accepts, for rejections, for clang’s limits and for sections', async () => {
    const broken: Name[] = ['unchecked.bpf.c', 'large.bpf.c', 'section.bpf.c', 'nowhere.bpf.c'];
    const reports = await reportsOn('--fixes', ...broken, 'hopeless.bpf.c');
    expect(reports.map((report) => report.file)).toEqual([...broken, 'hopeless.bpf.c']);
    const titles: Record<string, string | undefined> = {};
    for (const report of reports) {
      const fixes = findingsOf(report).flatMap(({ data }) => data?.fixes ?? []);
      titles[report.file] = fixes[0]?.title;
      for (const { diff } of fixes) {
        writeFileSync(file(report.file), sources[report.file as Name]);
        apply(diff);
        const [after] = await reportsOn(report.file);
        expect(after!.programs.map(({ verdict }) => verdict)).toEqual(['accepted']);
        expect(findingsOf(after!)).toEqual([]);
      }
    }
    expect(titles).toEqual({
      'unchecked.bpf.c': 'Return XDP_PASS when `count` is NULL',
      'large.bpf.c': 'Move `name` (600 bytes) from the stack to a per-CPU map',
      'section.bpf.c': 'Change the section to `SEC("xdp")`',
      'nowhere.bpf.c': 'Change the section to `SEC("kprobe/vfs_read")`',
      'hopeless.bpf.c': undefined,
    });
  });

  it('prints each as a patch that can be copied from the terminal', async () => {
    const { stdout, status } = await inDirectory('verify', '--fixes', 'unchecked.bpf.c');
    expect(status).toBe(1);
    const [, patch] =
      /= fix: Return XDP_PASS when `count` is NULL\n(--- a\/.*\n(?:[-+@ ].*\n)+?)(?= +=|$)/.exec(stdout)!;
    apply(patch!);
    expect(readFileSync(file('unchecked.bpf.c'), 'utf8')).toContain('\tif (!count)\n\t\treturn XDP_PASS;\n');
    expect((await inDirectory('verify', 'unchecked.bpf.c')).status).toBe(0);
  });

  it('looks for none when nobody asks', async () => {
    const [report] = await reportsOn('unchecked.bpf.c');
    expect(findingsOf(report!).map(({ data }) => data?.fixes)).toEqual([undefined]);
  });

  it('hints at an attach point that is not there, and still says that all is well', async () => {
    const { stdout, status } = await inDirectory('verify', 'nowhere.bpf.c');
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /✓ nowhere[^]*hint\[bpf\/attach-point\]: Linux \S+ has no function vfs_reed[^]*nowhere\.bpf\.c:5:13/,
    );
    const [report] = await reportsOn('nowhere.bpf.c');
    expect(findingsOf(report!)).toMatchObject([{ code: 'bpf/attach-point', severity: 4 }]);
    const github = await inDirectory('verify', '--github', 'nowhere.bpf.c');
    expect(github.stdout).toMatch(/^::notice file=nowhere\.bpf\.c,line=5,endLine=5,col=13,/);
  });
});

it.each([
  [['--fixes', '--stats', 'x.c'], /--stats shows no fixes; use --fixes with --json, --sarif or none of them/],
  [['--fixes', '--github', 'x.c'], /--github shows no fixes/],
  [['--fixes', '--kernels', 'local', 'x.c'], /--fixes asks one kernel and --kernels names several/],
])('verify %j is explained', async (args, message) => {
  const { stderr, status } = await bpfStudio('verify', ...args);
  expect(stderr).toMatch(message);
  expect(status).toBe(2);
});
