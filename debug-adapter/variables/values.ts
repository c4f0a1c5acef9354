/** Typed bytes as rows: structs and arrays open into their members, leaves can be written. */
import { setValue } from '../../toolchain/btf/encode';
import { format } from '../../toolchain/btf/format';
import { childrenOf, decode, decodeBytes, valueAt, type Value } from '../../toolchain/btf/value';
import type { Types } from '../../toolchain/btf/btf';
import { cannotSet } from '../errors';
import { PAGE, type VariableNode } from './node';

/** Where the bytes of a tree live in the kernel. */
export interface Home {
  path: string;
  /** Expression for the root, e.g. `counts[3]`; absent when none can be written. */
  expression?: string;
  btf: Types | undefined;
  /** 0: without a type, bytes. */
  type: number;
  /** Counts refreshes: rows made before the last one read again before they open. */
  epoch?: () => number;
  /** The bytes as they are now; undefined when they are gone. */
  read(): Promise<Uint8Array | undefined>;
  /** Absent: `readOnly` says why. */
  write?(bytes: Uint8Array): Promise<void>;
  readOnly?: string;
}

/** The root of a tree over `bytes`, which were read from `home` a moment ago. */
export function rootNode(home: Home, name: string, bytes: Uint8Array): VariableNode {
  return { ...valueNode(home, rootValue(home, name, bytes)), name };
}

export function rootValue(home: Home, name: string, bytes: Uint8Array): Value {
  return home.btf && home.type !== 0
    ? decode(home.btf, home.type, bytes, { name })
    : decodeBytes(bytes, { name });
}

/** A value within the tree. */
export function valueNode(home: Home, value: Value): VariableNode {
  const opens = value.childCount > 0 && value.kind !== 'text' && value.kind !== 'opaque';
  const expression = home.expression === undefined ? undefined : home.expression + value.path;
  const node: VariableNode = {
    path: home.path + value.path,
    name: value.name,
    value: format(value),
    type: value.type,
    memory: async () => {
      const bytes = await home.read();
      return bytes?.subarray(value.offset, value.offset + value.size);
    },
  };
  // Unnamed unions have no expression of their own, their members do.
  if (expression !== undefined && !value.name.startsWith('<')) node.evaluateName = expression;
  if (opens) {
    const born = home.epoch?.();
    node.children = async (start, count) => {
      const current = home.epoch?.() === born ? value : await readAgain(home, value);
      return childrenOf(current, start ?? 0, count).map((child) => valueNode(home, child));
    };
    if (value.kind === 'array' && value.childCount > PAGE) node.indexed = value.childCount;
  }
  if (home.write) node.assign = (text) => assign(home, value, text);
  else if (home.readOnly !== undefined) node.readOnly = home.readOnly;
  return node;
}

async function readAgain(home: Home, value: Value): Promise<Value> {
  const bytes = await home.read();
  return (bytes && valueAt(rootValue(home, '', bytes), value.path)) ?? value;
}

/**
 * Writes one value of the tree. The root is read again first, so that what the program changed beside it in the
 * meantime is kept; the kernel has no way to write a part of a map's value.
 */
async function assign(home: Home, value: Value, text: string): Promise<VariableNode> {
  const current = await home.read();
  if (!current) throw cannotSet(`${value.name} cannot be set: its map entry no longer exists.`);
  const fresh = valueAt(rootValue(home, '', current), value.path) ?? value;
  const changed = setValue({ ...fresh, source: { ...fresh.source, bytes: current.slice() } }, text);
  if (!changed.ok)
    throw cannotSet(`${value.name} cannot be set: ${changed.problem.message} ${changed.problem.hint}`);
  await home.write!(changed.value);
  const after = (await home.read()) ?? changed.value;
  return valueNode(home, valueAt(rootValue(home, value.name, after), value.path) ?? value);
}

/** Bytes of a value as an unsigned little-endian number, for ids and counters. */
export function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);
}
