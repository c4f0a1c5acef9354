import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createNetworkPair, type NetworkPair } from '../support/network';
import { bpfStudio, start, startCommand } from './command-line';
import { describeAsRoot } from '../support/root';

let directory: string;
const file = (name: string) => path.join(directory, name);

const prelude = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;

const sources = {
  'mixed.bpf.c': `${prelude}
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
SEC("xdp") int unchecked(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);
	*count += 1; // #ERR
	return XDP_PASS;
}
SEC("xdp") int counting(struct xdp_md *ctx)
{
	__u32 key = 7;
	__u64 one = 1, *count = bpf_map_lookup_elem(&counts, &key);
	if (count) __sync_fetch_and_add(count, 1);
	else bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
	return XDP_DROP;
}
`,
  'broken.bpf.c': `${prelude}
SEC("xdp") int broken(struct xdp_md *ctx)
{
	return undeclared; // #ERR
}
`,
  'good.bpf.c': `${prelude}
const volatile __u32 verdict = XDP_PASS;
SEC("xdp") int good(struct xdp_md *ctx) { return verdict; }
`,
};

/** Zero-based line of the marker. */
function markedLine(name: keyof typeof sources): number {
  return sources[name].split('\n').findIndex((line) => line.includes('#ERR'));
}

beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-cli-'));
  for (const [name, text] of Object.entries(sources)) writeFileSync(file(name), text);
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('bpf-studio', () => {
  it('says what it can do, and which version it is', async () => {
    const { version } = JSON.parse(readFileSync(path.resolve(__dirname, '../../package.json'), 'utf8')) as {
      version: string;
    };
    expect(await bpfStudio('--version')).toMatchObject({ status: 0, stdout: `bpf-studio ${version}\n` });
    const help = await bpfStudio('--help');
    expect(help.status).toBe(0);
    for (const name of ['verify', 'run', 'attach', 'maps', 'doctor', 'vmlinux', 'kernels']) {
      expect(help.stdout).toContain(`  ${name} `);
      const own = await bpfStudio(name, '--help');
      expect(own.status).toBe(0);
      expect(own.stdout).toMatch(new RegExp(`^bpf-studio ${name}`));
    }
  });

  it('is a command by itself, as npm links it', async () => {
    const link = file('bpf-studio');
    symlinkSync(path.resolve(__dirname, '../../dist/cli.js'), link);
    const { stdout } = await startCommand([link, '--version'], { env: process.env }).finished;
    expect(stdout).toMatch(/^bpf-studio \d/);
  });

  it.each([
    [['atach'], /There is no command atach; did you mean attach\?\n {2}Commands: verify, run, attach/],
    [['frobnicate'], /There is no command frobnicate\.\n {2}Commands: verify, run, attach/],
    [
      ['verify', '--kernel', '6.1', 'x.o'],
      /Unknown option '--kernel'; did you mean --kernels\?\n {2}bpf-studio verify --help/,
    ],
    [['verify'], /verify needs at least one FILE\.\n {2}bpf-studio verify --help/],
    [['verify', '--frobnicate', 'x.o'], /Unknown option '--frobnicate'\.\n {2}bpf-studio verify --help/],
    [['verify', '--target', 'moon', 'x.o'], /"moon" is not a target; write local, vm, or vm:PATH-TO-VMLINUZ/],
    [['maps', 'frob'], /maps has no action frob/],
    [['maps', 'lookup', 'x'], /maps lookup needs MAP KEY/],
    [['run', 'x.o', '--repeat', '0'], /--repeat 0 is not a number of at least 1/],
    [['run', 'x.o', '--packet', '[{'], /--packet is not JSON/],
    [['attach', 'x.o', '--interval', 'soon'], /--interval soon is not a number of seconds/],
  ])('explains a command line it cannot use: %j', async (args, message) => {
    const result = await bpfStudio(...args);
    expect(result.stderr).toMatch(message);
    expect(result.stdout).toBe('');
    expect(result.status).toBe(2);
  });

  it('gives problems as JSON with --json', async () => {
    const result = await bpfStudio('verify', '--json', '--target', 'moon', 'x.o');
    expect(result.json()).toEqual([
      {
        error: {
          code: 'cli/target',
          message: expect.stringContaining('moon'),
          hint: expect.stringContaining('kernels'),
        },
      },
    ]);
  });
});

