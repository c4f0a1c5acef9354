/** What holds of types wherever they are kept: in BTF, in DWARF read as BTF, or made up for an expression. */
import type { BtfType } from './kinds';

/** No type of the C programs BTF describes is nested deeper; a longer chain of modifiers is a cycle. */
export const MAX_DEPTH = 64;

interface TypesById {
  type(id: number): BtfType;
}

/** Without typedefs, const, volatile, restrict and type tags. A cycle of them ends as void. */
export function resolveType(types: TypesById, id: number): BtfType {
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const type = types.type(id);
    switch (type.kind) {
      case 'typedef':
      case 'volatile':
      case 'const':
      case 'restrict':
      case 'type_tag':
        id = type.type;
        break;
      default:
        return type;
    }
  }
  return { id: 0, kind: 'void', name: '' };
}

/** Bytes of a value of the type; 0 for void, functions and incomplete types. Pointers have 8: BPF is 64-bit. */
export function sizeOfType(types: TypesById, id: number, depth = 0): number {
  const type = resolveType(types, id);
  if (depth > MAX_DEPTH) return 0;
  if (type.kind === 'ptr') return 8;
  if (type.kind === 'array') return type.count * sizeOfType(types, type.element, depth + 1);
  if (type.kind === 'var') return sizeOfType(types, type.type, depth + 1);
  return 'size' in type ? type.size : 0;
}
