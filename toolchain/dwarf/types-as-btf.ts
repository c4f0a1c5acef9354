/**
 * DWARF's types in the shape of BTF's, so that one reader of values serves both. BTF has the types of maps, globals and
 * functions; those of local variables are in DWARF alone.
 */
import type { Types } from '../btf/btf';
import { resolveType, sizeOfType } from '../btf/resolve';
import { Kind, kindNames } from '../btf/kinds';
import type { BtfType } from '../btf/kinds';
import type { Dwarf } from './dwarf';
import type { TypeId } from './types';

/** DWARF has one type for all dimensions of an array, BTF one for each; ids of the inner ones begin here. */
const FIRST_INNER = 2 ** 40;

export class DwarfTypes implements Types {
  private readonly cache = new Map<TypeId, BtfType>();
  private readonly inner: { element: TypeId; counts: number[] }[] = [];

  constructor(
    private readonly dwarf: Dwarf,
    readonly littleEndian: boolean,
  ) {}

  type(id: TypeId): BtfType {
    let type = this.cache.get(id);
    if (!type) {
      type = this.read(id);
      this.cache.set(id, type);
    }
    return type;
  }

  kindOf(id: TypeId): Kind {
    const index = kindNames.indexOf(this.type(id).kind);
    return (index < 0 ? Kind.Void : index) as Kind;
  }

  resolve(id: TypeId): BtfType {
    return resolveType(this, id);
  }

  sizeOf(id: TypeId): number {
    return sizeOfType(this, id);
  }

  private read(id: TypeId): BtfType {
    if (id >= FIRST_INNER) {
      const { element, counts } = this.inner[id - FIRST_INNER] ?? { element: 0, counts: [0] };
      return this.array(id, element, counts);
    }
    const type = this.dwarf.type(id);
    switch (type.kind) {
      case 'base':
        if (type.encoding === 'float') return { id, kind: 'float', name: type.name, size: type.size };
        return {
          id,
          kind: 'int',
          name: type.name,
          size: type.size,
          signed: type.encoding === 'signed',
          bool: type.encoding === 'boolean',
          char: type.name === 'char',
          bits: type.size * 8,
          bitOffset: 0,
        };
      case 'pointer':
        return { id, kind: 'ptr', name: '', type: type.to };
      case 'struct':
      case 'union':
        return { id, kind: type.kind, name: type.name, size: type.size, members: type.members };
      case 'array':
        return this.array(id, type.element, type.counts);
      case 'enum':
        return {
          id,
          kind: type.size > 4 ? 'enum64' : 'enum',
          name: type.name,
          size: type.size,
          signed: type.enumerators.some(({ value }) => value < 0n),
          enumerators: type.enumerators,
        };
      case 'typedef':
        return { id, kind: 'typedef', name: type.name, type: type.type };
      case 'const':
      case 'volatile':
      case 'restrict':
        return { id, kind: type.kind, name: '', type: type.type };
      case 'atomic':
        return { id, kind: 'volatile', name: '', type: type.type };
      case 'function':
        return {
          id,
          kind: 'func_proto',
          name: '',
          returns: type.returns,
          parameters: type.parameters.map((parameter) => ({ name: '', type: parameter })),
        };
      default:
        return { id: 0, kind: 'void', name: '' };
    }
  }

  private array(id: TypeId, element: TypeId, counts: number[]): BtfType {
    const [count = 0, ...rest] = counts;
    if (rest.length === 0) return { id, kind: 'array', name: '', element, index: 0, count };
    this.inner.push({ element, counts: rest });
    return { id, kind: 'array', name: '', element: FIRST_INNER + this.inner.length - 1, index: 0, count };
  }
}
