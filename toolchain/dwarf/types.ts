/** C types as DWARF describes them. */
import { Attribute, Tag } from './constants';
import type { Die } from './unit';

/** Position of a type's entry in `.debug_info`; 0 is void. */
export type TypeId = number;

export interface MemberType {
  /** Empty for an anonymous struct or union. */
  name: string;
  type: TypeId;
  /** From the start of the whole, in bits; little-endian counting for bitfields. */
  bitOffset: number;
  /** Width of a bitfield; 0 for any other member. */
  bitSize: number;
}

export type DwarfType =
  | { kind: 'void' }
  | { kind: 'base'; name: string; size: number; encoding: 'signed' | 'unsigned' | 'boolean' | 'float' }
  | { kind: 'pointer'; to: TypeId }
  | { kind: 'struct' | 'union'; name: string; size: number; members: MemberType[] }
  /** A count of 0 is one of unknown length. */
  | { kind: 'array'; element: TypeId; counts: number[] }
  | { kind: 'enum'; name: string; size: number; enumerators: { name: string; value: bigint }[] }
  | { kind: 'typedef'; name: string; type: TypeId }
  | { kind: 'const' | 'volatile' | 'restrict' | 'atomic'; type: TypeId }
  | { kind: 'function'; returns: TypeId; parameters: TypeId[] }
  | { kind: 'unknown'; tag: number };

const SIGNED = new Set([0x05, 0x06, 0x0d]);
const qualifiers: Record<number, 'const' | 'volatile' | 'restrict' | 'atomic'> = {
  [Tag.ConstType]: 'const',
  [Tag.VolatileType]: 'volatile',
  [Tag.RestrictType]: 'restrict',
  [Tag.AtomicType]: 'atomic',
};

export function readType(die: Die): DwarfType {
  const name = die.string(Attribute.Name);
  const size = die.number(Attribute.ByteSize) ?? 0;
  const type = die.reference(Attribute.Type) ?? 0;
  const qualifier = qualifiers[die.tag];
  if (qualifier) return { kind: qualifier, type };
  switch (die.tag) {
    case Tag.BaseType:
      return { kind: 'base', name, size, encoding: encodingOf(die.number(Attribute.Encoding) ?? 0) };
    case Tag.PointerType:
      return { kind: 'pointer', to: type };
    case Tag.StructureType:
    case Tag.UnionType:
      return {
        kind: die.tag === Tag.UnionType ? 'union' : 'struct',
        name,
        size,
        members: die.children.filter(({ tag }) => tag === Tag.Member).map(readMember),
      };
    case Tag.ArrayType:
      return {
        kind: 'array',
        element: type,
        counts: die.children.filter(({ tag }) => tag === Tag.SubrangeType).map(countOf),
      };
    case Tag.EnumerationType:
      return {
        kind: 'enum',
        name,
        size,
        enumerators: die.children
          .filter(({ tag }) => tag === Tag.Enumerator)
          .map((one) => ({
            name: one.string(Attribute.Name),
            value: one.integer(Attribute.ConstValue) ?? 0n,
          })),
      };
    case Tag.Typedef:
      return { kind: 'typedef', name, type };
    case Tag.SubroutineType:
      return {
        kind: 'function',
        returns: type,
        parameters: die.children
          .filter(({ tag }) => tag === Tag.FormalParameter)
          .map((one) => one.reference(Attribute.Type) ?? 0),
      };
    default:
      return { kind: 'unknown', tag: die.tag };
  }
}

function readMember(die: Die): MemberType {
  const bitSize = die.number(Attribute.BitSize) ?? 0;
  const bytes = die.number(Attribute.DataMemberLocation) ?? 0;
  const member = { name: die.string(Attribute.Name), type: die.reference(Attribute.Type) ?? 0, bitSize };
  const dataBitOffset = die.number(Attribute.DataBitOffset);
  if (dataBitOffset !== undefined) return { ...member, bitOffset: dataBitOffset };
  const fromTop = die.number(Attribute.BitOffset);
  if (!bitSize || fromTop === undefined) return { ...member, bitOffset: bytes * 8 };
  // Up to DWARF 3: counted from the highest bit of a storage unit of so many bytes.
  const unitBits = (die.number(Attribute.ByteSize) ?? 4) * 8;
  return { ...member, bitOffset: bytes * 8 + unitBits - fromTop - bitSize };
}

function countOf(die: Die): number {
  const count = die.number(Attribute.Count);
  if (count !== undefined) return count;
  const upper = die.number(Attribute.UpperBound);
  return upper === undefined ? 0 : upper + 1;
}

/** DW_ATE_*: boolean 2, float 4, signed 5, signed_char 6, unsigned 7, unsigned_char 8, UTF 0x10. */
function encodingOf(encoding: number): 'signed' | 'unsigned' | 'boolean' | 'float' {
  if (encoding === 2) return 'boolean';
  if (encoding === 4) return 'float';
  return SIGNED.has(encoding) ? 'signed' : 'unsigned';
}
