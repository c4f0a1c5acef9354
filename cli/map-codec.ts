/** Keys and values of maps between their bytes and what a person writes and reads. */
import type { KernelClient } from '../kernel/client/client';
import type { LoadedMap } from '../kernel/protocol';
import type { Btf } from '../toolchain/btf/btf';
import { encode } from '../toolchain/btf/encode';
import { format, toJson } from '../toolchain/btf/format';
import { parseBtf } from '../toolchain/btf/parse';
import { decode } from '../toolchain/btf/value';
import { parseHex } from '../toolchain/packet/hex';
import { fail, succeed, type Outcome } from '../toolchain/problem';

/** Characters of a value on a line. */
const LONGEST_TEXT = 400;

/** Turns the bytes of one map's keys and values into JSON values and back. */
export interface MapCodec {
  key(bytes: Uint8Array): unknown;
  /** For a person: addresses and enumerators by name. */
  keyText(bytes: Uint8Array): string;
  valueText(bytes: Uint8Array): string;
  /** For per-CPU maps the list of all CPUs' values. */
  value(bytes: Uint8Array): unknown;
  parseKey(text: string): Outcome<Uint8Array>;
  /** For per-CPU maps the text is one value, for every CPU, or a list with one for each. */
  parseValue(text: string): Outcome<Uint8Array>;
}

/** For a map found in the kernel, whose BTF the kernel has. */
export async function mapCodec(client: KernelClient, map: LoadedMap): Promise<MapCodec> {
  return codecFor(await btfOf(client, map), map, client.hello.kernel.possibleCpus);
}

/** `btf` is what the map's type ids refer to; `possibleCpus` how many values a per-CPU map has for a key. */
export function codecFor(btf: Btf | undefined, map: LoadedMap, possibleCpus: number): MapCodec {
  const cpus = perCpu(map.type) ? possibleCpus : 1;
  const stride = perCpu(map.type) ? roundUp8(map.valueSize) : map.valueSize;
  const one = (typeId: number, bytes: Uint8Array) =>
    btf && typeId > 0 ? toJson(decode(btf, typeId, bytes)) : plain(bytes);
  const text = (typeId: number, bytes: Uint8Array) =>
    btf && typeId > 0 ? format(decode(btf, typeId, bytes), LONGEST_TEXT) : String(plain(bytes));
  const cpuValues = <T>(bytes: Uint8Array, each: (bytes: Uint8Array) => T): T[] =>
    Array.from({ length: cpus }, (_, cpu) =>
      each(bytes.subarray(cpu * stride, cpu * stride + map.valueSize)),
    );
  return {
    key: (bytes) => one(map.keyTypeId, bytes),
    keyText: (bytes) => text(map.keyTypeId, bytes),
    value: (bytes) => {
      const values = cpuValues(bytes, (each) => one(map.valueTypeId, each));
      return perCpu(map.type) ? values : values[0];
    },
    valueText(bytes) {
      const values = cpuValues(bytes, (each) => text(map.valueTypeId, each));
      return perCpu(map.type) ? values.map((value, cpu) => `CPU ${cpu}: ${value}`).join('  ') : values[0]!;
    },
    parseKey: (text) => parse(btf, map.keyTypeId, map.keySize, text, 'key'),
    parseValue(text) {
      if (!perCpu(map.type)) return parse(btf, map.valueTypeId, map.valueSize, text, 'value');
      return parsePerCpu(text, cpus, stride, (part) =>
        parse(btf, map.valueTypeId, map.valueSize, part, 'value'),
      );
    },
  };
}

function perCpu(type: string): boolean {
  return type.startsWith('percpu_') || type === 'lru_percpu_hash';
}

function roundUp8(size: number): number {
  return Math.ceil(size / 8) * 8;
}

async function btfOf(client: KernelClient, map: LoadedMap): Promise<Btf | undefined> {
  if (!map.btfId) return undefined;
  const { data } = await client.request('btf', { source: { id: map.btfId } });
  const parsed = parseBtf(data);
  return parsed.ok ? parsed.value : undefined;
}

/** Without BTF: integers of the usual sizes as numbers, everything else as hex. */
function plain(bytes: Uint8Array): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 4) return view.getUint32(0, true);
  if (bytes.length === 8) return view.getBigUint64(0, true);
  return Buffer.from(bytes).toString('hex');
}

function parse(
  btf: Btf | undefined,
  typeId: number,
  size: number,
  text: string,
  what: string,
): Outcome<Uint8Array> {
  if (text.startsWith('hex:')) return parseBytes(text.slice(4), size, what);
  if (btf && typeId > 0) return encode(btf, typeId, text);
  const number = /^-?\d+$/.test(text) ? BigInt(text) : undefined;
  if (number !== undefined && (size === 4 || size === 8)) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigInt64(0, BigInt.asIntN(64, number), true);
    return succeed(bytes.subarray(0, size));
  }
  return fail(
    'cli/untyped',
    `The map has no BTF, so its ${what} of ${size} bytes cannot be made from ${text}.`,
    `Write the bytes: hex:${'00'.repeat(Math.min(size, 8))}${size > 8 ? '…' : ''}`,
  );
}

function parseBytes(text: string, size: number, what: string): Outcome<Uint8Array> {
  const parsed = parseHex(text);
  const hint = `Write ${size} bytes as hex text: hex:${'00'.repeat(Math.min(size, 8))}${size > 8 ? '…' : ''}`;
  if (!parsed.ok) return fail('cli/hex', `The ${what} ${parsed.problems[0]!.message}.`, hint);
  if (parsed.value.length === size) return succeed(parsed.value);
  return fail('cli/size', `The ${what} takes ${size} bytes; ${parsed.value.length} were given.`, hint);
}

function parsePerCpu(
  text: string,
  cpus: number,
  stride: number,
  parseOne: (text: string) => Outcome<Uint8Array>,
): Outcome<Uint8Array> {
  const all = new Uint8Array(cpus * stride);
  const listed: unknown = text.startsWith('[') ? JSON.parse(text) : undefined;
  const parts =
    Array.isArray(listed) && listed.length === cpus
      ? listed.map((part) => JSON.stringify(part))
      : Array.from({ length: cpus }, () => text);
  for (const [cpu, part] of parts.entries()) {
    const parsed = parseOne(part);
    if (!parsed.ok) return parsed;
    all.set(parsed.value, cpu * stride);
  }
  return succeed(all);
}
