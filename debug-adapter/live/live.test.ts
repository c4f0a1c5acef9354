/** Variants of programs that are watched, on this machine's kernel under test runs: what they count, record and change. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KernelClient } from '../../kernel/client/client';
import { Compiler, openTestKernel, scratchDirectory } from '../../kernel/host/testing';
import { readBpfObject } from '../../toolchain/elf/object';
import { loadObject } from '../runner/load';
import type { LoadedObject } from '../runner/load';
import { AttachedProgram } from './attached-program';
import { WallClock } from './clock';
import { FlightRecorder } from './flight-recorder';
import type { FlightRun } from './flight-runs';
import { SnapshotReader } from './snapshot-reader';
import { parseStopCondition } from './stop-condition';
import type { StopCondition } from './stop-condition';

let kernel: { client: KernelClient; dispose(): Promise<void> };
let compiler: Compiler;
const directory = scratchDirectory();
beforeAll(async () => {
  kernel = await openTestKernel();
  compiler = await Compiler.create(kernel.client);
});
afterAll(() => kernel?.dispose());

/** Without the atomics of 5.12 nothing is watched; says so, and what is said to the user is a test of its own. */
const isTooOld = () => {
  const { major, minor } = kernel.client.hello.kernel.version;
  const tooOld = major * 100 + minor < 512;
  if (tooOld) console.log(`not run on Linux ${major}.${minor}: no fetching atomics, so nothing is watched`);
  return tooOld;
};

const packet = (length: number) => {
  const bytes = Buffer.alloc(length);
  Buffer.from('0200000000020200000000010800450000000000000040110000', 'hex').copy(bytes);
  bytes.writeUInt16BE(length - 14, 16);
  return new Uint8Array(bytes);
};

async function open(
  text: string,
  edit = (object: Uint8Array) => object,
): Promise<{ loaded: LoadedObject; program: AttachedProgram }> {
  const bytes = edit(await compiler.compile(text));
  const object = readBpfObject(bytes);
  if (!object.ok) throw new Error(object.problem.message);
  const source = path.join(directory, 'prog.bpf.c');
  writeFileSync(source, text);
  const file = { path: source, bytes, object: object.value, bpf: undefined };
  const loaded = await loadObject(kernel.client, file as never, {});
  return { loaded, program: await AttachedProgram.open(loaded, loaded.programs[0]!, []) };
}

async function run(program: AttachedProgram, data: Uint8Array, repeat = 1): Promise<number> {
  const { returnValue } = await kernel.client.request('testRun', {
    program: program.instrumentation!.program,
    data,
    repeat,
    dataOutSize: data.length + 256,
    contextOutSize: 0,
  });
  return returnValue;
}

/** On a busy machine one look may not have the time for all runs. */
async function foundBy(recorder: FlightRecorder, condition: StopCondition): Promise<FlightRun | undefined> {
  let found: FlightRun | undefined;
  await expect.poll(async () => (found ??= await recorder.look(condition))).toBeDefined();
  return found;
}

const SUMS = `
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 4); __type(key, u32); __type(value, u64); } sums SEC(".maps");
static __noinline int weigh(unsigned char *from, unsigned char *end)
{
	int weight = 0;
	for (int i = 0; i < 20; i++) {
		if (from + i + 1 > end)
			return -1;
		weight += from[i] * (i + 1);
	}
	return weight;
}
SEC("xdp") int prog(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	u32 key = (end - data) & 3;
	u64 *sum = bpf_map_lookup_elem(&sums, &key);
	int weight = weigh(data, end);

	if (sum)
		__sync_fetch_and_add(sum, weight);
	return weight > 500 ? XDP_DROP : XDP_PASS;
}`;

test('a kernel without atomics that fetch is told of, with what it can do instead', async () => {
  const { major, minor } = kernel.client.hello.kernel.version;
  if (major * 100 + minor >= 512) return console.log(`not run on Linux ${major}.${minor}, which has them`);
  const { loaded, program } = await open(SUMS);
  const [place] = program.stops.beginningOf('weigh');
  for (const wanted of [
    { stops: [{ breakpoint: 7, place: place! }] },
    { stops: [], flight: { told: 'none' as const } },
  ]) {
    const { reason, notes } = await program.watch(wanted);
    expect(reason).toMatch(
      /^Linux 5\.\d+.* has no atomic instructions .*5\.12 and later.*record a single run of it with F5/,
    );
    expect(notes).toEqual([]);
  }
  expect(program.instrumentation).toBeUndefined();
  await loaded.close();
});

