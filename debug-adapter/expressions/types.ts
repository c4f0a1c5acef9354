/**
 * All types that an expression can be of, under one numbering: those of the program's DWARF, those of its BTF, and what
 * expressions make of them, such as pointers to them. Sizes and conversions are those of BPF's C: int has 32 bits, long
 * and pointers have 64, and plain char is signed.
 */
import { resolveType, sizeOfType } from '../../toolchain/btf/resolve';
import type { Btf, Types } from '../../toolchain/btf/btf';
import { kindNames } from '../../toolchain/btf/kinds';
import type { BtfType, Kind } from '../../toolchain/btf/kinds';
import type { Dwarf } from '../../toolchain/dwarf/dwarf';
import type { DwarfTypes } from '../../toolchain/dwarf/types-as-btf';
import type { TypeSyntax } from './syntax';

/** Number of a type in {@link TypeSpace}. */
export type TypeNumber = number;

/** Each part's own ids stay below this. */
const STRIDE = 2 ** 42;

/** Where types come from. */
interface Part {
  types: Types;
  find(kind: TypeSyntax['base']['kind'], name: string): number | undefined;
  /** Ids of enumerations. */
  enums(): Iterable<number>;
}

export interface Enumeration {
  value: bigint;
  type: TypeNumber;
}

export class TypeSpace implements Types {
  private readonly parts: Part[] = [];
  /** Types that expressions have made; their number is their place in the list. */
  private readonly made: BtfType[] = [{ id: 0, kind: 'void', name: '' }];
  private readonly numbers = new Map<string, TypeNumber>();
  private readonly cache = new Map<TypeNumber, BtfType>();
  private enumerators: Map<string, Enumeration> | undefined;
  private readonly dwarf: Dwarf | undefined;

  constructor(
    readonly littleEndian: boolean,
    dwarf: { dwarf: Dwarf; types: DwarfTypes } | undefined,
    btf: Btf | undefined,
  ) {
    this.dwarf = dwarf?.dwarf;
    if (dwarf) this.parts.push(dwarfPart(dwarf.dwarf, dwarf.types));
    if (btf) this.parts.push(btfPart(btf));
  }

  /** The number of a type of the program's DWARF or BTF; undefined for types that are not among them. */
  numberOf(types: Types | undefined, id: number): TypeNumber | undefined {
    const part = this.parts.findIndex((candidate) => candidate.types === types);
    return part < 0 ? undefined : this.translate(part, id);
  }

  type(number: TypeNumber): BtfType {
    const part = Math.floor(number / STRIDE) - 1;
    if (part < 0) return this.made[number] ?? { id: 0, kind: 'void', name: '' };
    let type = this.cache.get(number);
    if (!type) {
      const own = this.parts[part]?.types.type(number % STRIDE) ?? { id: 0, kind: 'void', name: '' };
      type = this.translated(part, number, own);
      this.cache.set(number, type);
    }
    return type;
  }

  kindOf(number: TypeNumber): Kind {
    return Math.max(0, kindNames.indexOf(this.type(number).kind)) as Kind;
  }

  resolve(number: TypeNumber): BtfType {
    return resolveType(this, number);
  }

  sizeOf(number: TypeNumber): number {
    return sizeOfType(this, number);
  }

  /** `unsigned int`, `signed char`, …: of 1, 2, 4 or 8 bytes. */
  integer(size: number, signed: boolean, name = INTEGERS[size * (signed ? -1 : 1)] ?? 'long'): TypeNumber {
    return this.make(`${name}`, {
      id: 0,
      kind: 'int',
      name,
      size,
      signed,
      bool: name === '_Bool',
      char: name === 'char',
      bits: size * 8,
      bitOffset: 0,
    });
  }

  pointerTo(target: TypeNumber): TypeNumber {
    return this.make(`*${target}`, { id: 0, kind: 'ptr', name: '', type: target });
  }

