/** What runs at the hooks of a program while somebody begins and ends to watch it, with real packets. */
import { spawn } from 'node:child_process';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { KernelClient } from '../../kernel/client/client';
import { Compiler, openTestKernel } from '../../kernel/host/testing';
import type { AttachSpec } from '../../kernel/protocol';
import { createNetworkPair } from '../../test/support/network';
import type { NetworkPair } from '../../test/support/network';
import { readBpfObject } from '../../toolchain/elf/object';
import type { Attachment } from '../runner/attachments';
import { loadObject } from '../runner/load';
import type { LoadedObject } from '../runner/load';
import { AttachedProgram } from './attached-program';

const PROGRAMS = `
#include <linux/pkt_cls.h>
u64 before, at, after;
SEC("xdp") int first(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&before, 1);
	return XDP_PASS;
}
SEC("tc") int count(struct __sk_buff *skb)
{
	__sync_fetch_and_add(&at, 1);
	return TC_ACT_UNSPEC;
}
SEC("uprobe") int probe(void *ctx) { return 0; }
SEC("tc") int last(struct __sk_buff *skb)
{
	__sync_fetch_and_add(&after, 1);
	return TC_ACT_OK;
}`;

const target = process.env.BPF_STUDIO_TEST_TARGET ?? 'local';
const elsewhere = target === 'local' ? '' : ` (not on ${target}: its interfaces are this machine's)`;