test('every hit is counted, those that were overwritten too', async () => {
  if (isTooOld()) return;
  const { loaded, program } = await open(SUMS);
  const [place] = program.stops.beginningOf('weigh');
  expect(await program.watch({ stops: [{ breakpoint: 7, place: place! }] })).toEqual({ notes: [] });
  const reader = new SnapshotReader(program.instrumentation!.snapshots!);
  await run(program, packet(60), 3);
  expect(await reader.look(1 << 20)).toHaveLength(3);
  expect(reader.counted.get(7)).toEqual({ hits: 3, read: 3 });
  // More than the ring holds.
  await run(program, packet(60), 400_000);
  const found = await reader.look(1 << 16);
  const { hits, read } = reader.counted.get(7)!;
  expect(hits).toBe(400_003);
  expect(read).toBe(3 + found.length);
  expect(found.length).toBeGreaterThan(100);
  const [first] = found;
  const { registers } = first!.snapshot;
  expect(registers.get(2)! - registers.get(1)!).toBe(60n);
  await program.unload();
  await loaded.close();
});

test('a recorded run is the one that the kernel ran, and a condition finds it', async () => {
  if (isTooOld()) return;
  const { loaded, program } = await open(SUMS);
  const condition = await parseStopCondition('returned == XDP_DROP && end - data == 77');
  if (!condition.ok) throw new Error(condition.problem.message);
  const told = condition.value.inKernel('xdp')!;
  expect(told).toEqual({ operator: '==', value: 1 });
  expect(await program.watch({ stops: [], flight: { told } })).toEqual({ notes: [] });
  const recorder = new FlightRecorder(loaded, program, program.instrumentation!, new WallClock());
  const large = packet(77).fill(9, 14);
  const returned: number[] = [];
  for (const data of [packet(60), packet(60), packet(60).fill(9, 14), large, packet(61)])
    returned.push(await run(program, data));
  expect(returned.slice(2, 4)).toEqual([1, 1]);
  const found = await foundBy(recorder, condition.value);
  // Looking ends with the one that is found.
  expect(recorder.counts).toEqual({ runs: 5, checked: 4, lost: 0 });
  expect(found!.packet).toEqual({ bytes: large.subarray(0, 64), length: 77 });
  const opened = await recorder.open(found!);
  expect(opened.ending).toEqual({ kind: 'returned' });
  // The packet's length is known from the beginning, though not all of its bytes are.
  opened.timeline.seek(0);
  while (!opened.timeline.machine.packet) opened.timeline.seek(opened.timeline.machine.step + 1);
  const { data, end } = opened.timeline.machine.packet;
  expect(end! - data!).toBe(77n);
  const all = await recorder.newest(10);
  expect(all.map(({ returned: value }) => Number(value)).reverse()).toEqual(returned);
  for (const one of all) expect((await recorder.open(one)).ending).toEqual({ kind: 'returned' });
  await program.unload();
  await loaded.close();
});

test('a condition of which nothing is about the return value is tried on every run', async () => {
  if (isTooOld()) return;
  const { loaded, program } = await open(SUMS);
  const condition = await parseStopCondition('weight < 0');
  if (!condition.ok) throw new Error(condition.problem.message);
  expect(condition.value.inKernel('xdp')).toBeUndefined();
  await program.watch({ stops: [], flight: { told: 'all' } });
  const recorder = new FlightRecorder(loaded, program, program.instrumentation!, new WallClock());
  await run(program, packet(60), 3);
  const counts = async () => {
    expect(await recorder.look(condition.value)).toBeUndefined();
    return recorder.counts;
  };
  await expect.poll(counts).toEqual({ runs: 3, checked: 3, lost: 0 });
  await run(program, packet(18));
  const found = await foundBy(recorder, condition.value);
  expect(found && Number(found.returned)).toBe(2);
  await program.unload();
  await loaded.close();
});

/** The same object, not under the GPL. */
const proprietary = (object: Uint8Array) => {
  const text = Buffer.from(object).toString('latin1');
  return new Uint8Array(Buffer.from(text.replaceAll('Dual MIT/GPL', 'Proprietary\0'), 'latin1'));
};

