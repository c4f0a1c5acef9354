import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as esbuild from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KernelClient } from '../client/client';
import { KernelClient as Client } from '../client/client';
import { startLocal } from '../targets/local';
import type { RunningTarget } from '../targets/target';
import { holdEverything } from './testing-hold';
import { Compiler, dist, openTestKernel, remaining, scratchDirectory } from './testing';
import { createNetworkPair } from '../../test/support/network';
import type { NetworkPair } from '../../test/support/network';
import { isRunning } from '../../test/support/processes';
import { until } from '../../test/support/until';

/** Another host than those that are killed: it counts what they leave. */
let observer: Awaited<ReturnType<typeof openTestKernel>>;
let object: Uint8Array;
let network: NetworkPair;
let victim: string;
const directory = scratchDirectory();

const OBJECT = `
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, u32); __type(value, u32); } clnmap SEC(".maps");
SEC("xdp") int clnxdp(struct xdp_md *c) { u32 k = 0; return bpf_map_lookup_elem(&clnmap, &k) ? XDP_DROP : XDP_PASS; }
SEC("tc") int clntc(struct __sk_buff *s) { return 0; }
SEC("raw_tp/sched_switch") int clnraw(void *c) { return 0; }
`;
/** What a session that holds one of everything shows. */
const HELD = [
  expect.stringMatching(/^link raw_tracepoint/),
  expect.stringMatching(/^link xdp/),
  'map clnmap',
  'map clnring',
  'program clnraw',
  'program clntc',
  'program clntc',
  'program clnxdp',
  'program clnxdp',
];

beforeAll(async () => {
  observer = await openTestKernel();
  object = await (await Compiler.create(observer.client)).compile(OBJECT);
  network = createNetworkPair();
  victim = path.join(directory, 'victim.cjs');
  await esbuild.build({
    entryPoints: [path.join(import.meta.dirname, 'testing-victim.ts')],
    bundle: true,
    platform: 'node',
    outfile: victim,
    logLevel: 'error',
  });
});
afterAll(async () => {
  await observer?.dispose();
  network?.dispose();
});

/** In a session, and seen from outside. */
async function holdAndSee(client: KernelClient): Promise<void> {
  await holdEverything(client, object, network.far.netns);
  if (existsSync('/sys/kernel/tracing/instances')) await client.request('tracePipeOpen', {});
  await expect.poll(() => remaining(observer.client, 'cln')).toEqual(HELD);
  expect(network.far.qdiscs()).toContain('clsact');
}

/** Nothing of it is in the kernel: program, map, link, tc filter and qdisc, tracefs instance. */
async function expectNothing(hostPid: number): Promise<void> {
  await until('programs, maps and links are gone', async () => {
    const left = await remaining(observer.client, 'cln');
    return left.length === 0;
  });
  await until('the qdisc is gone', () => !network.far.qdiscs().includes('clsact'));
  const instances = '/sys/kernel/tracing/instances';
  if (existsSync(instances)) {
    await until('the tracefs instance is gone', () =>
      readdirSync(instances).every((name) => !name.startsWith(`bpf-studio-${hostPid}-`)),
    );
  } else {
    console.log('tracefs is not mounted: its instances are not part of this test');
  }
}

async function start(): Promise<RunningTarget> {
  const target = await startLocal({ distDirectory: dist, elevate: 'never', log: () => {} });
  if ('code' in target) throw new Error(target.message);
  return target;
}

function pidOf(client: KernelClient): number {
  return Number(/pid (\d+)/.exec(client.hello.host)?.[1]);
}

test('a session that ends releases everything, and the host goes on', async () => {
  const target = await start();
  const client = await Client.connect(target.socketPath, 'test');
  const other = await Client.connect(target.socketPath, 'test');
  await holdAndSee(client);
  client.dispose();
  await expectNothing(pidOf(other));
  expect((await other.request('listNetworkNamespaces', {})).namespaces).toContainEqual({
    name: network.far.name,
    path: network.far.netns,
  });
  other.dispose();
  await target.dispose();
});