describeAsRoot('bpf-studio verify', () => {
  it('reports every program of every file, a line a file', async () => {
    const result = await bpfStudio('verify', '--json', file('mixed.bpf.c'), file('good.bpf.c'));
    expect(result.status).toBe(1);
    const [mixed, good] = result.json();
    const release = execFileSync('uname', ['-r'], { encoding: 'utf8' }).trim();
    expect(mixed).toMatchObject({ file: file('mixed.bpf.c'), kernel: release, diagnostics: [] });
    expect(mixed!.programs).toMatchObject([
      {
        name: 'unchecked',
        section: 'xdp',
        type: 'xdp',
        verdict: 'rejected',
        diagnostics: [
          {
            range: { start: { line: markedLine('mixed.bpf.c') } },
            severity: 1,
            code: 'bpf/null-deref',
            data: { kernelMessage: expect.stringMatching(/invalid mem access 'map_value_or_null'/) },
          },
        ],
      },
      { name: 'counting', verdict: 'accepted', diagnostics: [] },
    ]);
    const stats = (mixed!.programs as { stats: Record<string, number> }[])[1]!.stats;
    expect(stats.insns).toBeGreaterThan(10);
    expect(stats.stackDepth).toBeGreaterThan(0);
    expect(good).toMatchObject({ programs: [{ name: 'good', verdict: 'accepted' }], diagnostics: [] });
  });

  it("shows a person the source, the place, and the kernel's words", async () => {
    const result = await bpfStudio('verify', file('mixed.bpf.c'));
    expect(result.status).toBe(1);
    expect(result.stdout).toContain(`mixed.bpf.c:${markedLine('mixed.bpf.c') + 1}:`);
    expect(result.stdout).toContain('*count += 1;');
    expect(result.stdout).toMatch(/\^+/);
    expect(result.stdout).toContain("invalid mem access 'map_value_or_null'");
  });

  it("reports clang's errors at their place", async () => {
    const result = await bpfStudio('verify', '--json', file('broken.bpf.c'));
    expect(result.status).toBe(1);
    expect(result.json()).toMatchObject([
      {
        programs: [],
        diagnostics: [
          {
            range: { start: { line: markedLine('broken.bpf.c'), character: 8 } },
            severity: 1,
            source: 'clang',
            message: expect.stringContaining('undeclared'),
          },
        ],
      },
    ]);
  });

  it('takes flags that begin with a dash', async () => {
    const flags = '-O2 -g -target bpf -DVERDICT=XDP_DROP';
    const source = `enum { XDP_DROP = 1 };
__attribute__((section("xdp"), used)) int own(void *ctx) { return VERDICT; }
char LICENSE[] __attribute__((section("license"), used)) = "GPL";
`;
    writeFileSync(file('flags.bpf.c'), source);
    const result = await bpfStudio('verify', '--json', '--clang-args', flags, file('flags.bpf.c'));
    expect(result.json()).toMatchObject([
      { programs: [{ name: 'own', verdict: 'accepted' }], diagnostics: [] },
    ]);
    expect(result.status).toBe(0);
  });

  it.each([
    ['missing.bpf.c', null, /missing\.bpf\.c cannot be read: there is no such file/],
    ['missing.o', null, /missing\.o cannot be read: there is no such file/],
    ['text.o', 'this is no ELF file', /ELF/],
    ['empty.o', '', /ELF|empty/],
    ['binary.bpf.c', '\x7fELF\x02\x01\x01\0\0\0', /binary data/],
  ])('says why %s cannot be verified, and goes on with the next file', async (name, contents, message) => {
    if (contents !== null) writeFileSync(file(name), contents, 'latin1');
    const result = await bpfStudio('verify', '--json', file(name), file('good.bpf.c'));
    expect(result.status).toBe(2);
    const [first, second] = result.json() as { diagnostics: { message: string }[]; programs: unknown[] }[];
    expect(first!.diagnostics[0]!.message).toMatch(message);
    expect(second!.programs).toMatchObject([{ verdict: 'accepted' }]);
  });

  it('says which clang it was to take when that is none', async () => {
    const result = await bpfStudio('verify', '--clang', '/nowhere/clang', file('good.bpf.c'));
    expect(result.status).toBe(2);
    expect(result.stdout).toMatch(/"\/nowhere\/clang", which .*--clang names, is no executable file/);
  });
});