describe('a program that is not under the GPL, and may not call every helper', () => {
  test.each([
    ['xdp', SUMS],
    ['tc', SUMS.replace('SEC("xdp")', 'SEC("tc")').replace('struct xdp_md', 'struct __sk_buff')],
  ])('%s: packets are copied by a helper that it may call', async (_, source) => {
    if (isTooOld()) return;
    const { loaded, program } = await open(source, proprietary);
    const [place] = program.stops.beginningOf('prog');
    const wanted = { stops: [{ breakpoint: 7, place: place! }], flight: { told: 'none' as const } };
    expect(await program.watch(wanted)).toEqual({ notes: [] });
    const recorder = new FlightRecorder(loaded, program, program.instrumentation!, new WallClock());
    const reader = new SnapshotReader(program.instrumentation!.snapshots!);
    const [short, long] = [packet(60).fill(7, 30), packet(200).fill(8, 30)];
    for (const data of [short, long]) await run(program, data);
    const copies = (await reader.look(1 << 20)).map(({ snapshot }) => snapshot.packet!.bytes);
    expect(copies).toEqual([short, long.subarray(0, 128)]);
    const runs = (await recorder.newest(2)).reverse();
    expect(runs.map((one) => one.packet)).toEqual([
      { bytes: short, length: 60 },
      { bytes: long.subarray(0, 64), length: 200 },
    ]);
    for (const one of runs) expect((await recorder.open(one)).ending).toEqual({ kind: 'returned' });
    await program.unload();
    await loaded.close();
  });

  test('where there is no such helper, its packets are not shown, which is said', async () => {
    if (isTooOld()) return;
    const source = `SEC("sk_msg") int prog(struct sk_msg_md *msg) { return msg->size > 9 ? SK_PASS : SK_DROP; }`;
    const { loaded, program } = await open(source, proprietary);
    const { reason, notes } = await program.watch({ stops: [], flight: { told: 'none' } });
    expect(reason).toBeUndefined();
    expect(notes).toEqual([expect.stringMatching(/^The packets of prog cannot be shown: .*GPL/)]);
    await program.unload();
    await loaded.close();
  });
});

test('a program whose stack is full is told of, and runs as it is', async () => {
  const { loaded, program } = await open(`
SEC("xdp") int prog(struct xdp_md *ctx)
{
	volatile u64 all[62];
	for (int i = 0; i < 62; i++)
		all[i] = i;
	return all[ctx->rx_queue_index & 31] & 3;
}`);
  const answer = await program.watch({ stops: [], flight: { told: 'none' } });
  expect(answer.reason).toMatch(/stack is full/);
  expect(program.instrumentation).toBeUndefined();
  await loaded.close();
});

async function recorderOf(
  text: string,
  condition: string,
): Promise<{
  loaded: LoadedObject;
  program: AttachedProgram;
  recorder: FlightRecorder;
  wanted: StopCondition;
}> {
  const { loaded, program } = await open(text);
  const parsed = await parseStopCondition(condition);
  if (!parsed.ok) throw new Error(parsed.problem.message);
  const told = parsed.value.inKernel('xdp') ?? 'all';
  expect(await program.watch({ stops: [], flight: { told } })).toEqual({ notes: [] });
  const recorder = new FlightRecorder(loaded, program, program.instrumentation!, new WallClock());
  return { loaded, program, recorder, wanted: parsed.value };
}

const marked = (length: number) => packet(length).fill(9, 14);
/** More than the ring holds, whatever the program records. */
const MANY = 300_000;

const STRAIGHT = `
SEC("xdp") int prog(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	int length = end - data;

	if (data + 15 > end)
		return XDP_ABORTED;
	return data[14] == 9 ? XDP_DROP : XDP_PASS;
}`;

test.each([
  ['in its block', STRAIGHT],
  ['in a loop and a function', SUMS],
])('a run that is looked for outlasts all that the ring has room for: %s', async (_, text) => {
  if (isTooOld()) return;
  const { loaded, program, recorder, wanted } = await recorderOf(
    text,
    'returned == XDP_DROP && end - data == 77',
  );
  await run(program, marked(70));
  await run(program, marked(77));
  await run(program, packet(18), MANY);
  const { ring } = program.instrumentation!.flight!;
  const { position } = await ring.header();
  expect(ring.oldest(position)).toBeGreaterThan(0);
  const found = await foundBy(recorder, wanted);
  expect(found!.packet!.length).toBe(77);
  expect((await recorder.open(found!)).ending).toEqual({ kind: 'returned' });
  expect(recorder.counts).toEqual({ runs: MANY + 2, checked: MANY + 2, lost: 0 });
  await program.unload();
  await loaded.close();
});

test('of more runs than there are places to keep them every one is tried or counted as lost', async () => {
  if (isTooOld()) return;
  const { loaded, program, recorder, wanted } = await recorderOf(
    SUMS,
    'returned == XDP_DROP && end - data == 77',
  );
  const { kept } = program.instrumentation!.flight!.flight;
  await run(program, marked(70), kept!.places + 250);
  const lookAll = async () => {
    expect(await recorder.look(wanted)).toBeUndefined();
    return recorder.counts;
  };
  const runs = kept!.places + 250;
  await expect.poll(lookAll, { timeout: 20_000 }).toEqual({ runs, checked: kept!.places, lost: 250 });
  // Places that were looked at are free again.
  await run(program, marked(77));
  expect((await foundBy(recorder, wanted))!.packet!.length).toBe(77);
  expect(recorder.counts).toEqual({ runs: runs + 1, checked: kept!.places + 1, lost: 250 });
  await program.unload();
  await loaded.close();
});

