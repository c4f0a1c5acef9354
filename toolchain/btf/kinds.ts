/** BTF's numbers: include/uapi/linux/btf.h. */
export const BTF_MAGIC = 0xeb9f;

export const Kind = {
  Void: 0,
  Int: 1,
  Ptr: 2,
  Array: 3,
  Struct: 4,
  Union: 5,
  Enum: 6,
  Fwd: 7,
  Typedef: 8,
  Volatile: 9,
  Const: 10,
  Restrict: 11,
  Func: 12,
  FuncProto: 13,
  Var: 14,
  Datasec: 15,
  Float: 16,
  DeclTag: 17,
  TypeTag: 18,
  Enum64: 19,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

export const kindNames = [
  'void',
  'int',
  'ptr',
  'array',
  'struct',
  'union',
  'enum',
  'fwd',
  'typedef',
  'volatile',
  'const',
  'restrict',
  'func',
  'func_proto',
  'var',
  'datasec',
  'float',
  'decl_tag',
  'type_tag',
  'enum64',
] as const;

/** `btf_member`, bit offset and bitfield width taken apart. */
export interface Member {
  /** Empty for anonymous members. */
  name: string;
  type: number;
  /** Bits from the start of the struct. */
  bitOffset: number;
  /** Width of a bitfield in bits; 0 for an ordinary member. */
  bitSize: number;
}
export interface Enumerator {
  name: string;
  value: bigint;
}
export interface Parameter {
  name: string;
  /** 0 with an empty name: variadic. */
  type: number;
}
export interface SectionVariable {
  /** Type id of a VAR (or FUNC, in `.ksyms`). */
  type: number;
  offset: number;
  size: number;
}

interface Named {
  id: number;
  name: string;
}
/** A type of one kind. */
export type TypeOfKind<K extends BtfType['kind']> = BtfType & { kind: K };

/** One type, taken out of its packed form. */
export type BtfType =
  | (Named & { kind: 'void' })
  | (Named & {
      kind: 'int';
      size: number;
      signed: boolean;
      bool: boolean;
      char: boolean;
      /** Bits of the value; less than `8 * size` for old compilers' bitfields. */
      bits: number;
      bitOffset: number;
    })
  | (Named & { kind: 'ptr' | 'typedef' | 'volatile' | 'const' | 'restrict'; type: number })
  /** `name` is the tag's text, as in `__attribute__((btf_type_tag("user")))`. */
  | (Named & { kind: 'type_tag'; type: number })
  | (Named & { kind: 'array'; element: number; index: number; count: number })
  | (Named & { kind: 'struct' | 'union'; size: number; members: Member[] })
  | (Named & { kind: 'enum' | 'enum64'; size: number; signed: boolean; enumerators: Enumerator[] })
  | (Named & { kind: 'fwd'; union: boolean })
  | (Named & { kind: 'func'; type: number; linkage: 'static' | 'global' | 'extern' })
  | (Named & { kind: 'func_proto'; returns: number; parameters: Parameter[] })
  | (Named & { kind: 'var'; type: number; linkage: 'static' | 'global' | 'extern' })
  | (Named & { kind: 'datasec'; size: number; variables: SectionVariable[] })
  | (Named & { kind: 'float'; size: number })
  | (Named & { kind: 'decl_tag'; type: number; component: number });
