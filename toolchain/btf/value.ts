/**
 * A typed view of bytes: a tree whose children are made when somebody opens them, each with a path that stays
 * the same from one reading of the bytes to the next.
 */
import { MAX_DEPTH } from './resolve';
import type { Types } from './btf';
import type { Member } from './kinds';
import { typeName } from './spell';
import { opaqueTypes, isKernelPointer } from './opaque';

export type ValueKind =
  | 'int'
  | 'bool'
  | 'char'
  | 'float'
  | 'enum'
  | 'pointer'
  | 'struct'
  | 'union'
  | 'array'
  /** An array of `char`. */
  | 'text'
  /** DATASEC: the global variables of a section. */
  | 'section'
  /** Bytes without a type. */
  | 'bytes'
  /** A field the kernel keeps for itself and shows to nobody: locks, timers, list heads, kptrs. */
  | 'opaque'
  /** The bytes end before this value does. */
  | 'missing'
  | 'void';

/** What all values of one tree share. */
export interface ValueSource {
  btf: Types | undefined;
  bytes: Uint8Array;
  littleEndian: boolean;
  /** Size of the root's type: a flexible array beyond it takes the bytes that are left. */
  rootSize: number;
}

export interface Value {
  /** As C reaches it from the root: `''`, `.key.saddr`, `.comm[3]`; a union without a name is `.<1>`. */
  path: string;
  /** Member or variable name, `[3]` in arrays. */
  name: string;
  typeId: number;
  /** The type as C spells it. */
  type: string;
  kind: ValueKind;
  /** Bytes from the start of the root. */
  offset: number;
  size: number;
  /** A bitfield: where it lies within the root's bytes. */
  bitfield?: { bitOffset: number; bits: number };
  childCount: number;
  source: ValueSource;
  /** The nearest name that is no index, which tells an address from a number; see addresses.ts. */
  hint: string;
}

export interface DecodeOptions {
  /** Name of the root, e.g. the variable's; also a hint to what an address is. */
  name?: string;
  /** Byte order of the data; the BTF's own when absent. */
  littleEndian?: boolean;
}

/** The root of a value of type `typeId` in `bytes`. Never fails: what does not fit is shown as missing. */
export function decode(btf: Types, typeId: number, bytes: Uint8Array, options: DecodeOptions = {}): Value {
  const littleEndian = options.littleEndian ?? btf.littleEndian;
  const source = { btf, bytes, littleEndian, rootSize: btf.sizeOf(typeId) };
  return make(source, typeId, { path: '', name: options.name ?? '', hint: options.name ?? '', offset: 0 });
}

const ROW = 16;

/** Bytes of which no type is known: hexadecimal, with what they would be as an integer of that size. */
export function decodeBytes(bytes: Uint8Array, options: DecodeOptions = {}): Value {
  const source = {
    btf: undefined,
    bytes,
    littleEndian: options.littleEndian ?? true,
    rootSize: bytes.length,
  };
  return bytesNode(source, '', options.name ?? '', 0, bytes.length);
}

/** Children `start` to `start + count` of a value, in order; all without a range. */
export function childrenOf(value: Value, start = 0, count = Number.MAX_SAFE_INTEGER): Value[] {
  const end = Math.min(value.childCount, start + count);
  const children: Value[] = [];
  if (value.kind === 'bytes') {
    for (let row = start; row < end; row++) children.push(bytesRow(value, row));
    return children;
  }
  const { btf } = value.source;
  if (!btf || end <= start) return children;
  const type = btf.resolve(value.typeId);
  if (type.kind === 'array') {
    const size = btf.sizeOf(type.element);
    for (let index = start; index < end; index++) {
      const offset = value.offset + index * size;
      children.push(
        make(value.source, type.element, {
          path: `${value.path}[${index}]`,
          name: `[${index}]`,
          hint: value.hint,
          offset,
        }),
      );
    }
  } else if (type.kind === 'struct' || type.kind === 'union') {
    for (const slot of KnownTypes.in(btf).slots(type.id).slice(start, end))
      children.push(memberNode(value, slot));
  } else if (type.kind === 'datasec') {
    for (const { type: id, offset } of type.variables.slice(start, end)) {
      const variable = btf.type(id);
      const place = { path: `${value.path}.${variable.name}`, name: variable.name, hint: variable.name };
      const target = variable.kind === 'var' ? variable.type : id;
      children.push(make(value.source, target, { ...place, offset: value.offset + offset }));
    }
  }
  return children;
}