describe.skipIf(elsewhere !== '')(`on this machine's interfaces${elsewhere}`, () => {
  let kernel: { client: KernelClient; dispose(): Promise<void> };
  let object: Uint8Array;
  let pairs: NetworkPair[] = [];
  let loaded: LoadedObject;
  beforeAll(async () => {
    kernel = await openTestKernel();
    object = await (await Compiler.create(kernel.client)).compile(PROGRAMS);
  });
  afterAll(() => kernel?.dispose());
  beforeEach(async () => {
    const read = readBpfObject(object);
    if (!read.ok) throw new Error(read.problem.message);
    const file = { path: '/nowhere/exchange.bpf.c', bytes: object, object: read.value };
    loaded = await loadObject(kernel.client, file, {});
  });
  afterEach(async () => {
    await loaded.close();
    for (const pair of pairs) pair.dispose();
    pairs = [];
  });

  const network = () => {
    const pair = createNetworkPair();
    pairs.push(pair);
    return pair;
  };
  const program = (name: string) => loaded.programs.find((one) => one.name === name)!;
  async function attach(name: string, spec: AttachSpec): Promise<Attachment> {
    const { handle } = program(name);
    const link = await kernel.client.request('attach', { program: handle, spec });
    return { ...link, program: name, handle, spec, runs: handle };
  }
  const at = ({ near }: NetworkPair) => ({ interface: near.interface, netns: near.netns });
  const xdp = (pair: NetworkPair): AttachSpec => ({ hook: 'xdp', ...at(pair) });
  const tc = (pair: NetworkPair, implementation: 'tcx' | 'clsact'): AttachSpec => ({
    hook: 'tc',
    direction: 'ingress',
    implementation,
    ...at(pair),
  });
  /** Id of the XDP program at the interface. */
  async function running({ near }: NetworkPair): Promise<number | undefined> {
    const { stdout } = await near.run('ip', '-j', 'link', 'show', near.interface);
    const [link] = JSON.parse(stdout) as [{ xdp?: { prog: { id: number } } }];
    return link.xdp?.prog.id;
  }
  async function counted(): Promise<Record<'before' | 'at' | 'after', number>> {
    const map = loaded.maps.find(({ name }) => name === '.bss')!.handle;
    const { value } = await kernel.client.request('mapLookup', { map, key: new Uint8Array(4) });
    const word = (index: number) => Number(Buffer.from(value!).readBigUInt64LE(8 * index));
    return { before: word(0), at: word(1), after: word(2) };
  }

  test.each(['tcx', 'clsact'] as const)(
    'no packet passes %s unseen while watching begins and ends',
    async (implementation) => {
      const pair = network();
      const attachments = [await attach('first', xdp(pair)), await attach('count', tc(pair, implementation))];
      const watched = await AttachedProgram.open(loaded, program('count'), attachments.slice(1));
      const [place] = watched.stops.beginningOf('count');
      let isOver = false;
      const sent = pair.far.run('ping', '-q', '-f', '-w', '2', pair.near.ipv4).then(() => (isOver = true));
      let changes = 0;
      while (!isOver || changes < 4) {
        const stops = changes++ % 2 === 0 ? [{ breakpoint: 1, place: place! }] : [];
        expect(await watched.watch({ stops })).toEqual({ notes: [] });
      }
      await sent;
      expect((await counted()).before).toBeGreaterThan(1000);
      const unseen = async () => {
        const { before, at: seen } = await counted();
        return before - seen;
      };
      await expect.poll(unseen).toBe(0);
      await watched.watch({ stops: [] });
    },
  );

  test('a filter on clsact keeps its place among others', async () => {
    const pair = network();
    // What is attached later gets a priority before those that are there.
    const attachments = [await attach('last', tc(pair, 'clsact')), await attach('count', tc(pair, 'clsact'))];
    const watched = await AttachedProgram.open(loaded, program('count'), attachments.slice(1));
    const [place] = watched.stops.beginningOf('count');
    await watched.watch({ stops: [{ breakpoint: 1, place: place! }] });
    await pair.far.run('ping', '-q', '-c', '3', '-i', '0.01', pair.near.ipv4);
    const { at: first, after } = await counted();
    expect(first).toBeGreaterThanOrEqual(3);
    // Behind it the other one still sees every packet: TC_ACT_UNSPEC hands on to the next filter.
    expect(after).toBe(first);
    await watched.watch({ stops: [] });
    const filters = async () =>
      (await pair.near.run('tc', 'filter', 'show', 'dev', 'veth0', 'ingress')).stdout;
    expect((await filters()).match(/name (count|last)/g)).toEqual(['name count', 'name last']);
    for (const { link } of attachments) await kernel.client.request('detach', { link });
    expect(await filters()).toBe('');
  });

  test('an interface that is gone is told of, and the other one is watched', async () => {
    const [one, other] = [network(), network()];
    const attachments = [await attach('first', xdp(one)), await attach('first', xdp(other))];
    const original = await running(one);
    const lost: string[] = [];
    const watched = await AttachedProgram.open(loaded, program('first'), attachments, {
      lost: (attachment, reason) =>
        lost.push(`${attachment === attachments[1] ? 'other' : 'one'}: ${reason}`),
    });
    await other.near.run('ip', 'link', 'del', other.near.interface);
    const [place] = watched.stops.beginningOf('first');
    expect(await watched.watch({ stops: [{ breakpoint: 1, place: place! }] })).toEqual({ notes: [] });
    expect(lost).toEqual(['other: what it was attached to is gone, or somebody detached it']);
    expect(await running(one)).not.toBe(original);
    await watched.watch({ stops: [] });
    expect(await running(one)).toBe(original);
  });

  test('a probe of a process that has ended is told of: the kernel takes neither a variant nor the program', async () => {
    const child = spawn('sleep', ['100']);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const spec = {
      hook: 'uprobe',
      binary: '/bin/sh',
      offset: 0x5000n,
      return: false,
      pid: child.pid!,
    } as const;
    const attachment = await attach('probe', spec);
    child.kill();
    await ended;
    const lost: string[] = [];
    const watched = await AttachedProgram.open(loaded, program('probe'), [attachment], {
      lost: (_, reason) => lost.push(reason),
    });
    const [place] = watched.stops.beginningOf('probe');
    await watched.watch({ stops: [{ breakpoint: 1, place: place! }] });
    expect(lost).toEqual([expect.stringContaining(`there is no process ${child.pid}; it may have ended`)]);
    expect(watched.isAttached).toBe(false);
  });

  test('where one hook cannot be brought to it, the others run the program itself again', async () => {
    const [one, other] = [network(), network()];
    const attachments = [await attach('first', xdp(one)), await attach('first', xdp(other))];
    const original = await running(one);
    const watched = await AttachedProgram.open(loaded, program('first'), attachments);
    await kernel.client.request('detach', { link: attachments[1]!.link });
    const [place] = watched.stops.beginningOf('first');
    const { reason } = await watched.watch({ stops: [{ breakpoint: 1, place: place! }] });
    expect(reason).toMatch(/^xdp on veth0 .* does not take it: this session has no link/);
    expect(watched.instrumentation).toBeUndefined();
    expect(await running(one)).toBe(original);
    const { programs } = await kernel.client.request('listPrograms', {});
    expect(programs.filter(({ name }) => name === 'first').map(({ id }) => id)).toEqual([original]);
  });
});