describeAsRoot('bpf-studio run', () => {
  it('runs one program on a described packet and shows what came of it', async () => {
    const packet = '[{"type": "ethernet"}, {"type": "ipv4"}, {"type": "udp"}]';
    const result = await bpfStudio('run', file('good.bpf.c'), '--packet', packet, '--global', 'verdict=3');
    expect(result.stderr).toBe('');
    expect(result.stdout).toContain('good returned XDP_TX (3)');
    expect(result.status).toBe(0);
  });

  it('answers in JSON, with maps when asked', async () => {
    const args = [
      'run',
      file('counting.bpf.c'),
      '--json',
      '--repeat',
      '10',
      '--maps',
      '--packet',
      'ff'.repeat(64),
    ];
    // A file of its own: `run` loads all of an object's maps, but only the program that is run.
    writeFileSync(file('counting.bpf.c'), sources['mixed.bpf.c']);
    const result = await bpfStudio(...args, '--prog', 'counting');
    const lines = result.json();
    expect(lines).toContainEqual(
      expect.objectContaining({ type: 'result', program: 'counting', repeat: 10, packet: 'ff'.repeat(64) }),
    );
    expect(lines).toContainEqual({ type: 'map', map: 'counts', key: 7, value: 10 });
  });

  it('asks which program, and explains a rejection as verify does', async () => {
    const which = await bpfStudio('run', file('mixed.bpf.c'));
    expect(which).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/unchecked, counting: choose one with --prog/),
    });
    const rejected = await bpfStudio('run', file('mixed.bpf.c'), '-p', 'unchecked');
    expect(rejected.status).toBe(1);
    expect(rejected.stderr).toContain("invalid mem access 'map_value_or_null'");
  });
});

describeAsRoot('bpf-studio attach', () => {
  let network: NetworkPair;
  beforeAll(() => {
    network = createNetworkPair();
  });
  afterAll(() => network?.dispose());

  /** Ids of XDP programs on the far end's interface, as ip(8) shows them. */
  async function attachedXdp(): Promise<string[]> {
    const { stdout } = await network.far.run('ip', '-details', 'link', 'show', network.far.interface);
    return [...stdout.matchAll(/prog\/xdp id (\d+)/g)].map((match) => match[1]!);
  }
  const attach = () =>
    start([
      'attach',
      file('counting.bpf.c'),
      '-p',
      'counting',
      '-i',
      'veth0',
      '--netns',
      network.far.netns,
      '--interval',
      '0.1',
    ]);

  beforeAll(() => writeFileSync(file('counting.bpf.c'), sources['mixed.bpf.c']));

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL', 'EPIPE'] as const)(
    'prints maps as they change, and leaves nothing behind after %s',
    async (how) => {
      const command = attach();
      await command.seen(/Ctrl-C detaches/);
      expect(await attachedXdp()).toHaveLength(1);
      await network.near.run('ping', '-c', '1', '-W', '0.3', network.far.ipv4);
      await command.seen(/counts\[7\] = \d+/);
      if (how === 'EPIPE') {
        command.closeStdout();
        await network.near.run('ping', '-c', '1', '-W', '0.3', network.far.ipv4);
      } else command.signal(how);
      const { status } = await command.finished;
      if (how !== 'SIGKILL') expect(status).toBe(0);
      await expect.poll(attachedXdp).toEqual([]);
    },
  );

  it('says which interfaces there are when none is named', async () => {
    const args = ['attach', file('good.bpf.c'), '--netns', network.far.netns];
    const result = await bpfStudio(...args);
    expect(result.status).toBe(2);
    expect(result.stderr).toMatch(
      /good \(SEC\("xdp"\)\) needs an interface\.\n {2}--interface IF; there are .*veth0/,
    );
  });
});