  arrayOf(element: TypeNumber, count: number): TypeNumber {
    return this.make(`${element}[${count}]`, { id: 0, kind: 'array', name: '', element, index: 0, count });
  }

  /** The type that somebody wrote; undefined when the program has none of its name. */
  find({ base, derived }: TypeSyntax): TypeNumber | undefined {
    const found = this.named(base.kind, base.name);
    return derived.reduceRight<TypeNumber | undefined>(
      (type, step) => (type === undefined || step.kind === 'pointer' ? type : this.arrayOf(type, step.count)),
      derived.reduce<TypeNumber | undefined>(
        (type, step) => (type === undefined || step.kind === 'array' ? type : this.pointerTo(type)),
        found,
      ),
    );
  }

  named(kind: TypeSyntax['base']['kind'], name: string): TypeNumber | undefined {
    const arithmetic = kind === 'name' ? arithmeticType(name) : undefined;
    if (arithmetic === 'void') return 0;
    if (arithmetic) return this.integer(arithmetic.size, arithmetic.signed, arithmetic.name);
    for (const [part, { find }] of this.parts.entries()) {
      const id = find(kind, name);
      if (id !== undefined) return this.translate(part, id);
    }
    const fixed = kind === 'name' ? FIXED[name] : undefined;
    return fixed && this.integer(fixed.size, fixed.signed);
  }

  /** The definition of a structure that is only declared where it was met: BTF and DWARF may each have it alone. */
  complete(number: TypeNumber): TypeNumber {
    const type = this.resolve(number);
    const isDeclared = (type.kind === 'struct' || type.kind === 'union') && type.size === 0;
    if (type.kind !== 'fwd' && !isDeclared) return number;
    const kind = type.kind === 'fwd' ? (type.union ? 'union' : 'struct') : type.kind;
    return (type.name && this.named(kind, type.name)) || number;
  }

  /** What a macro without parameters stands for. */
  macro(name: string): string | undefined {
    return this.dwarf?.macros.get(name);
  }

  /** An enumerator by its name, which in C stands alone. */
  enumerator(name: string): Enumeration | undefined {
    this.enumerators ??= this.readEnumerators();
    return this.enumerators.get(name);
  }

  private readEnumerators(): Map<string, Enumeration> {
    const found = new Map<string, Enumeration>();
    for (const [part, { types, enums }] of this.parts.entries()) {
      for (const id of enums()) {
        const type = types.type(id);
        if (type.kind !== 'enum' && type.kind !== 'enum64') continue;
        const number = this.translate(part, id);
        for (const { name, value } of type.enumerators)
          if (!found.has(name)) found.set(name, { value, type: number });
      }
    }
    return found;
  }

  private make(key: string, type: BtfType): TypeNumber {
    let number = this.numbers.get(key);
    if (number === undefined) {
      number = this.made.length;
      this.made.push({ ...type, id: number });
      this.numbers.set(key, number);
    }
    return number;
  }

  private translate(part: number, id: number): TypeNumber {
    return id === 0 ? 0 : (part + 1) * STRIDE + id;
  }

  /** A part's type with the ids in it replaced by numbers. */
  private translated(part: number, id: TypeNumber, type: BtfType): BtfType {
    const number = (inner: number) => this.translate(part, inner);
    switch (type.kind) {
      case 'ptr':
      case 'typedef':
      case 'volatile':
      case 'const':
      case 'restrict':
      case 'type_tag':
      case 'var':
      case 'func':
      case 'decl_tag':
        return { ...type, id, type: number(type.type) };
      case 'array':
        return { ...type, id, element: number(type.element) };
      case 'struct':
      case 'union': {
        const members = type.members.map((member) => ({ ...member, type: number(member.type) }));
        return { ...type, id, members };
      }
      case 'func_proto': {
        const parameters = type.parameters.map((one) => ({ ...one, type: number(one.type) }));
        return { ...type, id, returns: number(type.returns), parameters };
      }
      case 'datasec': {
        const variables = type.variables.map((one) => ({ ...one, type: number(one.type) }));
        return { ...type, id, variables };
      }
      default:
        return { ...type, id };
    }
  }
}

