/** What recording a run costs, and how quickly one can be gone through. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { KernelClient } from '../../kernel/client/client';
import type { LoadedProgram } from '../../kernel/protocol';
import { openRun } from '../../debug-adapter/recorder/open-run';
import type { OpenedRun } from '../../debug-adapter/recorder/open-run';
import { openRecorder } from '../../debug-adapter/recorder/record';
import type { RecordedRun } from '../../debug-adapter/recorder/record';
import { recordProgram } from '../../debug-adapter/recorder/record-program';
import { TRACE_HEADER } from '../../debug-adapter/recorder/instrument/emit';
import { replayCode } from '../../debug-adapter/recorder/replay/code';
import { Machine } from '../../debug-adapter/recorder/replay/machine';
import { loadObject } from '../../debug-adapter/runner/load';
import type { LoadedObject } from '../../debug-adapter/runner/load';
import { localNodes } from '../../debug-adapter/stepping/local-rows';
import { SourceFiles } from '../../debug-adapter/stepping/source-files';
import { Stepper } from '../../debug-adapter/stepping/stepper';
import { readBpfObject } from '../../toolchain/elf/object';
import { testRunSupport } from '../../toolchain/program/test-run';
import { root } from '../support/bpf-object';
import { median, milliseconds, percentile, run, type Line } from './measure';
import type { Workshop } from './workshop';

const FIXTURES = ['test/fixtures/verifier/accepted', 'test/fixtures/debug'].map((name) =>
  path.join(root, name),
);
/** A packet that passes the checks of most programs: Ethernet, IPv4, UDP. */
const PACKET = Buffer.from(
  '020000000002020000000001080045000020000100004011f96c0a0000010a00000230390035000c000068656c6c'.padEnd(
    200,
    '0',
  ),
  'hex',
);

/** Fewer programs than these say nothing about programs in general. */
const FEWEST = 20;
const REPEAT = 20_000;
const ROUNDS = 5;

interface Recorded {
  /** Ratios of recorded to plain: instructions that the verifier processed, and run time. */
  verified: number;
  time: number;
  /** Bytes of trace a step; undefined of runs too short to tell. */
  bytes: number | undefined;
}

/** Compiles and loads a source, and does something with it and its loaded programs. */
async function withLoaded<T>(
  { client, clang, include, directory }: Workshop,
  file: string,
  work: (loaded: LoadedObject) => Promise<T>,
): Promise<T> {
  const compiled = path.join(directory, `${path.basename(file)}.o`);
  const system = ['-idirafter', `/usr/include/${os.machine()}-linux-gnu`];
  await run(clang, ['-O2', '-g', '-target', 'bpf', ...include, ...system, '-c', file, '-o', compiled]);
  const bytes = new Uint8Array(readFileSync(compiled));
  const read = readBpfObject(bytes);
  if (!read.ok) throw new Error(read.problem.message);
  const loaded = await loadObject(client, { path: file, bytes, object: read.value }, {});
  try {
    return await work(loaded);
  } finally {
    await loaded.close();
  }
}

/** What recording a program's run on a packet costs; throws why it cannot be recorded or replayed. */
async function costOf(client: KernelClient, program: LoadedProgram, license: string): Promise<Recorded> {
  const prepared = await client.request('programPrepared', { program: program.handle });
  const recorder = await openRecorder(client, program, { license, capacity: 1 << 20 });
  try {
    const input = { data: PACKET, dataOutSize: 4096, contextOutSize: 0 };
    const stackDepth = program.verdict.stats?.stackDepth ?? [];
    const recorded = await recorder.run(prepared, stackDepth, input, 'lean', undefined);
    if ('reason' in recorded) throw new Error(recorded.reason);
    const machine = machineOf(recorded);
    while (!machine.ending) machine.run();
    if (machine.ending.kind === 'diverged') throw new Error(machine.ending.reason);
    const duration = async (handle: number) =>
      (await client.request('testRun', { program: handle, ...input, repeat: REPEAT })).duration;
    const times = { recorded: [] as number[], plain: [] as number[] };
    for (let round = 0; round < ROUNDS; round++) {
      times.recorded.push(await duration(recorded.program));
      times.plain.push(await duration(program.handle));
    }
    await recorded.close();
    const bytes = recorded.trace.length - TRACE_HEADER;
    return {
      verified: (recorded.verifiedInsns ?? NaN) / (program.verdict.stats?.insns ?? NaN),
      // The kernel's clock counts whole nanoseconds.
      time: Math.max(1, Math.min(...times.recorded)) / Math.max(1, Math.min(...times.plain)),
      bytes: machine.step >= 10 ? bytes / machine.step : undefined,
    };
  } finally {
    await recorder.close();
  }
}

function machineOf({ prepared, records, stackDepth, addresses, trace }: RecordedRun): Machine {
  return new Machine(replayCode(prepared.instructions, records, stackDepth, new Map(addresses)), trace);
}