describeAsRoot('bpf-studio maps', () => {
  it('reads and writes the maps of another process, typed by BTF', async () => {
    const network = createNetworkPair();
    writeFileSync(file('counting.bpf.c'), sources['mixed.bpf.c']);
    const where = ['-i', 'veth0', '--netns', network.far.netns];
    const holder = start(['attach', file('counting.bpf.c'), '-p', 'counting', ...where]);
    try {
      await holder.seen(/Ctrl-C detaches/);
      const all = (await bpfStudio('maps', '--json')).json() as {
        id: number;
        name: string;
        pids: number[];
      }[];
      // Other processes on this machine may have maps of the same name.
      const own = all.filter(({ name }) => name === 'counts').sort((a, b) => b.id - a.id)[0]!;
      const map = String(own.id);
      expect(await bpfStudio('maps', 'update', map, '5', '42')).toMatchObject({ status: 0, stderr: '' });
      expect((await bpfStudio('maps', 'lookup', map, '5')).json()).toEqual([{ key: 5, value: 42 }]);
      expect((await bpfStudio('maps', 'dump', map)).json()).toContainEqual({ key: 5, value: 42 });
      expect((await bpfStudio('maps', 'update', map, '5', '1', '--only', 'new')).stderr).toMatch(
        /EEXIST|exists/,
      );
      expect((await bpfStudio('maps', 'update', map, 'hex:0500', '1')).stderr).toContain(
        'takes 4 bytes; 2 were given',
      );
      expect((await bpfStudio('maps', 'delete', map, '5')).status).toBe(0);
      expect(await bpfStudio('maps', 'lookup', map, '5')).toMatchObject({ status: 1, stdout: '' });
      expect((await bpfStudio('maps', 'dump', '999999999')).stderr).toContain('No map 999999999 is loaded');
    } finally {
      holder.signal('SIGTERM');
      await holder.finished;
      network.dispose();
    }
  });
});

describeAsRoot('bpf-studio vmlinux and doctor', () => {
  it("writes the kernel's types so that clang takes them", async () => {
    const header = file('types/vmlinux.h');
    execFileSync('mkdir', ['-p', file('types')]);
    expect(await bpfStudio('vmlinux', '-o', header)).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(readFileSync(header, 'utf8')).toMatch(/struct task_struct \{/);
    const nowhere = await bpfStudio('vmlinux', '-o', file('no/such/directory/vmlinux.h'));
    expect(nowhere).toMatchObject({ status: 2, stderr: expect.stringContaining('could not be written') });
  });

  it('checks the environment and says what to do about each finding', async () => {
    const result = await bpfStudio('doctor', '--json');
    const checks = result.json() as { id: string; state: string; fix: string[] }[];
    expect(checks.map(({ id }) => id)).toEqual(
      expect.arrayContaining(['kernel', 'privileges', 'clang', 'qemu', 'vmKernels']),
    );
    expect(checks.find(({ id }) => id === 'clang')?.state).toBe('ok');
    for (const { state, fix } of checks) expect(fix.length > 0).toBe(state !== 'ok');
    expect(result.status).toBe(checks.every(({ state }) => state === 'ok') ? 0 : 1);
  });
});
