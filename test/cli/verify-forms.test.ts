/** The forms in which `verify` prints: for scripts, for GitHub, for code scanning, as veristat does, and compared. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bpfStudio, startCommand, type Finished } from './command-line';
import { dist } from '../support/bpf-object';
import { describeAsRoot } from '../support/root';

let directory: string;
const file = (name: string) => path.join(directory, name);

const prelude = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
`;
const program = (name: string, check: string, more = '') => `
SEC("xdp") int ${name}(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 *count = bpf_map_lookup_elem(&counts, &key); // #CAUSE ${name}
	${check}
	*count += 1; // #ERR ${name}
	${more}
	return XDP_PASS;
}
`;
const guard = 'if (!count) return XDP_DROP;';
const mixed = prelude + program('unchecked', '') + program('checked', guard);
const fixed =
  prelude +
  program('unchecked', guard, 'bpf_get_prandom_u32();') +
  program('checked', guard) +
  program('added', guard);
/** A name that every escape of the workflow commands is needed for. */
const ODD = 'a,b:50%.bpf.c';

function lineOf(marker: string): number {
  return mixed.split('\n').findIndex((line) => line.includes(`#${marker}`)) + 1;
}

beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-forms-'));
  writeFileSync(file('mixed.bpf.c'), mixed);
  writeFileSync(file(ODD), mixed);
  writeFileSync(file('fixed.bpf.c'), fixed);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Runs the command in the scratch directory, as somebody in a checkout does. */
function inDirectory(...args: string[]): Promise<Finished> {
  const { GITHUB_WORKSPACE: _, ...environment } = process.env;
  const env = { ...environment, NO_COLOR: '1' };
  return startCommand([process.execPath, path.join(dist, 'cli.js'), ...args], { cwd: directory, env })
    .finished;
}

describe('a command line that makes no sense', () => {
  it.each([
    [['--sarif', '--github', 'x.o'], /--sarif and --github exclude each other/],
    [['--output', 'csv', 'x.o'], /--output belongs to --stats/],
    [['--stats', '--output', 'xml', 'x.o'], /--output xml is neither table nor csv/],
    [['--stats', '--sort', 'beauty', 'x.o'], /--sort beauty: there is no such column; there are file_name/],
    [['--compare', 'x.o'], /--compare takes two files, OLD and NEW/],
    [['--fail-on', 'insns+5%', 'x.o'], /--fail-on belongs to --compare/],
    [['--compare', 'a.csv', 'b.csv', '--fail-on', 'insns>5'], /--fail-on insns>5 is not COST\+N/],
    [['--compare', 'a.csv', 'b.csv'], /a\.csv cannot be read: there is no such file/],
    [['--kernels', '6.1', '--target', 'local', 'x.o'], /--target names one kernel and --kernels several/],
    [['--jobs', '2', 'x.o'], /--jobs belongs to --kernels/],
    [['--kernels', 'local', '--jobs', '0', 'x.o'], /--jobs 0 is not a number of at least 1/],
    [['--sarif', '--stats', 'x.o'], /--sarif and --stats exclude each other/],
    [['x.o', ''], /A FILE is an empty text; is a variable of the shell not set\?/],
    [['--fixess', 'x.o'], /Unknown option '--fixess'; did you mean --fixes\?/],
    [['--kernels', '2.6', 'x.o'], /No kernel at hand is Linux 2\.6\.[^]*bpf-studio kernels fetch 2\.6/],
  ])('is explained: %j', async (args, message) => {
    const result = await bpfStudio('verify', ...args);
    expect(result.stderr).toMatch(message);
    expect(result.stdout).toBe('');
    expect(result.status).toBe(2);
  });
});