/**
 * The value at a path as {@link Value.path} gives it, or as C would write it: members of unnamed structs and
 * unions are reached without naming those. Undefined if there is none.
 */
export function valueAt(root: Value, path: string): Value | undefined {
  let value: Value | undefined = root;
  const pattern = /\.([A-Za-z_$][\w$.]*?|<\d+>)(?=[.[]|$)|\[(\d+)\]/gy;
  let at = 0;
  for (const match of path.matchAll(pattern)) {
    if (!value) return undefined;
    at = match.index + match[0].length;
    value =
      match[2] === undefined ? memberNamed(value, match[1] as string, 0) : elementAt(value, Number(match[2]));
  }
  return at === path.length ? value : undefined;
}

/** Bytes of the value itself; those of a bitfield include its neighbours'. */
export function bytesOf(value: Value): Uint8Array {
  return value.source.bytes.subarray(value.offset, value.offset + value.size);
}

interface Slot {
  member: Member;
  /** Bits from the start of the outer struct. */
  bitOffset: number;
  /** Position among the outer struct's own members, the name of a union that has none. */
  index: number;
}

/** What is found out about types once, since a condition looks at the same ones at a million steps. */
class KnownTypes {
  private static readonly of = new WeakMap<Types, KnownTypes>();
  private readonly names = new Map<number, string>();
  private readonly members = new Map<number, readonly Slot[]>();

  private constructor(private readonly btf: Types) {}

  static in(btf: Types): KnownTypes {
    let known = KnownTypes.of.get(btf);
    if (!known) KnownTypes.of.set(btf, (known = new KnownTypes(btf)));
    return known;
  }

  name(id: number): string {
    let name = this.names.get(id);
    if (name === undefined) this.names.set(id, (name = typeName(this.btf, id)));
    return name;
  }

  slots(id: number): readonly Slot[] {
    let found = this.members.get(id);
    if (!found) this.members.set(id, (found = slotsOf(this.btf, id)));
    return found;
  }
}

/** A struct's members, those of unnamed structs within it drawn up as C does; unnamed unions stay together. */
function slotsOf(btf: Types, id: number, base = 0, depth = 0): Slot[] {
  const type = btf.type(id);
  if ((type.kind !== 'struct' && type.kind !== 'union') || depth > MAX_DEPTH) return [];
  return type.members.flatMap((member, index) => {
    const bitOffset = base + member.bitOffset;
    const inner = member.name ? undefined : btf.resolve(member.type);
    const drawnUp = inner?.kind === 'struct' && type.kind === 'struct' && inner.id !== id;
    // Padding bitfields have no name and nothing to show.
    if (!member.name && inner?.kind !== 'struct' && inner?.kind !== 'union') return [];
    return drawnUp ? slotsOf(btf, inner.id, bitOffset, depth + 1) : [{ member, bitOffset, index }];
  });
}

function memberNode(parent: Value, { member, bitOffset, index }: Slot): Value {
  const outer = transparentPath(parent);
  const place = {
    path: `${outer}.${member.name || `<${index}>`}`,
    name: member.name || `<${parent.source.btf?.resolve(member.type).kind ?? 'union'}>`,
    hint: member.name || parent.hint,
    offset: parent.offset + (bitOffset >> 3),
  };
  const bitfield = member.bitSize
    ? { bitOffset: parent.offset * 8 + bitOffset, bits: member.bitSize }
    : undefined;
  return make(parent.source, member.type, place, bitfield);
}

/** C names the members of an unnamed union without it, so its own `.<1>` does not occur in their paths. */
function transparentPath(value: Value): string {
  return value.path.replace(/(\.<\d+>)+$/, '');
}

function memberNamed(value: Value, name: string, depth: number): Value | undefined {
  if (depth > MAX_DEPTH) return undefined;
  const children = value.kind === 'array' || value.kind === 'text' ? [] : childrenOf(value);
  const direct = children.find((child) => child.name === name || child.path.endsWith(`.${name}`));
  if (direct) return direct;
  for (const child of children) {
    const found = child.name.startsWith('<') && memberNamed(child, name, depth + 1);
    if (found) return found;
  }
  return undefined;
}

function elementAt(value: Value, index: number): Value | undefined {
  return value.kind === 'array' || value.kind === 'text' ? childrenOf(value, index, 1)[0] : undefined;
}

interface Place {
  path: string;
  name: string;
  hint: string;
  offset: number;
}

function make(source: ValueSource, typeId: number, place: Place, bitfield?: Value['bitfield']): Value {
  const btf = source.btf as Types;
  const known = KnownTypes.in(btf);
  const type = btf.resolve(typeId);
  const value: Value = {
    ...place,
    typeId,
    type: known.name(typeId),
    kind: 'void',
    size: bitfield ? ((bitfield.bitOffset & 7) + bitfield.bits + 7) >> 3 : btf.sizeOf(typeId),
    childCount: 0,
    source,
  };
  if (bitfield) value.bitfield = bitfield;
  if (value.offset + value.size > source.bytes.length) return { ...value, kind: 'missing' };
  switch (type.kind) {
    case 'int':
      value.kind = type.bool ? 'bool' : isChar(type) ? 'char' : 'int';
      if (type.bits && type.bits !== type.size * 8 && !bitfield) {
        value.bitfield = { bitOffset: value.offset * 8 + type.bitOffset, bits: type.bits };
      }
      break;
    case 'float':
      value.kind = type.size === 4 || type.size === 8 ? 'float' : 'bytes';
      break;
    case 'enum':
    case 'enum64':
      value.kind = 'enum';
      break;
    case 'ptr':
      value.kind = isKernelPointer(btf, type.type) ? 'opaque' : 'pointer';
      break;
    case 'struct':
    case 'union':
      value.kind = opaqueTypes.has(type.name) ? 'opaque' : type.kind;
      if (value.kind !== 'opaque') value.childCount = known.slots(type.id).length;
      break;
    case 'array': {
      const element = btf.resolve(type.element);
      const elementSize = btf.sizeOf(type.element);
      value.kind = isChar(element) ? 'text' : 'array';
      value.childCount = type.count;
      // A flexible array member has whatever follows the struct.
      if (type.count === 0 && elementSize > 0 && value.offset >= source.rootSize) {
        value.childCount = Math.floor((source.bytes.length - value.offset) / elementSize);
        value.size = value.childCount * elementSize;
      }
      break;
    }
    case 'datasec':
      value.kind = 'section';
      value.childCount = type.variables.length;
      break;
    default:
      value.kind = 'void';
  }
  return value;
}

function isChar(type: { kind: string; name?: string; size?: number; char?: boolean }): boolean {
  return type.kind === 'int' && type.size === 1 && (type.name === 'char' || type.char === true);
}

function bytesNode(source: ValueSource, path: string, name: string, offset: number, size: number): Value {
  const childCount = path === '' && size > ROW ? Math.ceil(size / ROW) : 0;
  return {
    path,
    name,
    typeId: 0,
    type: 'bytes',
    kind: 'bytes',
    offset,
    size,
    childCount,
    source,
    hint: name,
  };
}

function bytesRow(value: Value, row: number): Value {
  const offset = row * ROW;
  const size = Math.min(ROW, value.size - offset);
  return bytesNode(value.source, `[${offset}]`, `[${offset}]`, value.offset + offset, size);
}
