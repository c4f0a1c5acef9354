/** Values of which a run may have shown only a part: rows of the Variables view that say so. */
import type { Types } from '../../toolchain/btf/btf';
import { format } from '../../toolchain/btf/format';
import { setValue } from '../../toolchain/btf/encode';
import { childrenOf, decode, decodeBytes } from '../../toolchain/btf/value';
import type { Value } from '../../toolchain/btf/value';
import { cannotSet } from '../errors';
import { PAGE } from '../variables/node';
import type { VariableNode } from '../variables/node';
import type { KnownMemory } from './known-memory';

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
  /** Where pointers lead, and how what the run was given is changed. */
  memory?: KnownMemory;
  /** What is said of bytes that are not known. */
  unknown?: string;
}

export const NOT_SHOWN = 'not known at this step';
/** Of the kernel's own memory. */
const NOT_READ = 'not read by the program';
const OVER =
  'it is what the program computed in a run that is over; set what the run was given instead: the packet, a field of the context, or a map or global variable at its beginning';

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
    value: complete
      ? describe(tree, value)
      : seen.includes(1) && opens
        ? 'known in parts'
        : (tree.unknown ?? NOT_SHOWN),
    ...(complete ? brief(tree, value) : { brief: '' }),
    type: value.type,
    ...setting(tree, value),
  };
  if (tree.expression !== undefined && !value.name.startsWith('<'))
    row.evaluateName = tree.expression + value.path;
  if (seen.includes(1))
    row.memory = async () => ({
      bytes: tree.bytes.subarray(value.offset, value.offset + value.size),
      known: seen,
    });
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

/** A value in a line; of a pointer first what it leads to, for a side bar is narrow: `→ packet+14 (0xffff…)`. */
function describe(tree: Tree, value: Value): string {
  const text = format(value);
  const where = value.kind === 'pointer' ? tree.memory?.describe(numberAt(tree, value)) : undefined;
  return where === undefined ? text : `→ ${where} (${text})`;
}

/** Beside the code an address is noise, and what it leads to is the news. */
function brief(tree: Tree, value: Value): Pick<VariableNode, 'brief'> {
  const address = value.kind === 'pointer' ? numberAt(tree, value) : 0n;
  if (address === 0n) return {};
  const where = tree.memory?.describe(address);
  return { brief: where === undefined ? '' : `→ ${where}` };
}

/** How a value is set, or why it is not. */
function setting(tree: Tree, value: Value): Pick<VariableNode, 'assign' | 'readOnly'> {
  const { address, memory } = tree;
  const set =
    address === undefined ? undefined : memory?.setter?.(address + BigInt(value.offset), value.size);
  if (!set) return { readOnly: OVER };
  return {
    assign: async (text) => {
      const bytes = tree.bytes.slice();
      const fresh = { ...value, source: { ...value.source, bytes } };
      const changed = setValue(fresh, text);
      if (!changed.ok)
        throw cannotSet(`${value.name} cannot be set: ${changed.problem.message} ${changed.problem.hint}`);
      const { offset, size } = value;
      await set(
        changed.value.slice(offset, offset + size),
        tree.expression === undefined ? value.name : tree.expression + value.path,
      );
      return node(
        { ...tree, bytes: changed.value },
        { ...value, source: { ...value.source, bytes: changed.value } },
      );
    },
  };
}

/** What a pointer leads to, if its type has a size and the run has shown any of it. */
function pointee(tree: Tree, pointer: Value): (() => VariableNode) | undefined {
  const { types, memory } = tree;
  const type = types?.resolve(pointer.typeId);
  if (!types || !memory || type?.kind !== 'ptr') return undefined;
  const size = types.sizeOf(type.type);
  if (size === 0) return undefined;
  const address = numberAt(tree, pointer);
  const shown = memory.read(address, size);
  if (!shown.known.includes(1)) return undefined;
  return () => {
    const path = `${tree.path}${pointer.path}/*`;
    const { expression: outer, bitfield: _, ...rest } = tree;
    const expression = outer === undefined ? {} : { expression: `(*${outer}${pointer.path})` };
    const unknown = memory.describe(address) === undefined ? NOT_READ : NOT_SHOWN;
    return shownNode(
      { ...rest, ...shown, ...expression, path, type: type.type, address, unknown },
      `*${pointer.name}`,
    );
  };
}

function numberAt({ bytes }: Shown, { offset, size }: Value): bigint {
  return bytes.subarray(offset, offset + size).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