/** Cost of the recording over the fixtures that can be run on a packet. */
export async function recordingCost(workshop: Workshop): Promise<Line[]> {
  const costs: Recorded[] = [];
  const failures: string[] = [];
  const other: string[] = [];
  for (const directory of FIXTURES)
    for (const name of readdirSync(directory).filter((file) => file.endsWith('.bpf.c'))) {
      try {
        await withLoaded(workshop, path.join(directory, name), async ({ programs, file }) => {
          const program = programs.find(({ type }) => testRunSupport(type)?.packet !== undefined);
          if (program) costs.push(await costOf(workshop.client, program, file.object.license ?? ''));
          else other.push(name);
        });
      } catch (error) {
        failures.push(`${name}: ${(error as Error).message.split('\n')[0]}`);
      }
    }
  console.log(
    `recording: ${costs.length} programs measured, ${other.length} files have none that runs on a packet, ${failures.length} failed`,
  );
  for (const failure of failures) console.log(`  ${failure}`);
  if (costs.length < FEWEST)
    throw new Error(`only ${costs.length} programs were recorded, of at least ${FEWEST}`);
  const line = (name: string, values: number[], bound: number): Line => {
    return { name, ours: '', theirs: '', value: median(values), bound };
  };
  const count = `median of ${costs.length} programs`;
  return [
    line(
      `recording: verified instructions, recorded / plain, ${count}`,
      costs.map(({ verified }) => verified),
      2.3,
    ),
    line(
      `recording: run time, recorded / plain, ${count}`,
      costs.map(({ time }) => time),
      2,
    ),
    line(
      'recording: bytes of trace a step, median',
      costs.flatMap(({ bytes }) => bytes ?? []),
      4,
    ),
  ];
}

const ROUNDS_OF_LOOP = 290_000;
/** The line of its body at which a condition is asked. */
const ASKED_AT = 'if (index % 16 == 0)';

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

	bpf_loop(${ROUNDS_OF_LOOP}, turn, &state, 0);
	return state.sum & 3;
}
`,
  );
  const recording = await withLoaded(workshop, file, async (loaded) => {
    const input = { data: PACKET, dataOutSize: 4096, contextOutSize: 0 };
    const recorded = await recordProgram(loaded, loaded.programs[0]!, input, new AbortController().signal);
    if ('reason' in recorded) throw new Error(`the long run was not recorded: ${recorded.reason}`);
    await recorded.close();
    return recorded.recording;
  });
  let opened: ReturnType<typeof openRun> | undefined;
  const opening = await milliseconds(async () => (opened = openRun(recording)));
  if (!opened?.ok || opened.value.ending.kind !== 'returned') throw new Error('the long run does not replay');
  const { timeline } = opened.value;
  const { length, machine } = timeline;
  const times: number[] = [];
  let seed = 1;
  for (let count = 0; count < 400; count++) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    if (count % 40 === 0) timeline.seek(seed % length);
    const to = machine.step + (count % 2 ? 1 : -1) * (1 + (seed % 20));
    times.push(await milliseconds(() => Promise.resolve(timeline.seek(to))));
  }
  const steps = `${(length / 1e6).toFixed(1)} million steps`;
  const { looks, watched, asking } = await goneThrough(opened.value);
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
    {
      name: `replay: a line in either direction with a data breakpoint, p95 in ms, of ${steps}`,
      ours: '',
      theirs: '',
      value: percentile(watched, 0.95),
      bound: 5,
    },
    {
      name: `replay: reading Locals after a line, p95 in ms, of ${steps}`,
      ours: '',
      theirs: '',
      value: percentile(looks, 0.95),
      bound: 5,
    },
    {
      name: `replay: a condition that never holds, asked ${ROUNDS_OF_LOOP} times, in s`,
      ours: '',
      theirs: '',
      value: asking / 1000,
      bound: 10,
    },
  ];
}

/** Times in ms of what a debugger's user does in a long run: lines with a data breakpoint set, Locals, a condition. */
async function goneThrough(run: OpenedRun): Promise<{ looks: number[]; watched: number[]; asking: number }> {
  const stepper = new Stepper(run, SourceFiles.onDisk([]));
  const { timeline } = run;
  const looks: number[] = [];
  const watched: number[] = [];
  stepper.goTo(0);
  const watching = await stepper.data.info('sums[5]', stepper.frames()[0]!);
  if (!watching.ok) throw new Error(watching.problem.message);
  const { dataId } = watching.value;
  await stepper.place([{ kind: 'data', id: 1, dataId, access: 'write', enabled: true }]);
  for (let count = 0, seed = 1; count < 400; count++) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    if (count % 40 === 0) stepper.goTo(seed % timeline.length);
    watched.push(await milliseconds(() => stepper.move((seed >>> 16) % 2 ? 'next' : 'stepBack', 'line')));
    looks.push(await milliseconds(() => Promise.resolve(localNodes(stepper.moment(), stepper.frames()[0]!))));
  }
  const { path: file, text } = run.recording.sources.find((source) => source.text.includes(ASKED_AT))!;
  const line = text.split('\n').findIndex((one) => one.includes(ASKED_AT)) + 1;
  const condition = 'state->x == 1 && index > 290000';
  await stepper.place([{ kind: 'line', id: 2, path: file, line, condition, enabled: true }]);
  stepper.goTo(0);
  const asking = await milliseconds(() => stepper.move('continue', 'line'));
  if (!stepper.isAtEnd) throw new Error(`the condition stopped: ${stepper.stop?.texts.join()}`);
  return { looks, watched, asking };
}
