/** What watching live traffic costs: the flight recorder at a real hook, and snapshots at a breakpoint. */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Listener } from '../../debug-adapter/debuggee';
import { AttachedProgram } from '../../debug-adapter/live/attached-program';
import { LiveSession } from '../../debug-adapter/live/live-session';
import { SnapshotReader } from '../../debug-adapter/live/snapshot-reader';
import { attachAll, detachAll } from '../../debug-adapter/runner/attachments';
import type { LoadedObject } from '../../debug-adapter/runner/load';
import { loadObject } from '../../debug-adapter/runner/load';
import { readBpfObject } from '../../toolchain/elf/object';
import { createNetworkPair } from '../support/network';
import type { NetworkPair } from '../support/network';
import { median, run, skippedLine, type Line } from './measure';
import type { Workshop } from './workshop';

const SOURCE = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } packets SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1024); __type(key, __u32); __type(value, __u64); } sources SEC(".maps");

SEC("xdp") int counts(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	__u32 zero = 0, source;
	__u64 one = 1, *count;

	count = bpf_map_lookup_elem(&packets, &zero);
	if (count)
		*count += 1;
	if ((void *)(udp + 1) > end || eth->h_proto != bpf_htons(0x0800) || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	source = ip->saddr;
	count = bpf_map_lookup_elem(&sources, &source);
	if (count)
		*count += bpf_ntohs(udp->len);
	else
		bpf_map_update_elem(&sources, &source, &one, BPF_ANY);
	return udp->dest == bpf_htons(7) ? XDP_DROP : XDP_PASS;
}
`;
const FILE = 'traffic.bpf.c';
const BREAKPOINT = SOURCE.split('\n').findIndex((line) => line.includes('source = ip->saddr')) + 1;

export async function load({ client, clang, include, directory }: Workshop): Promise<LoadedObject> {
  const source = path.join(directory, FILE);
  const object = path.join(directory, 'traffic.o');
  writeFileSync(source, SOURCE);
  await run(clang, ['-O2', '-g', '-target', 'bpf', ...include, '-c', source, '-o', object]);
  const bytes = new Uint8Array(readFileSync(object));
  const read = readBpfObject(bytes);
  if (!read.ok) throw new Error(read.problem.message);
  return loadObject(client, { path: source, bytes, object: read.value } as never, {});
}

const silent: Listener = {
  output: () => {},
  stopped: () => {},
  progress: () => undefined,
  logged: () => {},
  changed: () => {},
  threadGone: () => {},
  ended: () => {},
  state: () => {},
  breakpoint: () => {},
  live: () => {},
};

/** Packets that the program has seen. */
async function packets({ kernel, maps }: LoadedObject): Promise<number> {
  const map = maps.find(({ name }) => name === 'packets')!.handle;
  const { value } = await kernel.request('mapLookup', { map, key: new Uint8Array(4) });
  const view = new DataView(value!.buffer, value!.byteOffset, value!.byteLength);
  let sum = 0;
  for (let at = 0; at < value!.length; at += 8) sum += Number(view.getBigUint64(at, true));
  return sum;
}

const ROUNDS = 21;
const ROUND_MS = 300;

/** The packet rate of a veth with and without the flight recorder, in turns. */
export async function flightRecorder(workshop: Workshop): Promise<Line> {
  const { directory, clang, client } = workshop;
  const sender = path.join(directory, 'sender');
  await run(clang, ['-O2', '-o', sender, path.join(import.meta.dirname, 'sender.c')]);
  const network = createNetworkPair();
  try {
    const loaded = await load(workshop);
    const { near } = network;
    const spec = { hook: 'xdp' as const, interface: near.interface, netns: near.netns };
    const attachments = await attachAll(loaded, [{ entry: 'counts', spec }], new AbortController().signal);
    const live = await LiveSession.open(loaded, attachments, silent, {
      threadOf: () => undefined,
      lost: () => {},
    });
    const rates = { plain: [] as number[], recorded: [] as number[] };
    for (let round = 0; round <= ROUNDS; round++) {
      const both: [keyof typeof rates, boolean][] = [
        ['plain', false],
        ['recorded', true],
      ];
      for (const [kind, enabled] of round % 2 ? both : both.reverse()) {
        await live.setFlightRecorder({ enabled });
        const rate = await packetRate(loaded, network, sender);
        if (round > 0) rates[kind].push(rate);
      }
    }
    await live.close();
    await detachAll(client, attachments);
    await live.unload();
    await loaded.close();
    const [plain, recorded] = [median(rates.plain), median(rates.recorded)];
    // Round by round, so that what else the machine does falls on both.
    const ratios = rates.plain.map((rate, round) => rate / rates.recorded[round]!);
    const name = 'flight recorder: packet rate of a veth, plain / recorded';
    const words = (rate: number) => `${(rate / 1000).toFixed(0)}k/s`;
    return { name, ours: words(plain), theirs: words(recorded), value: median(ratios), bound: 1 / 0.9 };
  } finally {
    network.dispose();
  }
}

async function packetRate(loaded: LoadedObject, { far }: NetworkPair, sender: string): Promise<number> {
  const before = await packets(loaded);
  const started = performance.now();
  const { status, stderr } = await far.run(sender, far.interface, String(ROUND_MS));
  if (status !== 0) throw new Error(`the sender ended with ${status}: ${stderr}`);
  const after = await packets(loaded);
  return ((after - before) / (performance.now() - started)) * 1000;
}

/** What the sender sends. */
export function datagram(): Uint8Array {
  const data = Buffer.alloc(64);
  const headers = '02000000000202000000000108004500003200000000401100000a4d00020a4d000100070007001e0000';
  Buffer.from(headers, 'hex').copy(data);
  return data;
}

/** Snapshots with registers, stack, packet, time and CPU, one a run, under test runs; all are counted. */
export async function snapshots(workshop: Workshop): Promise<Line> {
  const name = 'breakpoints: seconds for a million snapshots, all counted';
  const loaded = await load(workshop);
  const { client } = workshop;
  const [program] = loaded.programs;
  const attached = await AttachedProgram.open(loaded, program!, []);
  const file = path.join(workshop.directory, FILE);
  const stops = attached.stops.at(file, BREAKPOINT).map((place) => ({ breakpoint: 1, place }));
  const { reason } = await attached.watch({ stops });
  if (reason !== undefined) return skippedLine(name, 1, reason);
  const { instrumentation } = attached;
  const reader = new SnapshotReader(instrumentation!.snapshots!);
  const data = datagram();
  const times: number[] = [];
  for (let round = 0; round < 5; round++) {
    const repeat = 1_000_000;
    const run = { program: instrumentation!.program, data, repeat, dataOutSize: 256, contextOutSize: 0 };
    const { duration } = await client.request('testRun', run);
    times.push((duration * repeat) / 1e9);
    await reader.look(1 << 20);
    const { hits } = reader.counted.get(1)!;
    if (hits !== repeat * (round + 1))
      throw new Error(`${hits} hits of ${repeat * (round + 1)} were counted`);
  }
  const { hits, read } = reader.counted.get(1)!;
  await attached.unload();
  await loaded.close();
  const value = median(times);
  const share = `${(hits - read).toLocaleString('en')} of ${hits.toLocaleString('en')} overwritten unread`;
  return { name: `${name} (${share})`, ours: '', theirs: '', value, bound: 1 };
}
