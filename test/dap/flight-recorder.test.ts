/** The flight recorder: every run of an attached program is recorded, and one of them gone through afterwards. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { FlightRecorderStateEvent, RunsResponse } from '../../debug-adapter/protocol';
import { DapClient, fixture, markedLine, objectOf } from './client';
import { createNetworkPair, type NetworkPair } from '../support/network';
import { needsLive } from './old-kernels';
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

const hook = () => ({ interface: network.far.interface, netns: network.far.netns });
const atXdp = () => ({ entry: 'look', spec: { hook: 'xdp', ...hook() } });
const atTc = () => ({
  entry: 'pass',
  spec: { hook: 'tc', direction: 'ingress', implementation: 'auto', ...hook() },
});
const attached = (flightRecorder: unknown, ...attach: object[]) =>
  DapClient.started('attach', {
    ...target.configuration,
    program: objectOf('traffic.bpf.c'),
    attach,
    flightRecorder,
  });

const state = async (accept: (state: FlightRecorderStateEvent) => boolean) =>
  (await client!.event('bpf/flightRecorderState', (body) =>
    accept(body as unknown as FlightRecorderStateEvent),
  )) as unknown as FlightRecorderStateEvent;

const frames = async () =>
  (await client!.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', { threadId: 1 }))
    .stackFrames;

async function step(command: string, args: object = {}) {
  const from = client!.events.length;
  await client!.request(command, { threadId: 1, ...args });
  return client!.event('stopped', undefined, from);
}

it('lists recorded runs, and steps through one of them, back from its end', async () => {
  client = await attached(true, atXdp());
  network.ping(3);
  await state(({ runs }) => runs >= 3);
  const { runs } = await client.request<RunsResponse>('bpf/runs');
  const pings = runs.filter(({ returned }) => returned === 'XDP_PASS (2)');
  expect(pings.length).toBeGreaterThanOrEqual(3);
  const [run] = pings;
  // Counting them takes time, of which a busy machine may have none left.
  expect(run!.steps ?? Infinity).toBeGreaterThan(20);
  expect(run!.hook).toMatch(/^look: xdp on veth0/);
  expect(Math.abs(run!.time - Date.now())).toBeLessThan(10_000);

  await step('bpf/openRun', { id: run!.id });
  expect(await frames()).toMatchObject([{ name: 'look() = XDP_PASS (2)' }]);
  await step('stepBack');
  await client.request('setBreakpoints', {
    source: { path: source },
    breakpoints: [{ line: line('#LENGTH') }, { line: line('#LOOKUP') }],
  });
  expect(await step('reverseContinue')).toMatchObject({ reason: 'breakpoint' });
  expect(await frames()).toMatchObject([
    { name: 'verdict', line: line('#LENGTH') },
    { name: 'look', line: line('#VERDICT') },
  ]);
  expect((await client.row('Locals', 'length')).value).toBe('84');
  await step('reverseContinue');
  expect(await frames()).toMatchObject([{ name: 'look', line: line('#LOOKUP') }]);
  expect(await client.tree('Packet', 'ipv4')).toContain('source = 10.77.0.1');

  // At the end of the run, what is live comes next.
  await client.request('setBreakpoints', { source: { path: source }, breakpoints: [] });
  await step('continue');
  await step('continue');
  expect(await frames()).toMatchObject([{ name: expect.stringMatching(/^attached: /) as string }]);
});

it('stops at the first run of which a condition holds, and saves it', async () => {
  client = await attached({ stopWhen: 'returned == XDP_DROP && length > 700' }, atXdp(), atTc());
  network.ping(3);
  expect(network.pingLost(2, 600)).toBe(2);
  const from = client.events.length;
  expect(network.pingLost(1, 800)).toBe(1);
  const stopped = await client.event('stopped', undefined, from);
  expect(stopped).toMatchObject({ threadId: 1, description: 'Run finished: XDP_DROP (1)' });
  const { stoppedAt, checked, runs } = await state((one) => one.stoppedAt !== undefined);
  expect(stoppedAt).toBeDefined();
  expect(checked).toBeLessThanOrEqual(runs);
  expect(client.console).toContain('The flight recorder stopped: returned == XDP_DROP && length > 700');
  await client.request('setBreakpoints', {
    source: { path: source },
    breakpoints: [{ line: line('#LENGTH') }],
  });
  await step('reverseContinue');
  expect(await frames()).toMatchObject([{ name: 'verdict' }, { name: 'look' }]);
  expect((await client.row('Locals', 'length')).value).toBe('828');

  const directory = mkdtempSync(path.join(os.tmpdir(), 'bpfs-flight-'));
  const file = path.join(directory, 'dropped.bpfrec');
  await client.request('bpf/saveRecording', { path: file });
  expect(existsSync(file)).toBe(true);
  await client.close();
  client = await DapClient.started('launch', { recording: file });
  expect(client.console).toMatch(/look .* returned XDP_DROP \(1\)/);
  rmSync(directory, { recursive: true });
});