describeAsRoot('bpf-studio verify', () => {
  it('tells of each FILE that is none, and judges the others', async () => {
    writeFileSync(file('empty.o'), '');
    const result = await inDirectory('verify', '.', 'nowhere.o', 'nowhere.bpf.c', 'empty.o', 'fixed.bpf.c');
    expect(result.status).toBe(2);
    expect(result.stdout).toContain('. cannot be read: it is a directory.');
    expect(result.stdout).toContain('nowhere.o cannot be read: there is no such file.');
    expect(result.stdout).toContain('nowhere.bpf.c cannot be read: there is no such file.');
    expect(result.stdout).toContain('The object is not an ELF file (0 bytes).');
    expect(result.stdout.match(/✓/g)).toHaveLength(3);
  });

  it('--github puts the finding beside its line, with everything escaped', async () => {
    const result = await inDirectory('verify', '--github', ODD);
    expect(result.status).toBe(1);
    const commands = result.stdout.trimEnd().split('\n');
    expect(commands).toHaveLength(1);
    const [command] = commands as [string];
    const at = lineOf('ERR unchecked');
    expect(command).toMatch(
      new RegExp(
        `^::error file=a%2Cb%3A50%25\\.bpf\\.c,line=${at},endLine=${at},col=2,endColumn=\\d+,title=bpf/null-deref::`,
      ),
    );
    expect(command).toContain("%0Akernel: R0 invalid mem access 'map_value_or_null'");
    expect(command).toContain(`a,b:50%25.bpf.c:${lineOf('CAUSE unchecked')}:`);
  });

  it('--sarif is a log whose parts refer to each other as SARIF 2.1.0 wants', async () => {
    const result = await inDirectory('verify', '--sarif', 'mixed.bpf.c', 'missing.bpf.c');
    expect(result.status).toBe(2);
    const log = JSON.parse(result.stdout) as SarifLog;
    expect(log).toMatchObject({
      version: '2.1.0',
      $schema: expect.stringMatching(/sarif-schema-2\.1\.0\.json$/),
    });
    expect(log.runs).toHaveLength(1);
    const run = log.runs[0]!;
    const { rules, name } = run.tool.driver;
    expect(name).toBe('bpf-studio');
    for (const found of run.results) {
      expect(rules[found.ruleIndex]!.id).toBe(found.ruleId);
      expect(rules[found.ruleIndex]!.shortDescription.text).not.toBe('');
      expect(['error', 'warning', 'note', 'none']).toContain(found.level);
    }
    for (const { physicalLocation } of allLocations(run)) {
      const { uri, uriBaseId } = physicalLocation.artifactLocation;
      expect(uri).not.toMatch(/^\/|\\|\s/);
      if (uriBaseId !== undefined)
        expect(run.originalUriBaseIds[uriBaseId]!.uri).toMatch(/^file:\/\/\/.*\/$/);
      if (!physicalLocation.region) continue;
      const { startLine, startColumn, endLine, endColumn } = physicalLocation.region;
      expect(startLine).toBeGreaterThanOrEqual(1);
      expect(startColumn).toBeGreaterThanOrEqual(1);
      expect(endLine > startLine || (endLine === startLine && endColumn > startColumn)).toBe(true);
    }
    expect(run.results).toHaveLength(1);
    const [rejection] = run.results as [SarifResult];
    expect(rejection).toMatchObject({
      ruleId: 'bpf/null-deref',
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: 'mixed.bpf.c' },
            region: { startLine: lineOf('ERR unchecked'), startColumn: 2 },
          },
          logicalLocations: [{ name: 'unchecked' }],
        },
      ],
    });
    // What led there comes first, the rejected instruction last.
    const flow = rejection.codeFlows![0]!.threadFlows[0]!.locations;
    expect(flow.map(({ executionOrder }) => executionOrder)).toEqual(flow.map((_, index) => index + 1));
    expect(flow.map(({ location }) => location.physicalLocation.region!.startLine)).toContain(
      lineOf('CAUSE unchecked'),
    );
    expect(flow.at(-1)!.location.physicalLocation.region!.startLine).toBe(lineOf('ERR unchecked'));
    // A file that could not be verified is about the run.
    expect(run.invocations[0]).toMatchObject({
      executionSuccessful: false,
      toolExecutionNotifications: [
        { message: { text: expect.stringMatching(/missing\.bpf\.c cannot be read/) } },
      ],
    });
  });

  it('--stats has the columns of veristat, sorted as asked', async () => {
    const csv = await inDirectory('verify', '--stats', '-o', 'csv', '-s', 'prog:desc', 'mixed.bpf.c');
    expect(csv.status).toBe(1);
    const [header, ...rows] = csv.stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.split(','));
    expect(header!.join()).toBe(
      'file_name,prog_name,verdict,duration,total_insns,total_states,prog_size,prog_size_jited',
    );
    expect(rows.map((row) => row.slice(0, 3))).toEqual([
      ['mixed.bpf.c', 'unchecked', 'failure'],
      ['mixed.bpf.c', 'checked', 'success'],
    ]);
    expect(Number(rows[1]![4])).toBeGreaterThan(5);
    const table = await inDirectory('verify', '--stats', 'fixed.bpf.c');
    expect(table.status).toBe(0);
    expect(table.stdout).toMatch(
      /^File +Program +Verdict +Duration \(us\) +Insns +States +Program size +Jited size\n/,
    );
    expect(table.stdout).toContain('1 file, 3 programs: 3 success, 0 failure;');
  });

  it('--compare tells better from worse, by source, saved CSV, JSON and veristat’s own', async () => {
    writeFileSync(
      file('mixed.csv'),
      (await inDirectory('verify', '--stats', '-o', 'csv', 'mixed.bpf.c')).stdout,
    );
    writeFileSync(file('fixed.json'), (await inDirectory('verify', '--json', 'fixed.bpf.c')).stdout);
    const better = await inDirectory('verify', '--compare', 'mixed.csv', 'fixed.json');
    expect(better).toMatchObject({ status: 0, stderr: '' });
    const rows = Object.fromEntries(
      better.stdout
        .trimEnd()
        .split('\n')
        .slice(1)
        .map((line) => line.split(/ {2,}/))
        .map(([, name, ...cells]) => [name, cells.slice(0, 3)]),
    );
    expect(rows).toEqual({
      unchecked: ['failure', 'success', 'MISMATCH'],
      checked: ['success', 'success', 'MATCH'],
      added: ['N/A', 'success', 'N/A'],
    });
    const worse = await inDirectory('verify', '--compare', 'fixed.json', 'mixed.bpf.c');
    expect(worse.status).toBe(1);
    expect(worse.stderr).toContain('unchecked: accepted before, rejected now');
    expect(worse.stderr).toContain("invalid mem access 'map_value_or_null'");

    // As `veristat -o csv` writes it, with other columns and in another order.
    writeFileSync(
      file('veristat.csv'),
      'file_name,prog_name,verdict,total_states,total_insns,peak_states\nfixed.bpf.o,checked,success,1,10,1\n',
    );
    writeFileSync(
      file('later.csv'),
      'file_name,prog_name,verdict,total_insns\nfixed.bpf.o,checked,success,11\n',
    );
    const compare = (...limit: string[]) =>
      inDirectory('verify', '--compare', 'veristat.csv', 'later.csv', ...limit);
    expect((await compare()).stdout).toMatch(/10 +11 +\+1 \(\+10\.00%\) +1 +N\/A +N\/A/);
    expect((await compare('--fail-on', 'insns+10%')).status).toBe(0);
    expect(await compare('--fail-on', 'insns+9.5%')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/checked: insns grew from 10 to 11, beyond insns\+9\.5%/) as string,
    });
    expect((await compare('--fail-on', 'total_insns+0')).status).toBe(1);
    writeFileSync(file('other.csv'), 'a,b\n1,2\n');
    expect(await inDirectory('verify', '--compare', 'other.csv', 'later.csv')).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/names no column file_name[^]*--stats --output csv/) as string,
    });
  });

  it('--kernels with one kernel says the same as --target', async () => {
    const one = (await inDirectory('verify', '--json', '--target', 'local', 'mixed.bpf.c')).json()[0]!;
    const several = await inDirectory('verify', '--json', '--kernels', 'local', 'mixed.bpf.c');
    expect(several.status).toBe(1);
    const [line] = several.json() as [Record<string, unknown>];
    const verdicts = (of: Record<string, unknown>) =>
      (of.programs as { name: string; verdict: string; diagnostics: unknown }[]).map((each) => [
        each.name,
        each.verdict,
        each.diagnostics,
      ]);
    expect(verdicts(line)).toEqual(verdicts(one));
    expect(line).toMatchObject({
      kernel: one.kernel,
      missing: [],
      compiledWith: `Linux ${String(one.kernel)}`,
    });
  });
});

