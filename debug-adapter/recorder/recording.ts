/**
 * A recorded run with all that is needed to go through it on any machine: the object, its source, the input, the trace,
 * and the maps as they were before. One file holds it: a line that says what it is, then a compressed MessagePack map.
 */
import { gunzipSync, gzipSync } from 'node:zlib';
import { decode, encode } from '@msgpack/msgpack';
import { z } from 'zod';
import { TRACE_HEADER } from './instrument/emit';
import { isArray, isFollowedType, shapeOf } from './replay/map-shape';
import { fail, succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';

/** More than the part of a packet that a program reaches directly; a longer one is not followed. */
export const MAX_PACKET = 0x1_0000;
/** First bytes of a file, version included. */
const MAGIC = 'bpf-studio recording 1\n';
/** A file that unpacks to more is not one that was saved. */
const MAX_BYTES = 1024 * 1024 * 1024;
/** Bytes of an entry of a map that is followed; the snapshot of a map with larger ones is not taken. */
const MAX_VALUE = 64 * 1024 * 1024;
/** NR_CPUS of the largest configuration. */
const MAX_CPUS = 8192;
const INSN_SIZE = 8;

const bytes: z.ZodType<Uint8Array, Uint8Array> = z.instanceof(Uint8Array);
const integer = z.number().int();
const map = z.object({
  handle: integer,
  id: integer,
  name: z.string(),
  type: z.string(),
  typeNumber: integer,
  keySize: integer.min(0),
  valueSize: integer.min(0),
  maxEntries: integer.min(0),
  flags: integer,
  keyTypeId: integer,
  valueTypeId: integer,
  btfId: integer.optional(),
  globals: z.boolean(),
  frozen: z.boolean(),
  structOps: z.boolean(),
  pinnedAt: z.string().optional(),
});
const field = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('register'), register: integer.min(0).max(10), checked: z.boolean() }),
  z.object({
    kind: z.literal('stack'),
    offset: integer.min(-512).max(0),
    size: z.union([z.literal(1), z.literal(2), z.literal(4), z.literal(8)]),
  }),
  z.object({ kind: z.literal('cpu') }),
]);
const entries = z.array(z.object({ key: bytes, value: bytes }));

const recordingSchema = z.object({
  /** Of the kernel that ran it: `uname -r`, and the number of possible CPUs. */
  kernel: z.string(),
  possibleCpus: integer.min(1).max(MAX_CPUS),
  /** Milliseconds since 1970. */
  recordedAt: integer,
  program: z.object({ name: z.string(), section: z.string(), type: z.string() }),
  /** Path of what was compiled or loaded, and the texts of its source files as they were. */
  file: z.string(),
  sources: z.array(z.object({ path: z.string(), text: z.string() })),
  object: bytes,
  prepared: z.object({ instructions: bytes, funcInfo: bytes, lineInfo: bytes }),
  stackDepth: z.array(integer.min(0).max(512)),
  records: z.array(
    z.object({
      id: integer.min(1),
      size: integer.min(8),
      points: z.array(
        z.object({
          insn: integer.min(0),
          side: z.enum(['before', 'ahead', 'after']),
          fields: z.array(field),
        }),
      ),
    }),
  ),
  addresses: z.array(z.tuple([integer.min(0), z.bigint().min(0n).max(0xffff_ffff_ffff_ffffn)])),
  trace: bytes,
  /** `length`: of the packet, if `data` is only its beginning. */
  input: z.object({
    data: bytes.optional(),
    length: integer.min(0).max(MAX_PACKET).optional(),
    context: bytes.optional(),
  }),
  result: z.object({ returnValue: z.number(), duration: z.number(), data: bytes, context: bytes }),
  maps: z.array(map),
  /** Maps that are values of maps of maps. */
  innerMaps: z.array(map),
  /** Entries before the run, of the maps that are followed through it, and what of them is otherwise after it. */
  snapshots: z.array(
    z.object({ map: integer, entries, after: z.object({ changed: entries, gone: z.array(bytes) }) }),
  ),
});

