/** Live traffic: programs that are attached take snapshots at breakpoints, and nothing stops. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { SnapshotCountsEvent, SnapshotEvent } from '../../debug-adapter/protocol';
import { DapClient, fixture, markedLine, objectOf } from './client';
import { createNetworkPair, type NetworkPair } from '../support/network';
import { needsKernel, needsLive } from './old-kernels';
import { sharedTarget } from './target';

const target = sharedTarget();
const source = fixture('traffic.bpf.c');
const line = (marker: string) => markedLine('traffic.bpf.c', marker);
let network: NetworkPair;
let client: DapClient | undefined;
beforeEach(() => {
  needsLive();
  network = createNetworkPair({ place: target.place });
});
afterEach(async () => {
  await client?.close();
  client = undefined;
  network?.dispose();
});

const SOURCE = Buffer.from([10, 77, 0, 1]).readUInt32LE();

const hook = () => ({ interface: network.far.interface, netns: network.far.netns });
const atXdp = () => ({ entry: 'look', spec: { hook: 'xdp', ...hook() } });
const atTc = (implementation: string) => ({
  entry: 'pass',
  spec: { hook: 'tc', direction: 'ingress', implementation, ...hook() },
});
const attached = (...attach: object[]) =>
  DapClient.started('attach', { ...target.configuration, program: objectOf('traffic.bpf.c'), attach });

async function setBreakpoints(breakpoints: DebugProtocol.SourceBreakpoint[]) {
  return client!.request<DebugProtocol.SetBreakpointsResponse['body']>('setBreakpoints', {
    source: { path: source },
    breakpoints,
  });
}
const snapshots = () =>
  client!.events.filter(({ event }) => event === 'bpf/snapshot').map(({ body }) => body as SnapshotEvent);
/** The counts once they are what is expected. */
const counted = async (accept: (counts: SnapshotCountsEvent) => boolean, from = 0) =>
  (await client!.event(
    'bpf/snapshots',
    (body) => accept(body as unknown as SnapshotCountsEvent),
    from,
  )) as unknown as SnapshotCountsEvent;

/** Sets breakpoints and waits until they count. */
async function watched(breakpoints: DebugProtocol.SourceBreakpoint[]) {
  const from = client!.events.length;
  const answer = await setBreakpoints(breakpoints);
  const ids = answer.breakpoints.map(({ id }) => id);
  await counted((counts) => counts.breakpoints.some(({ id }) => ids.includes(id)), from);
  return answer.breakpoints;
}

it('takes a snapshot of each hit, and shows frame, locals, registers and packet of one', async () => {
  client = await attached(atXdp());
  const original = network.far.xdpProgram();
  const breakpoints = await watched([{ line: line('#LOOKUP') }]);
  expect(breakpoints).toMatchObject([{ verified: true, line: line('#LOOKUP') }]);
  expect(network.far.xdpProgram()).not.toBe(original);
  network.ping(5);
  await counted(({ hits }) => hits >= 5);

  const taken = snapshots();
  expect(taken.length).toBeGreaterThanOrEqual(5);
  const last = taken.at(-1)!;
  expect(last).toMatchObject({ path: source, line: line('#LOOKUP'), function: 'look' });
  expect(last.hook).toMatch(/^look: xdp on veth0 /);
  expect(Math.abs(last.time! - Date.now())).toBeLessThan(10_000);
  const times = taken.map(({ monotonic }) => BigInt(monotonic!));
  expect([...times].sort((a, b) => Number(a - b))).toEqual(times);
  // 10.77.0.1, as it stands in the packet.
  expect(last.locals).toContainEqual({ name: 'source', value: String(SOURCE) });

  const before = client.events.length;
  await client.request('bpf/openSnapshot', { id: last.id });
  const stopped = await client.event('stopped', undefined, before);
  expect(stopped).toMatchObject({ reason: 'breakpoint', threadId: 1 });
  const { stackFrames } = await client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', {
    threadId: 1,
  });
  expect(stackFrames).toMatchObject([{ name: 'look', line: line('#LOOKUP'), source: { path: source } }]);
  expect((await client.row('Locals', 'source')).value).toBe(String(SOURCE));
  expect(await client.tree('Locals', 'ip', '*ip')).toContain('ttl = 64');
  expect(await client.tree('Packet', 'ipv4')).toContain('source = 10.77.0.1');
  const { result } = await client.request<DebugProtocol.EvaluateResponse['body']>('evaluate', {
    expression: 'ip->protocol == 1 && ip->ttl > 60',
    frameId: stackFrames[0]!.id,
  });
  expect(result).toBe('1');
  expect((await client.row('Registers', 'r10')).value).toMatch(/^0xffff/);
  // Maps have gone on.
  expect((await client.row('Maps (as they are now)', 'sources')).value).toMatch(/1 entr/);
  const answer = await client.request('evaluate', { expression: `sources[${SOURCE}]`, context: 'watch' });
  expect(answer).toMatchObject({ result: expect.stringMatching(/^\d+ \(as it is now\)$/) as string });

  await client.request('continue', { threadId: 1 });
  await client.event('stopped', ({ reason }) => reason === 'pause', before + 1);
  const { stackFrames: live } = await client.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', {
    threadId: 1,
  });
  expect(live).toMatchObject([{ name: expect.stringMatching(/^attached: xdp on veth0/) as string }]);

  // Without breakpoints it is the original that runs.
  await setBreakpoints([]);
  await expect.poll(() => network.far.xdpProgram()).toBe(original);
});

it.each(['tcx', 'clsact'])(
  'takes snapshots at tc (%s), with conditions, hit counts and messages',
  async (implementation) => {
    if (implementation === 'tcx') needsKernel(606, 'tcx');
    client = await attached(atTc(implementation));
    await watched([
      { line: line('#PROTOCOL'), hitCondition: '% 2', logMessage: 'protocol {protocol}, {{skb}}' },
      { line: line('#ACTION'), condition: 'length > 0x7fffffff' },
    ]);
    network.ping(6);
    const { breakpoints } = await counted(({ breakpoints: [first], lost }) => {
      const { hits, shown } = first!;
      return hits >= 6 && lost === 0 && shown >= 3;
    });
    expect(breakpoints).toMatchObject([{ hits: 6, shown: 3 }, { shown: 0 }]);
    expect(snapshots()).toEqual([]);
    const printed = () => client!.console.match(/^protocol \d+, \{skb\}$/gm);
    await expect.poll(printed).toEqual(Array.from({ length: 3 }, () => 'protocol 8, {skb}'));
    expect(client.console).not.toContain('was detached');
  },
);

it('changes no verdict and no map', async () => {
  client = await attached(atXdp());
  const markers = ['#LENGTH', '#LOOKUP', '#NEW', '#SEEN', '#VERDICT'];
  await watched(markers.map((marker) => ({ line: line(marker) })));
  network.ping(4);
  expect(network.pingLost(3, 600)).toBe(3);
  const { breakpoints } = await counted(({ hits, lost }) => hits >= 4 * 7 && lost === 0);
  expect(breakpoints.map(({ hits }) => hits)).toEqual([7, 7, 1, 6, 7]);
  expect(await client.tree('Maps', 'sources')).toEqual([`[${SOURCE}] = 7`]);
});