describeAsRoot('the table of --kernels', () => {
  it('has a row a program, then what is missing, then each finding with its kernels', async () => {
    const release = os.release();
    writeFileSync(
      file('lacking.bpf.c'),
      `${mixed}
struct no_such_struct { int field; } __attribute__((preserve_access_index));
SEC("tp_btf/sched_switch") int lacking(__u64 *ctx) { return ((struct no_such_struct *)ctx[1])->field; }
`,
    );
    const { stdout, status } = await inDirectory('verify', '--kernels', 'local', 'lacking.bpf.c');
    expect(status).toBe(1);
    const lines = stdout.split('\n');
    expect(lines[0]).toBe(`lacking.bpf.c, compiled once with the vmlinux.h of Linux ${release}`);
    expect(lines[1]!.trim()).toBe(release);
    expect(lines[2]).toMatch(/^ {2}unchecked \(xdp\) +✗ rejected$/);
    expect(lines[3]).toMatch(/^ {2}checked \(xdp\) +✓ \d+ insns$/);
    expect(lines[4]).toMatch(/^ {2}lacking \(tp_btf\/sched_switch\) +[✗!] no no_such_struct\.field$/);
    expect(stdout).toContain(`- field struct no_such_struct.field: not in ${release}; used by lacking\n`);
    expect(stdout).toContain(`= on: ${release}\n`);
  });

  it('gives no reason that is none: a failed map is not blamed on a field', async () => {
    writeFileSync(
      file('map.bpf.c'),
      `${prelude}
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u64); __type(value, __u64); } wrong SEC(".maps");
struct no_such_struct { int field; } __attribute__((preserve_access_index));
SEC("tp_btf/sched_switch") int lacking(__u64 *ctx) { __u64 key = 0; bpf_map_lookup_elem(&wrong, &key); return ((struct no_such_struct *)ctx[1])->field; }
`,
    );
    const { stdout, status } = await inDirectory('verify', '--kernels', 'local', 'map.bpf.c');
    expect(status).not.toBe(0);
    expect(stdout).toMatch(/lacking \(tp_btf\/sched_switch\) +! not verified\n/);
    expect(stdout).toContain(`! Linux ${os.release()}: map 'wrong': failed to create`);
  });

  it('says with whose types a source does not compile, and starts no kernel for it', async () => {
    writeFileSync(file('absent.bpf.c'), `${mixed}\nint size = sizeof(struct type_of_another_kernel);\n`);
    const { stdout, status } = await inDirectory('verify', '--kernels', 'local', 'absent.bpf.c');
    expect(status).toBe(1);
    expect(stdout).toContain(`absent.bpf.c does not compile with the vmlinux.h of Linux ${os.release()}\n`);
    expect(stdout).toContain("incomplete type 'struct type_of_another_kernel'");
  });
});

interface SarifLocation {
  physicalLocation: {
    artifactLocation: { uri: string; uriBaseId?: string };
    region?: { startLine: number; startColumn: number; endLine: number; endColumn: number };
  };
}
interface SarifResult {
  ruleId: string;
  ruleIndex: number;
  level: string;
  locations: SarifLocation[];
  relatedLocations?: SarifLocation[];
  codeFlows?: { threadFlows: { locations: { executionOrder: number; location: SarifLocation }[] }[] }[];
}
interface SarifRun {
  tool: { driver: { name: string; rules: { id: string; shortDescription: { text: string } }[] } };
  originalUriBaseIds: Record<string, { uri: string }>;
  invocations: unknown[];
  results: SarifResult[];
}
interface SarifLog {
  runs: SarifRun[];
}

function allLocations({ results }: SarifRun): SarifLocation[] {
  return results.flatMap(({ locations, relatedLocations = [], codeFlows = [] }) => [
    ...locations,
    ...relatedLocations,
    ...codeFlows.flatMap(({ threadFlows }) =>
      threadFlows.flatMap((flow) => flow.locations.map(({ location }) => location)),
    ),
  ]);
}