test('SIGKILL of the host: nothing is left, and what was asked says so', async () => {
  const target = await start();
  const client = await Client.connect(target.socketPath, 'test');
  await holdAndSee(client);
  const pid = pidOf(client);
  const pending = client.request('testRun', {
    program: 2,
    data: new Uint8Array(64),
    repeat: 0xffff_ffff,
    dataOutSize: 0,
    contextOutSize: 0,
  });
  process.kill(pid, 'SIGKILL');
  await expect(pending).rejects.toMatchObject({
    code: 'hostGone',
    message: expect.stringMatching(/^The kernel host is gone, so "testRun" got no answer: /),
    hint: expect.stringContaining('started anew'),
  });
  expect(await client.gone).toBe('the kernel host closed the connection or ended');
  expect(await target.gone).toContain('SIGKILL');
  expect(existsSync(path.dirname(target.socketPath))).toBe(false);
  await expectNothing(pid);
  await expect(client.request('listMaps', {})).rejects.toMatchObject({ code: 'hostGone' });
  await expect(Client.connect(target.socketPath, 'test')).rejects.toMatchObject({
    code: 'hostGone',
    message: expect.stringContaining('No kernel host answers'),
  });
});

test.each(['.struct_ops', '.struct_ops.link'])(
  'a congestion control in %s ends with its link, and with a killed host',
  async (section) => {
    const registered = () =>
      readFileSync('/proc/sys/net/ipv4/tcp_available_congestion_control', 'utf8')
        .split(/\s+/)
        .includes('bpfs_cc');
    const compiler = await Compiler.create(observer.client);
    const program = await compiler.compile(
      `SEC("struct_ops") void BPF_PROG(clnavoid, struct sock *sk, u32 ack, u32 acked) {}
    SEC("struct_ops") u32 BPF_PROG(clnlimit, struct sock *sk) { return 10; }
    SEC("struct_ops") u32 BPF_PROG(clnundo, struct sock *sk) { return 10; }
    SEC("${section}") struct tcp_congestion_ops clnops = {
      .cong_avoid = (void *)clnavoid, .ssthresh = (void *)clnlimit, .undo_cwnd = (void *)clnundo, .name = "bpfs_cc",
    };`,
      { vmlinux: true },
    );
    const target = await start();
    const client = await Client.connect(target.socketPath, 'test');
    const { object: handle } = await client.request('objectOpen', { object: program });
    const { maps } = await client.request('objectLoad', { object: handle, log: 'rejected' });
    const register = () =>
      client.request('attachStructOps', { map: maps.find((one) => one.name === 'clnops')!.handle });
    const { link } = await register();
    expect(registered()).toBe(true);
    if (section === '.struct_ops.link') {
      await client.request('detach', { link });
      expect(registered()).toBe(false);
      await register();
    }
    process.kill(pidOf(client), 'SIGKILL');
    await target.gone;
    await until('it is unregistered', () => !registered());
    await until('its programs and maps are gone', async () => {
      return (await remaining(observer.client, 'cln')).length === 0;
    });
  },
);

describe('SIGKILL of the client process', () => {
  /** A process that starts a host of its own, holds one of everything in it, and says so. */
  async function startVictim(): Promise<{ child: ChildProcess; hostPid: number }> {
    const file = path.join(directory, 'victim.o');
    writeFileSync(file, object);
    const input = JSON.stringify({ dist, object: file, netns: network.far.netns });
    const child = spawn(process.execPath, [victim, input], { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise<string>((resolve, reject) => {
      child.stdout.setEncoding('utf8').once('data', resolve);
      child.once('exit', (status) => reject(new Error(`the victim ended with ${status}`)));
    });
    return { child, hostPid: Number(line) };
  }

  test('leaves nothing, and its host ends', async () => {
    const { child, hostPid } = await startVictim();
    await expect.poll(() => remaining(observer.client, 'cln')).toEqual(HELD);
    child.kill('SIGKILL');
    await expectNothing(hostPid);
    await until('the host has ended', () => !isRunning(hostPid));
  });

  test('and of its host at once leaves nothing', async () => {
    const { child, hostPid } = await startVictim();
    child.kill('SIGKILL');
    process.kill(hostPid, 'SIGKILL');
    await expectNothing(hostPid);
  });
});
