/** What recording a run costs, and how quickly one can be gone through. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { LoadedProgram } from '../../kernel/protocol';
import { openRecorder } from '../../debug-adapter/recorder/record';
import type { RecordedRun } from '../../debug-adapter/recorder/record';
import { TRACE_HEADER } from '../../debug-adapter/recorder/instrument/emit';
import { replayCode } from '../../debug-adapter/recorder/replay/code';
import { Machine } from '../../debug-adapter/recorder/replay/machine';
import { Timeline } from '../../debug-adapter/recorder/replay/timeline';
import { readBpfObject } from '../../toolchain/elf/object';
import { testRunSupport } from '../../toolchain/program/test-run';
import { root } from '../support/bpf-object';
import { median, milliseconds, percentile, run, type Line } from './measure';
import type { Workshop } from './workshop';

const FIXTURES = path.join(root, 'test/fixtures/verifier/accepted');
/** A packet that passes the checks of most programs: Ethernet, IPv4, UDP. */
const PACKET = Buffer.from(
  '020000000002020000000001080045000020000100004011f96c0a0000010a00000230390035000c000068656c6c'.padEnd(
    200,
    '0',
  ),
  'hex',
);
const CAPACITY = 1 << 26;

interface Recorded {
  run: RecordedRun;
  /** Instructions that the verifier processed: with the recording, and without. */
  verified: { recorded: number; plain: number };
}

/** Records one run of a program; undefined when it cannot be run or recorded. */
async function record(workshop: Workshop, file: string, capacity: number): Promise<Recorded | undefined> {
  const { client, clang, include, directory } = workshop;
  const object = path.join(directory, `${path.basename(file)}.o`);
  const system = ['-idirafter', `/usr/include/${os.machine()}-linux-gnu`];
  await run(clang, ['-O2', '-g', '-target', 'bpf', ...include, ...system, '-c', file, '-o', object]);
  const bytes = new Uint8Array(readFileSync(object));
  const read = readBpfObject(bytes);
  if (!read.ok) return undefined;
  const opened = await client.request('objectOpen', { object: bytes });
  try {
    const { programs } = await client.request('objectLoad', { object: opened.object, log: 'rejected' });
    const program = programs.find(({ type }) => testRunSupport(type)?.packet !== undefined);
    return program && (await recordPacket(workshop, program, read.value.license ?? '', capacity));
  } catch {
    // A kernel may lack what a fixture is about, or refuse its run.
    return undefined;
  } finally {
    await client.request('objectClose', { object: opened.object });
  }
}

async function recordPacket(
  { client }: Workshop,
  program: LoadedProgram,
  license: string,
  capacity: number,
): Promise<Recorded | undefined> {
  const prepared = await client.request('programPrepared', { program: program.handle });
  const recorder = await openRecorder(client, program, { license, capacity });
  try {
    const input = { data: PACKET, dataOutSize: 4096, contextOutSize: 0 };
    const stackDepth = program.verdict.stats?.stackDepth ?? [];
    const recorded = await recorder.run(prepared, stackDepth, input, 'lean', undefined);
    if ('reason' in recorded) return undefined;
    const plain = program.verdict.stats?.insns ?? NaN;
    return { run: recorded, verified: { recorded: recorded.verifiedInsns ?? NaN, plain } };
  } finally {
    await recorder.close();
  }
}

function machineOf({ prepared, records, stackDepth, addresses, trace }: RecordedRun): Machine {
  return new Machine(replayCode(prepared.instructions, records, stackDepth, new Map(addresses)), trace);
}

/** Cost of the recording over the fixtures that can be run on a packet. */
export async function recordingCost(workshop: Workshop): Promise<Line[]> {
  const ratios: number[] = [];
  const sizes: number[] = [];
  for (const name of readdirSync(FIXTURES)) {
    const recorded = await record(workshop, path.join(FIXTURES, name), 1 << 20).catch(() => undefined);
    if (!recorded) continue;
    ratios.push(recorded.verified.recorded / recorded.verified.plain);
    const machine = machineOf(recorded.run);
    while (!machine.ending) machine.run();
    if (machine.step >= 10) sizes.push((recorded.run.trace.length - TRACE_HEADER) / machine.step);
    await recorded.run.close().catch(() => undefined);
  }
  const count = `${ratios.length} programs`;
  return [
    {
      name: `recording: verified instructions, recorded / plain, median of ${count}`,
      ours: '',
      theirs: '',
      value: median(ratios),
      bound: 2.3,
    },
    {
      name: 'recording: bytes of trace a step, median',
      ours: '',
      theirs: '',
      value: median(sizes),
      bound: 4,
    },
  ];
}

/** Ten million instructions: opening, and steps in both directions. */
export async function longReplay(workshop: Workshop): Promise<Line[]> {
  const file = path.join(workshop.directory, 'long.bpf.c');
  writeFileSync(
    file,
    `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual MIT/GPL";
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 64); __type(key, __u32); __type(value, __u64); } sums SEC(".maps");
struct progress { __u64 sum; __u32 x; };
static long turn(__u32 index, struct progress *state)
{
	__u32 key = index & 63;
	__u64 *value;

	state->x = state->x * 1103515245 + 12345;
	if (index % 16 == 0) {
		value = bpf_map_lookup_elem(&sums, &key);
		if (value)
			*value += state->x;
	}
	for (int bit = 0; bit < 4; bit++) {
		state->sum += (state->x >> bit) ^ index;
		state->sum = state->sum * 3 + bit;
	}
	return 0;
}
SEC("xdp") int longest(struct xdp_md *ctx)
{
	struct progress state = {};

	bpf_loop(290000, turn, &state, 0);
	return state.sum & 3;
}
`,
  );
  const recorded = await record(workshop, file, CAPACITY);
  if (!recorded) throw new Error('the long run was not recorded');
  let timeline: Timeline | undefined;
  const opening = await milliseconds(() =>
    Promise.resolve((timeline = new Timeline(machineOf(recorded.run)))),
  );
  const { length, machine } = timeline!;
  const times: number[] = [];
  let seed = 1;
  for (let count = 0; count < 400; count++) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    if (count % 40 === 0) timeline!.seek(seed % length);
    const to = machine.step + (count % 2 ? 1 : -1) * (1 + (seed % 20));
    times.push(await milliseconds(() => Promise.resolve(timeline!.seek(to))));
  }
  const steps = `${(length / 1e6).toFixed(1)} million steps`;
  return [
    {
      name: `replay: opening ${steps}, in s`,
      ours: '',
      theirs: '',
      value: opening / 1000,
      bound: (2 * length) / 1e7,
    },
    {
      name: `replay: a step in either direction, p95 in ms, of ${steps}`,
      ours: '',
      theirs: '',
      value: percentile(times, 0.95),
      bound: 5,
    },
  ];
}
