/** Programs attached to real hooks of an interface in a namespace of the test's own. */
import { execFileSync } from 'node:child_process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DapClient, fixture, objectOf } from './client';
import { createNetworkPair, type NetworkPair } from '../support/network';
import { sharedTarget } from './target';

const target = sharedTarget();
let network: NetworkPair;
let client: DapClient | undefined;
beforeEach(() => {
  network = createNetworkPair({ place: target.place });
});
afterEach(async () => {
  await client?.close();
  client = undefined;
  network.dispose();
});

const xdp = () => ({ hook: 'xdp', interface: network.far.interface, netns: network.far.netns });
const tc = () => ({
  hook: 'tc',
  interface: network.far.interface,
  direction: 'ingress',
  implementation: 'auto',
  netns: network.far.netns,
});
const both = () => ({
  ...target.configuration,
  program: objectOf('live.bpf.c'),
  attach: [
    { entry: 'at_xdp', spec: xdp() },
    { entry: 'at_tc', spec: tc() },
  ],
});
/**
 * Ids of loaded programs of the fixture, as the kernel lists them. Whoever lists programs holds each for a moment, so
 * that one that has been unloaded may be seen a little longer.
 */
const loaded = () =>
  (JSON.parse(target.place.run('bpftool', '-j', 'prog', 'list')) as { id: number; name?: string }[]).filter(
    ({ name }) => name === 'at_xdp' || name === 'at_tc',
  );

it('attaches both programs, shows live counters, and leaves nothing behind', async () => {
  client = await DapClient.started('attach', both());
  const { threads } = await client.request<{ threads: { name: string }[] }>('threads');
  expect(threads.map(({ name }) => name)).toEqual([
    expect.stringMatching(/^at_xdp: xdp on veth0 \(native\)/),
    expect.stringMatching(/^at_tc: tc ingress on veth0/),
  ]);
  const stack = await client.request<{ stackFrames: { name: string }[] }>('stackTrace', { threadId: 2 });
  expect(stack.stackFrames[0]!.name).toMatch(/^attached: tc ingress on veth0/);
  const packets = async () => (await client!.tree('Maps', 'packets')).map((row) => row.split(' = ')[1]);
  expect(await packets()).toEqual(['0', '0']);

  const seen = client.events.length;
  network.ping(5);
  await client.event('invalidated', (body) => String(body.areas) === 'variables', seen);
  // The first word of a change may come between two of the packets.
  await expect.poll(packets).toEqual(['5', '5']);

  expect(loaded()).toHaveLength(2);
  await client.request('terminate');
  await client.event('terminated');
  await expect.poll(loaded).toEqual([]);
});

it('says that the interface is gone, and ends when nothing is left', async () => {
  client = await DapClient.started('attach', both());
  network.far.ip('link', 'del', network.far.interface);
  await client.event('terminated');
  expect(client.console).toMatch(/at_xdp: xdp on veth0 .* is no longer attached: /);
  expect(client.console).toMatch(/at_tc: tc ingress on veth0 .* is no longer attached: /);
  expect(client.console).toContain('Nothing is attached any more.');
  await expect.poll(loaded).toEqual([]);
});

it('attaches all or nothing, and reports each program', async () => {
  client = await DapClient.initialized();
  const configuration = both();
  configuration.attach[1]!.spec = { ...tc(), interface: 'veth9' };
  const error = await client.request('attach', configuration).catch((thrown: Error) => thrown.message);
  expect(error).toMatch(/at_tc could not be attached: .*veth9/);
  expect(error).toMatch(/at_xdp: was attached \(xdp on veth0 \(native\).*\), detached again; at_tc: failed/);
  await expect.poll(loaded).toEqual([]);
});

it('says what has to be chosen when SEC() does not', async () => {
  client = await DapClient.initialized();
  const configuration = { ...target.configuration, program: objectOf('live.bpf.c') };
  const error = await client.request('attach', configuration).catch((thrown: Error) => thrown.message);
  expect(error).toMatch(/at_xdp could not be attached/);
  expect(error).toContain('"spec": {"hook": "xdp", "interface": "eth0"}');
  const wrong = await client
    .request('attach', { ...configuration, attach: [{ entry: 'nope' }] })
    .catch((thrown: Error) => thrown.message);
  expect(wrong).toMatch(/There is no program "nope" in the file\. Choose one of: at_xdp, at_tc/);
});

it('says that a function of a struct_ops is not attached by itself', async () => {
  client = await DapClient.initialized();
  const attach = [{ entry: 'keep_window' }];
  await expect(
    client.request('attach', { ...target.configuration, program: objectOf('hooks.bpf.c'), attach }),
  ).rejects.toThrow(
    /"attach\[0\]\.entry": keep_window is a function of a struct_ops, which is registered as a whole; .*bpfs_hooks/,
  );
});

it('shows what an iterator writes, again on continue', async () => {
  const configuration = { ...target.configuration, program: fixture('iterator.bpf.c') };
  client = await DapClient.started('attach', configuration);
  const lines = () => client!.console.match(/^map \d+$/gm)?.length ?? 0;
  const first = lines();
  expect(first).toBeGreaterThan(0);
  const seen = client.events.length;
  await client.request('continue', { threadId: 1 });
  await client.event('stopped', undefined, seen);
  expect(lines()).toBeGreaterThan(first);
});

it('restart attaches afresh; a client that vanishes leaves nothing', async () => {
  client = await DapClient.started('attach', both());
  network.ping(1);
  const before = client.events.length;
  await client.request('restart');
  await client.event('stopped', undefined, before);
  await expect.poll(loaded).toHaveLength(2);
  client.process.kill('SIGKILL');
  await client.exited;
  await expect.poll(loaded).toEqual([]);
  client = undefined;
});

it('tells when the kernel host is gone', async () => {
  // A host of its own, because this one is to be ended.
  client = await DapClient.started('attach', { ...both(), hostSocket: undefined, target: 'local' });
  const children = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(client.process.pid)]).toString();
  const host = /^\s*(\d+).*kernel-host\.js/m.exec(children)?.[1];
  expect(host).toBeDefined();
  process.kill(Number(host), 'SIGKILL');
  await client.event('terminated');
  expect(client.console).toMatch(/The kernel host ended .* start the session again/);
  await expect.poll(loaded).toEqual([]);
  await expect(client.request('threads')).rejects.toThrow(/the session has ended/);
});
