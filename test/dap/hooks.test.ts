/**
 * Every kind of hook, attached through the debug adapter in a VM of its own, where nothing else can be disturbed: of
 * Linux 6.12, or of the kernel that BPF_STUDIO_TEST_TARGET names.
 */
import { readFileSync } from 'node:fs';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunsResponse, SnapshotCountsEvent } from '../../debug-adapter/protocol';
import { KernelClient } from '../../kernel/client/client';
import { parseTarget } from '../../kernel/targets/target';
import { inspectKernel } from '../../kernel/targets/vm/kernels';
import { startGuest, type Guest } from '../vm/guest';
import { kernelAtHand } from '../vm/kernels-at-hand';
import { DapClient, fixture, objectOf } from './client';

const CGROUP = '/sys/fs/cgroup/bpfs';
/** Its function `init` is by_struct_ops. */
const STRUCT_OPS = 'bpfs_hooks';
const CONGESTION_CONTROL = '/proc/sys/net/ipv4/tcp_congestion_control';
/** Where every VM has the Node that runs its kernel host. */
const NODE = '/bpf-studio/node';
const LIBC = 'libc.so.6';

/** What SEC() of the fixture leaves open. */
const specs: Record<string, object> = {
  by_kretprobe_multi: { hook: 'kprobeMulti', functions: ['__x64_sys_sethostname'], return: true },
  by_uretprobe: { hook: 'uprobe', binary: LIBC, function: 'sethostname', return: true },
  by_perf_event: { hook: 'perfEvent', type: 1, config: 0, sampleFrequency: 99 },
  by_cgroup_skb: { hook: 'cgroup', path: CGROUP },
  by_connect4: { hook: 'cgroup', path: CGROUP },
  by_sock_create: { hook: 'cgroup', path: CGROUP },
  by_sock_ops: { hook: 'cgroup', path: CGROUP },
  by_sk_msg: { hook: 'sockmap', map: 'sockets' },
  by_sk_skb: { hook: 'sockmap', map: 'sockets' },
  by_sk_lookup: { hook: 'netns' },
  by_netfilter: { hook: 'netfilter', family: 'ipv4', hookNumber: 'localIn', priority: 0 },
  by_tcx: { hook: 'tc', interface: 'lo', direction: 'ingress', implementation: 'tcx' },
  by_clsact: { hook: 'tc', interface: 'lo', direction: 'egress', implementation: 'clsact' },
  by_xdp: { hook: 'xdp', interface: 'lo', mode: 'generic' },
  by_socket: { hook: 'socket', interface: 'lo' },
  by_iter_map: { hook: 'iter', map: 'elements' },
};
/** Attached as SEC() says. */
const bySection = [
  'by_kprobe',
  'by_kretprobe',
  'by_kprobe_multi',
  'by_fentry',
  'by_fexit',
  'by_tracepoint',
  'by_ksyscall',
  'by_uprobe',
  'by_tp_btf',
  'by_raw_tp',
  'by_lsm',
  'by_iter',
];
/**
 * `major * 100 + minor` of the first kernel that has such a hook. kprobe.multi came with 5.18, and Debian's 6.1 is
 * without the CONFIG_FPROBE that it takes.
 */
const SINCE: Record<string, number> = {
  by_kprobe_multi: 602,
  by_kretprobe_multi: 602,
  by_netfilter: 604,
  by_tcx: 606,
  // Registered through a link.
  [STRUCT_OPS]: 604,
  by_struct_ops: 604,
};
/** Programs that see each call of sethostname(2), or of libc's function of that name, exactly once. */
const exact = [
  'by_kprobe',
  'by_kretprobe',
  'by_kprobe_multi',
  'by_kretprobe_multi',
  'by_fentry',
  'by_fexit',
  'by_tracepoint',
  'by_ksyscall',
  'by_uprobe',
  'by_uretprobe',
];

/** A TCP connection over loopback, from a process in the cgroup. */
const CONNECT = `
  const net = require('node:net');
  require('node:fs').writeFileSync('${CGROUP}/cgroup.procs', String(process.pid));
  const server = net.createServer((socket) => socket.once('data', () => socket.end()));
  server.listen(0, '127.0.0.1', () => {
    const client = net.connect(server.address().port, '127.0.0.1', () => client.write('hello'));
    client.on('close', () => server.close());
    client.resume();
  });`;

function chosenKernel() {
  const target = parseTarget(process.env.BPF_STUDIO_TEST_TARGET ?? 'local');
  const image = 'kind' in target && target.kind === 'vm' ? target.kernel : undefined;
  return image === undefined ? kernelAtHand('6.12') : inspectKernel(image, true);
}