test('of a program that may not copy memory, a run that is looked for is found in the ring as long as it is there', async () => {
  if (isTooOld()) return;
  const { loaded, program } = await open(STRAIGHT, proprietary);
  const condition = await parseStopCondition('returned == XDP_DROP && length == 77');
  if (!condition.ok) throw new Error(condition.problem.message);
  await program.watch({ stops: [], flight: { told: condition.value.inKernel('xdp')! } });
  const recorder = new FlightRecorder(loaded, program, program.instrumentation!, new WallClock());
  await run(program, marked(77));
  await run(program, packet(60), MANY);
  expect(await recorder.look(condition.value)).toBeUndefined();
  expect(recorder.counts).toEqual({ runs: MANY + 1, checked: MANY, lost: 1 });
  await run(program, marked(77));
  expect(await foundBy(recorder, condition.value)).toBeDefined();
  await program.unload();
  await loaded.close();
});

test('a run knows its time, or that it is that of an earlier one in the same tick', async () => {
  if (isTooOld()) return;
  const { loaded, program } = await open(STRAIGHT);
  await program.watch({ stops: [], flight: { told: 'none' } });
  const recorder = new FlightRecorder(loaded, program, program.instrumentation!, new WallClock());
  await run(program, packet(60));
  const [single] = await recorder.newest(1);
  expect(single!.isOfTick).toBe(false);
  await run(program, packet(60), 20_000);
  const runs = (await recorder.newest(20_000)).reverse();
  expect(runs.length).toBe(20_000);
  expect(runs.filter(({ isOfTick }) => isOfTick).length).toBeGreaterThan(10_000);
  const times = runs.map(({ time }) => time);
  expect(times).toEqual([...times].sort((one, other) => Number(one - other)));
  // The ticks of the slowest kernels are 10 ms apart; that of a run on a busy machine comes when it comes.
  const asked = runs.filter(({ isOfTick }) => !isOfTick);
  expect(asked.every(({ time }) => time > single!.time)).toBe(true);
  await program.unload();
  await loaded.close();
});

const COUNTED_LOOP = `
	#pragma clang loop unroll(disable)
	for (u32 i = 0; i < 8; i++) {
		u32 key = i;
		u64 *sum = bpf_map_lookup_elem(&sums, &key);

		if (!sum)
			break;
		total += *sum;
	}`;
const OPEN_LOOP = `
	for (u32 key = 0; key < 8; key++) {
		u64 *sum = bpf_map_lookup_elem(&sums, &key);

		if (!sum)
			break;
		total += *sum;
		asm volatile goto("may_goto %l[enough]" :::: enough);
	}
enough:`;

test.each([
  ['whose rounds the verifier counts', COUNTED_LOOP, 0],
  ['that the kernel may leave', OPEN_LOOP, 609],
])(
  'what a loop records stays in order with what comes before and behind it: one %s',
  async (_, loop, since) => {
    if (isTooOld()) return;
    const { major, minor, release } = {
      ...kernel.client.hello.kernel,
      ...kernel.client.hello.kernel.version,
    };
    if (major * 100 + minor < since) {
      console.log(`skipped: Linux ${release} has no such loops`);
      return;
    }
    const { loaded, program } = await open(`
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 8); __type(key, u32); __type(value, u64); } sums SEC(".maps");
SEC("xdp") int prog(struct xdp_md *ctx)
{
	u64 total = ctx->rx_queue_index;
${loop}
	total += ctx->ingress_ifindex;
	return total > 100000 ? XDP_DROP : XDP_PASS;
}`);
    await program.watch({ stops: [], flight: { told: 'none' } });
    const { layout } = program.instrumentation!.flight!.flight;
    expect(layout.placed.length).toBeGreaterThan(0);
    expect(layout.loose.length).toBeGreaterThan(0);
    const recorder = new FlightRecorder(loaded, program, program.instrumentation!, new WallClock());
    await run(program, packet(60), 3);
    const runs = await recorder.newest(10);
    expect(runs).toHaveLength(3);
    for (const one of runs) expect((await recorder.open(one)).ending).toEqual({ kind: 'returned' });
    await program.unload();
    await loaded.close();
  },
);