export type Recording = z.output<typeof recordingSchema>;

export function encodeRecording(recording: Recording): Uint8Array {
  const packed = gzipSync(encode(recording, { useBigInt64: true, ignoreUndefined: true }));
  return Buffer.concat([Buffer.from(MAGIC), packed]);
}

/** Reads a file's bytes; any bytes give a recording or a problem. */
export function decodeRecording(file: Uint8Array): Outcome<Recording> {
  const head = Buffer.from(file.subarray(0, MAGIC.length)).toString('latin1');
  if (head !== MAGIC) {
    const other = /^bpf-studio recording (\d+)\n/.exec(head)?.[1];
    return other === undefined
      ? fail('recording/foreign', 'This is not a recording of BPF Studio.', SAVE)
      : fail(
          'recording/version',
          `This recording has format ${other}, which this version of BPF Studio does not read.`,
          'Open it with the version that saved it, or record the run again.',
        );
  }
  let parsed: ReturnType<typeof recordingSchema.safeParse>;
  try {
    const unpacked = gunzipSync(file.subarray(MAGIC.length), { maxOutputLength: MAX_BYTES });
    parsed = recordingSchema.safeParse(withPlainNumbers(decode(unpacked, { useBigInt64: true })));
  } catch (error) {
    // zlib and MessagePack throw on what they cannot read, and values may be nested deeper than the stack is.
    return fail('recording/damaged', `The recording is damaged: ${(error as Error).message}.`, SAVE);
  }
  if (parsed.success) {
    const wrong = contradiction(parsed.data);
    return wrong === undefined
      ? succeed(parsed.data)
      : fail('recording/damaged', `The recording is damaged: ${wrong}.`, SAVE);
  }
  const issue = parsed.error.issues[0];
  const where = issue?.path.join('.') ?? '';
  return fail('recording/damaged', `The recording is damaged at ${where}: ${issue?.message}.`, SAVE);
}

/** What no program's run could be, although each value by itself might. */
function contradiction({
  prepared,
  trace,
  maps,
  innerMaps,
  snapshots,
  possibleCpus,
}: Recording): string | undefined {
  if (prepared.instructions.length === 0 || prepared.instructions.length % INSN_SIZE !== 0)
    return 'its program is no sequence of instructions';
  if (trace.length < TRACE_HEADER) return 'its trace has no beginning';
  for (const { map, entries: before, after } of snapshots) {
    const found = [...maps, ...innerMaps].find(({ handle }) => handle === map);
    if (!found || !isFollowedType(found.type)) return `map ${map} has entries that it cannot have`;
    const shape = shapeOf(found, possibleCpus);
    const isKey = (key: Uint8Array) => key.length === found.keySize;
    const isEntry = ({ key, value }: { key: Uint8Array; value: Uint8Array }) =>
      isKey(key) && value.length === shape.stride * shape.slots;
    const fits = [...before, ...after.changed].every(isEntry) && after.gone.every(isKey);
    const isIndexed = !isArray(shape) || found.keySize === 4;
    if (!fits || !isIndexed || shape.stride * shape.slots > MAX_VALUE)
      return `entries of map ${map} have another size than it says`;
  }
  return undefined;
}

const SAVE = 'Save one with "BPF: Save Recording" in the editor, or `bpf-studio record` in a terminal.';

/** MessagePack gives 64-bit integers as BigInt, of which only addresses are meant to be. */
function withPlainNumbers(value: unknown, key?: string): unknown {
  if (typeof value === 'bigint') return value;
  if (Array.isArray(value)) {
    if (key === 'addresses')
      return value.map((pair: unknown) =>
        Array.isArray(pair) ? [Number(pair[0]), BigInt(pair[1] as number | bigint)] : pair,
      );
    return value.map((item) => withPlainNumbers(item));
  }
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      typeof inner === 'bigint' ? Number(inner) : withPlainNumbers(inner, name),
    ]),
  );
}