const kernel = chosenKernel();
const release = typeof kernel === 'string' ? '6.12' : kernel.release;
const [major = 0, minor = 0] = release.split('.').map(Number);
const version = major * 100 + minor;
describe(`Linux ${release}`, () => {
  if (typeof kernel === 'string') {
    test.skip(`(${kernel})`, () => {});
    return;
  }
  const has = (program: string) => version >= (SINCE[program] ?? 0);
  const counted = [...bySection, ...Object.keys(specs), 'by_struct_ops'].filter(has);
  const lacking = Object.keys(SINCE).filter((program) => !has(program));
  if (lacking.length > 0)
    console.log(`not run on Linux ${release}, which has no such hooks: ${lacking.join(', ')}`);
  let guest: Guest;
  let client: DapClient | undefined;
  /** A look at the same kernel from beside the debug session. */
  let bystander: KernelClient;

  beforeAll(async () => {
    guest = await startGuest(kernel.image);
    await guest.run('sh', '-c', `ip link set lo up && mkdir ${CGROUP}`);
    bystander = await KernelClient.connect(guest.socketPath, 'hooks.test');
  });
  afterAll(async () => {
    await client?.close();
    bystander?.dispose();
    await guest?.dispose();
  });

  const runs = async (): Promise<Record<string, number>> => {
    const rows = await client!.variables(await client!.scope('Globals'));
    const counters = rows.filter(({ name }) => name.endsWith('_runs'));
    return Object.fromEntries(counters.map(({ name, value }) => [name.replace(/_runs$/, ''), Number(value)]));
  };

  const ours = async (): Promise<string[]> => {
    const { programs } = await bystander.request('listPrograms', {});
    return programs.map(({ name }) => name).filter((name) => /^(by|keep)_/.test(name));
  };

  test('every hook runs its program, and none is left after the end', async () => {
    client = await DapClient.started('attach', {
      hostSocket: guest.socketPath,
      program: objectOf('hooks.bpf.c'),
      attach: [
        ...bySection.map((entry) => ({ entry })),
        ...Object.entries(specs).map(([entry, spec]) => ({ entry, spec })),
        { entry: STRUCT_OPS },
      ].filter(({ entry }) => has(entry)),
    });
    const { threads } = await client.request<{ threads: object[] }>('threads');
    expect(threads).toHaveLength(counted.length);
    const before = await runs();

    for (const name of ['bpfs-one', 'bpfs-two']) await guest.run('hostname', name);
    // New connections use it, until the kernel's own is the default again: a default cannot be unregistered.
    const usual = (await guest.run('cat', CONGESTION_CONTROL)).trim();
    const use = (name: string) => guest.run('sh', '-c', `echo ${name} > ${CONGESTION_CONTROL}`);
    if (has(STRUCT_OPS)) await use(STRUCT_OPS);
    await guest.run(NODE, '-e', CONNECT);
    await use(usual);
    await client.request('bpf/refresh');
    const after = await runs();
    const ran = Object.fromEntries(Object.entries(after).map(([name, n]) => [name, n - before[name]!]));

    expect(Object.keys(ran).filter(has).sort()).toEqual(counted.sort());
    for (const name of exact.filter(has)) expect(ran[name], name).toBe(2);
    const iterators = ['by_iter', 'by_iter_map'];
    const others = Object.entries(ran).filter(
      ([name]) => has(name) && ![...exact, ...iterators].includes(name),
    );
    expect(others.filter(([, n]) => n <= 0)).toEqual([]);

    // An iterator runs when it is read: once when it was attached, and again at each Continue.
    expect(before['by_iter_map']).toBe(4);
    expect(client.console).toMatch(/^(a task\n){10}/m);
    const seen = client.events.length;
    await client.request('continue', { threadId: 1 });
    await client.event('stopped', undefined, seen);
    expect((await runs())['by_iter_map']).toBe(8);

    expect((await ours()).length).toBeGreaterThanOrEqual(counted.length);
    await client.request('terminate');
    await client.event('terminated');
    // The kernel frees what was attached to tracing hooks once no CPU can be in it any more.
    await expect.poll(ours).toEqual([]);
    expect(await guest.run('tc', 'qdisc', 'show', 'dev', 'lo')).not.toContain('clsact');
  });

  test.runIf(version < 512)(
    'that nothing can be watched is said, with the reason (before 5.12)',
    async () => {
      client = await DapClient.started('attach', {
        hostSocket: guest.socketPath,
        program: objectOf('hooks.bpf.c'),
        flightRecorder: true,
        attach: [{ entry: 'by_kprobe' }],
      });
      const reason =
        /Linux 5\..* has no atomic instructions that return a value .*its bpf_printk lines and its maps are shown/;
      await client.consoleLine(new RegExp(`Runs of by_kprobe are not recorded: ${reason.source}`));
      const source = fixture('hooks.bpf.c');
      const lines = readFileSync(source, 'utf8').split('\n');
      const line = 1 + lines.findIndex((text) => text.startsWith('PROGRAM(by_kprobe, '));
      await client.request('setBreakpoints', { source: { path: source }, breakpoints: [{ line }] });
      const { breakpoint } = await client.event('breakpoint');
      expect(breakpoint).toMatchObject({ verified: false, message: expect.stringMatching(reason) as string });
      // It runs as it is.
      const before = await runs();
      await guest.run('hostname', 'bpfs-three');
      await client.request('bpf/refresh');
      expect((await runs())['by_kprobe']! - before['by_kprobe']!).toBe(1);
      await client.close();
    },
  );

  const watched = 'programs at tracing, cgroup and socket hooks take snapshots and have their runs recorded';
  test.skipIf(version < 512)(`${watched} (from 5.12 on)`, async () => {
    const source = fixture('hooks.bpf.c');
    const text = readFileSync(source, 'utf8').split('\n');
    const lineOf = (program: string) => {
      const line = text.findIndex((each) => each.startsWith(`PROGRAM(${program}, `));
      return 1 + (line < 0 ? text.findIndex((each) => each.includes(`&${program}_runs`)) : line);
    };
    const programs = [
      ...['by_kprobe', 'by_fentry', 'by_tracepoint', 'by_raw_tp', 'by_uprobe'],
      ...['by_cgroup_skb', 'by_sock_ops', 'by_sk_msg', 'by_sk_skb'],
    ];
    client = await DapClient.started('attach', {
      hostSocket: guest.socketPath,
      program: objectOf('hooks.bpf.c'),
      flightRecorder: true,
      attach: [
        ...bySection.map((entry) => ({ entry })),
        ...Object.entries(specs).map(([entry, spec]) => ({ entry, spec })),
      ].filter(({ entry }) => programs.includes(entry)),
    });
    const { breakpoints } = await client.request<DebugProtocol.SetBreakpointsResponse['body']>(
      'setBreakpoints',
      {
        source: { path: source },
        breakpoints: programs.map((name) => ({ line: lineOf(name) })),
      },
    );
    expect(breakpoints.filter(({ verified }) => !verified)).toEqual([]);
    const ids = Object.fromEntries(programs.map((name, index) => [name, breakpoints[index]!.id!]));
    const counts = (accept: (hits: Record<string, number>) => boolean) =>
      client!.event('bpf/snapshots', (body) => {
        const told = (body as unknown as SnapshotCountsEvent).breakpoints;
        const hits = programs.map((name) => [name, told.find(({ id }) => id === ids[name])?.hits ?? -1]);
        return accept(Object.fromEntries(hits) as Record<string, number>);
      });
    // Watched from here on: some were attached anew for it.
    await counts((hits) => !Object.values(hits).includes(-1));

    for (const name of ['bpfs-one', 'bpfs-two']) await guest.run('hostname', name);
    await guest.run(NODE, '-e', CONNECT);
    await counts(
      (hits) => exact.every((name) => (hits[name] ?? 2) === 2) && !Object.values(hits).includes(0),
    );
    const { threads } = await client.request<DebugProtocol.ThreadsResponse['body']>('threads');
    for (const { id: threadId, name } of threads) {
      const { runs } = await client.request<RunsResponse>('bpf/runs', { limit: 3, threadId });
      expect(
        runs.map(({ hook }) => hook),
        name,
      ).toContain(name);
      // Counting them takes time, of which a busy machine may have none left.
      for (const { steps = Infinity } of runs) expect(steps, name).toBeGreaterThan(3);
    }
    expect(client.console).not.toMatch(/not recorded|No snapshots|cannot be/);

    await client.request('terminate');
    await client.event('terminated');
    await expect.poll(ours).toEqual([]);
  });

  test('where the kernel hides its addresses, the reason stands instead of names', async () => {
    await guest.run('sh', '-c', 'echo 2 > /proc/sys/kernel/kptr_restrict');
    const { symbols, unavailable } = await bystander.request('symbolize', {
      addresses: [0xffff_ffff_8100_0000n],
    });
    expect(symbols).toEqual([null]);
    expect(unavailable).toMatch(/hides its addresses .*sysctl kernel\.kptr_restrict=1/);
  });
});