const spaces = new WeakMap<object, TypeSpace>();

/** The types of an object, the same ones for all who ask. */
export function typesOf({
  dwarf,
  types,
  btf,
}: {
  dwarf?: Dwarf | undefined;
  types?: DwarfTypes | undefined;
  btf: Btf | undefined;
}): TypeSpace {
  const key = types ?? btf;
  const kept = key && spaces.get(key);
  if (kept) return kept;
  const littleEndian = types?.littleEndian ?? btf?.littleEndian ?? true;
  const made = new TypeSpace(littleEndian, dwarf && types ? { dwarf, types } : undefined, btf);
  if (key) spaces.set(key, made);
  return made;
}

const INTEGERS: Record<number, string> = {
  1: 'unsigned char',
  2: 'unsigned short',
  4: 'unsigned int',
  8: 'unsigned long',
  [-1]: 'signed char',
  [-2]: 'short',
  [-4]: 'int',
  [-8]: 'long',
};

/** What the kernel's and the standard headers define, for programs that have not used them themselves. */
const FIXED: Record<string, { size: number; signed: boolean }> = Object.fromEntries(
  [1, 2, 4, 8].flatMap((size) => {
    const bits = size * 8;
    const unsigned = [`__u${bits}`, `u${bits}`, `uint${bits}_t`, `__be${bits}`, `__le${bits}`];
    const signed = [`__s${bits}`, `s${bits}`, `int${bits}_t`];
    return [
      ...unsigned.map((name) => [name, { size, signed: false }]),
      ...signed.map((name) => [name, { size, signed: true }]),
    ];
  }),
);

/** C's own arithmetic types, their words in any order: C11 6.7.2. Undefined for other names. */
function arithmeticType(name: string): { size: number; signed: boolean; name: string } | 'void' | undefined {
  const words = name.split(/\s+/);
  if (
    !words.every((word) =>
      /^(void|char|short|int|long|signed|unsigned|_Bool|bool|size_t|ssize_t)$/.test(word),
    )
  )
    return undefined;
  const has = (word: string) => words.includes(word);
  if (has('void')) return 'void';
  if (has('_Bool') || has('bool')) return { size: 1, signed: false, name: '_Bool' };
  if (has('size_t')) return { size: 8, signed: false, name: 'unsigned long' };
  if (has('ssize_t')) return { size: 8, signed: true, name: 'long' };
  const signed = !has('unsigned');
  if (has('char') && signed && !has('signed')) return { size: 1, signed, name: 'char' };
  const size = has('char') ? 1 : has('short') ? 2 : has('long') ? 8 : 4;
  const long = words.filter((word) => word === 'long').length > 1 ? ' long' : '';
  return { size, signed, name: `${INTEGERS[signed ? -size : size] ?? ''}${long}` };
}

function dwarfPart(dwarf: Dwarf, types: DwarfTypes): Part {
  return {
    types,
    find: (kind, name) =>
      kind === 'name'
        ? (dwarf.named.find('typedef', name) ?? dwarf.named.find('base', name))
        : dwarf.named.find(kind, name),
    enums: () => dwarf.named.enums,
  };
}

function btfPart(btf: Btf): Part {
  return {
    types: btf,
    find: (kind, name) => {
      if (kind === 'enum') return (btf.find('enum', name) ?? btf.find('enum64', name))?.id;
      if (kind !== 'name') return btf.find(kind, name)?.id;
      return (btf.find('typedef', name) ?? btf.find('int', name))?.id;
    },
    *enums() {
      for (const kind of ['enum', 'enum64'] as const) for (const { id } of btf.ofKind(kind)) yield id;
    },
  };
}
