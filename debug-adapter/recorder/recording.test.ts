/**
 * Files that are no recordings, or damaged ones, give a problem in words or a run that is opened as far as it agrees:
 * never an exception, never a run without end. BPF_STUDIO_FUZZ_RECORDINGS says how many are tried.
 */
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cpuMilliseconds } from '../../test/support/cpu-time';
import type { KernelClient } from '../../kernel/client/client';
import { Compiler, openTestKernel } from '../../kernel/host/testing';
import { entriesOf, recordObject } from '../../test/recording/record';
import { framesOf, momentOf } from '../stepping/moment';
import { openRun } from './open-run';
import { Random } from './random-program';
import { decodeRecording, encodeRecording } from './recording';
import type { Recording } from './recording';

const COUNT = Number(process.env.BPF_STUDIO_FUZZ_RECORDINGS ?? 400);
const SEED = Number(process.env.BPF_STUDIO_FUZZ_SEED ?? 1);
const MAGIC = 'bpf-studio recording 1\n';
/** Opening any of them takes less processor time than this. */
const PATIENCE_MS = 20_000;

let kernel: { client: KernelClient; dispose(): Promise<void> };
let recording: Recording;
beforeAll(async () => {
  kernel = await openTestKernel();
  const compiler = await Compiler.create(kernel.client);
  const run = await recordObject(
    kernel.client,
    await compiler.compile(`
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8); __type(key, __u32); __type(value, __u64); } counts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 2); __type(key, __u32); __type(value, __u64); } cpus SEC(".maps");
__u64 total;
static __noinline int sum(unsigned char *from, unsigned char *end)
{
	int sum = 0;

	for (int i = 0; i < 20 && from + i + 1 <= end; i++)
		sum += from[i];
	return sum;
}
SEC("xdp") int prog(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 key = sum(data, end) & 1;
	__u64 one = 1, *count = bpf_map_lookup_elem(&cpus, &key);

	if (count)
		*count += 1;
	bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
	total += key;
	bpf_xdp_adjust_head(ctx, 4);
	return 2;
}`),
  );
  expect(run.ending).toEqual({ kind: 'returned' });
  expect(entriesOf(run, 'counts')).toHaveLength(1);
  ({ recording } = run);
});
afterAll(() => kernel?.dispose());

/** Opens it and goes through it; what it is in words. */
function tryOut(file: Uint8Array): string {
  const read = decodeRecording(file);
  if (!read.ok) {
    expect(read.problem.message).toMatch(/\.$/);
    expect(read.problem.hint).not.toBe('');
    return read.problem.code;
  }
  const opened = openRun(read.value);
  if (!opened.ok) return opened.problem.code;
  const { timeline, ending, maps } = opened.value;
  for (const step of [0, Math.floor(timeline.length / 2), timeline.length]) {
    timeline.seek(step);
    for (const { view } of framesOf(momentOf(opened.value))) view.register(0);
    for (const { handle } of read.value.maps) maps.entries(handle);
  }
  return ending.kind;
}

function bounded(what: string, file: Uint8Array): string {
  let result = '';
  const spent = cpuMilliseconds(() => {
    try {
      result = tryOut(file);
    } catch (error) {
      throw new Error(what, { cause: error });
    }
  });
  expect(spent, what).toBeLessThan(PATIENCE_MS);
  return result;
}

/** Lets the test runner hear from this test. */
const breathe = () => new Promise((resolve) => setImmediate(resolve));

function mutated(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = new Uint8Array(bytes);
  if (copy.length === 0) return copy;
  for (let count = 1 + random.below(4); count > 0; count--) {
    const at = random.below(copy.length);
    copy[at] = random.pick([0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
  }
  return random.below(8) === 0 ? copy.subarray(0, random.below(copy.length)) : copy;
}

test('what was recorded is read as it was written', () => {
  const read = decodeRecording(encodeRecording(recording));
  expect(read.ok && read.value).toEqual(recording);
});

test(`${COUNT} files with some bytes changed`, { timeout: 60_000 + 200 * COUNT }, async () => {
  const file = encodeRecording(recording);
  const unpacked = gunzipSync(file.subarray(MAGIC.length));
  const seen = new Map<string, number>();
  for (let number = 0; number < COUNT; number++) {
    if (number % 100 === 0) await breathe();
    const random = new Random((SEED * 7919 + number * 104_729) | 0);
    const changed =
      random.below(8) === 0
        ? mutated(file, random)
        : Buffer.concat([Buffer.from(MAGIC), gzipSync(mutated(unpacked, random), { level: 1 })]);
    const result = bounded(`file ${number} of seed ${SEED}`, changed);
    seen.set(result, (seen.get(result) ?? 0) + 1);
  }
  // Nothing was tried if no change could be read, or if none mattered.
  expect(seen.get('recording/damaged')).toBeGreaterThan(0);
  expect(seen.get('returned')).toBeGreaterThan(0);
});

test(`${COUNT} recordings with one part changed`, { timeout: 60_000 + 200 * COUNT }, async () => {
  const seen = new Map<string, number>();
  for (let number = 0; number < COUNT; number++) {
    if (number % 100 === 0) await breathe();
    const random = new Random((SEED * 104_729 + number * 7919) | 0);
    const { prepared } = recording;
    const part = random.pick(['instructions', 'lineInfo', 'funcInfo', 'trace', 'object', 'records'] as const);
    const changed: Recording = { ...recording };
    if (part === 'trace' || part === 'object') changed[part] = mutated(recording[part], random);
    else if (part === 'records')
      changed.records = recording.records.map((record) => ({
        ...record,
        points: record.points.map((point) => ({
          ...point,
          insn: random.below(prepared.instructions.length / 4),
        })),
      }));
    else changed.prepared = { ...prepared, [part]: mutated(prepared[part], random) };
    const result = bounded(`${part} of recording ${number} of seed ${SEED}`, encodeRecording(changed));
    seen.set(result, (seen.get(result) ?? 0) + 1);
  }
  expect(seen.get('diverged')).toBeGreaterThan(0);
});
