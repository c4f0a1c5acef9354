/** Values of which a run may have shown only a part: rows of the Variables view that say so. */
import type { Types } from '../../toolchain/btf/btf';
import { format } from '../../toolchain/btf/format';
import { childrenOf, decode, decodeBytes } from '../../toolchain/btf/value';
import type { Value } from '../../toolchain/btf/value';
import { PAGE } from '../variables/node';
import type { VariableNode } from '../variables/node';

/** Bytes, and for each whether the run has shown it. */
export interface Shown {
  bytes: Uint8Array;
  known: Uint8Array;
}

/** What a typed tree is made of. */
export interface Tree extends Shown {
  /** Identity of the rows, see {@link VariableNode.path}. */
  path: string;
  types: Types | undefined;
  /** 0: bytes without a type. */
  type: number;
  /** C expression of the root. */
  expression?: string;
  /** Address of the root, for a memory view. */
  address?: bigint;
  /** The root is a bit-field, in bytes that others share. */
  bitfield?: { bitOffset: number; bits: number };
  /** What a pointer leads to. */
  follow?(address: bigint, size: number): Shown;
}

export const NOT_SHOWN = 'not known at this step';

/** The row of a tree's root. */
export function shownNode(tree: Tree, name: string): VariableNode {
  return { ...node(tree, rootOf(tree, name)), name };
}

function rootOf({ types, type, bytes, bitfield }: Tree, name: string): Value {
  if (!types || type === 0) return decodeBytes(bytes, { name });
  const root = decode(types, type, bytes, { name });
  if (!bitfield) return root;
  // It may have fewer bytes than its type.
  const whole = decode(types, type, new Uint8Array(8), { name });
  return { ...whole, bitfield, size: bytes.length, source: root.source };
}

function node(tree: Tree, value: Value): VariableNode {
  const { known } = tree;
  const seen = known.subarray(value.offset, value.offset + value.size);
  const complete = !seen.includes(0);
  const opens = value.childCount > 0 && value.kind !== 'text' && value.kind !== 'opaque';
  const row: VariableNode = {
    path: tree.path + value.path,
    name: value.name,
    value: complete ? format(value) : seen.includes(1) && opens ? 'known in parts' : NOT_SHOWN,
    type: value.type,
    readOnly: 'it is what the kernel computed in a run that is over',
  };
  if (tree.expression !== undefined && !value.name.startsWith('<'))
    row.evaluateName = tree.expression + value.path;
  if (complete) row.memory = async () => tree.bytes.subarray(value.offset, value.offset + value.size);
  if (opens && seen.includes(1)) {
    row.children = async (start, count) =>
      childrenOf(value, start ?? 0, count).map((child) => node(tree, child));
    if (value.kind === 'array' && value.childCount > PAGE) row.indexed = value.childCount;
  } else if (value.kind === 'pointer' && complete) {
    const target = pointee(tree, value);
    if (target) row.children = async () => [target()];
  }
  return row;
}

/** What a pointer leads to, if its type has a size and the run has shown any of it. */
function pointee(tree: Tree, pointer: Value): (() => VariableNode) | undefined {
  const { types, follow } = tree;
  const type = types?.resolve(pointer.typeId);
  if (!types || !follow || type?.kind !== 'ptr') return undefined;
  const size = types.sizeOf(type.type);
  if (size === 0) return undefined;
  const address = numberAt(tree, pointer);
  const shown = follow(address, size);
  if (!shown.known.includes(1)) return undefined;
  return () => {
    const path = `${tree.path}${pointer.path}/*`;
    const { expression: outer, ...rest } = tree;
    const expression = outer === undefined ? {} : { expression: `(*${outer}${pointer.path})` };
    return shownNode(
      { ...rest, ...shown, ...expression, path, type: type.type, address },
      `*${pointer.name}`,
    );
  };
}

function numberAt({ bytes }: Shown, { offset, size }: Value): bigint {
  return bytes.subarray(offset, offset + size).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
