import { Kind } from './kinds';
import type { BtfType } from './kinds';
import type { Btf } from './btf';

const linkages = ['static', 'global', 'extern'] as const;

/**
 * Takes one type out of its packed form. The parser has checked that the whole record lies within `view`; what
 * it refers to may still be nonsense, which {@link Btf.type} and {@link Btf.string} answer for.
 */
export function readType(
  btf: Btf,
  view: DataView,
  littleEndian: boolean,
  position: number,
  id: number,
): BtfType {
  const u32 = (at: number) => view.getUint32(at, littleEndian);
  const list = <T>(size: number, one: (at: number) => T) =>
    Array.from({ length: count }, (_, index) => one(body + index * size));
  const name = btf.string(u32(position));
  const info = u32(position + 4);
  const sizeOrType = u32(position + 8);
  const count = info & 0xffff;
  const flag = info >>> 31 === 1;
  const body = position + 12;
  switch ((info >>> 24) & 0x1f) {
    case Kind.Int: {
      const encoding = u32(body);
      return {
        id,
        kind: 'int',
        name,
        size: sizeOrType,
        signed: ((encoding >>> 24) & 1) !== 0,
        char: ((encoding >>> 24) & 2) !== 0,
        bool: ((encoding >>> 24) & 4) !== 0,
        bits: encoding & 0xff,
        bitOffset: (encoding >>> 16) & 0xff,
      };
    }
    case Kind.Ptr:
      return { id, kind: 'ptr', name, type: sizeOrType };
    case Kind.Typedef:
      return { id, kind: 'typedef', name, type: sizeOrType };
    case Kind.Volatile:
      return { id, kind: 'volatile', name, type: sizeOrType };
    case Kind.Const:
      return { id, kind: 'const', name, type: sizeOrType };
    case Kind.Restrict:
      return { id, kind: 'restrict', name, type: sizeOrType };
    case Kind.TypeTag:
      return { id, kind: 'type_tag', name, type: sizeOrType };
    case Kind.Array:
      return { id, kind: 'array', name, element: u32(body), index: u32(body + 4), count: u32(body + 8) };
    case Kind.Struct:
    case Kind.Union: {
      const kind = ((info >>> 24) & 0x1f) === Kind.Struct ? 'struct' : 'union';
      const members = list(12, (at) => {
        const type = u32(at + 4);
        const offset = u32(at + 8);
        return flag
          ? { name: btf.string(u32(at)), type, bitOffset: offset & 0xff_ffff, bitSize: offset >>> 24 }
          : { name: btf.string(u32(at)), type, ...legacyBits(btf, type, offset) };
      });
      return { id, kind, name, size: sizeOrType, members };
    }
    case Kind.Enum: {
      const enumerators = list(8, (at) => {
        const value = u32(at + 4);
        return { name: btf.string(u32(at)), value: BigInt(flag ? value | 0 : value) };
      });
      return { id, kind: 'enum', name, size: sizeOrType, signed: flag, enumerators };
    }
    case Kind.Enum64: {
      const enumerators = list(12, (at) => {
        const value = BigInt(u32(at + 4)) | (BigInt(u32(at + 8)) << 32n);
        return { name: btf.string(u32(at)), value: flag ? BigInt.asIntN(64, value) : value };
      });
      return { id, kind: 'enum64', name, size: sizeOrType, signed: flag, enumerators };
    }
    case Kind.Fwd:
      return { id, kind: 'fwd', name, union: flag };
    case Kind.Func:
      return { id, kind: 'func', name, type: sizeOrType, linkage: linkages[count] ?? 'global' };
    case Kind.FuncProto: {
      const parameters = list(8, (at) => ({ name: btf.string(u32(at)), type: u32(at + 4) }));
      return { id, kind: 'func_proto', name, returns: sizeOrType, parameters };
    }
    case Kind.Var:
      return { id, kind: 'var', name, type: sizeOrType, linkage: linkages[u32(body)] ?? 'global' };
    case Kind.Datasec: {
      const variables = list(12, (at) => ({ type: u32(at), offset: u32(at + 4), size: u32(at + 8) }));
      return { id, kind: 'datasec', name, size: sizeOrType, variables };
    }
    case Kind.Float:
      return { id, kind: 'float', name, size: sizeOrType };
    case Kind.DeclTag:
      return { id, kind: 'decl_tag', name, type: sizeOrType, component: u32(body) | 0 };
    default:
      return { id, kind: 'void', name: '' };
  }
}

/**
 * Bitfields of BTF without kind_flag: an INT narrower than its storage says how wide the field is, and where in
 * the storage it lies.
 */
function legacyBits(btf: Btf, member: number, bitOffset: number): { bitOffset: number; bitSize: number } {
  // Only modifiers and the INT behind them are read: reading a struct from within a struct could come back here.
  let id = member;
  for (let depth = 0; depth < 64; depth++) {
    const kind = btf.kindOf(id);
    if (kind === Kind.Int) {
      const type = btf.type(id);
      if (type.kind !== 'int' || type.bits === 0 || type.bits === type.size * 8) break;
      return { bitOffset: bitOffset + type.bitOffset, bitSize: type.bits };
    }
    const modifier =
      kind === Kind.Typedef || kind === Kind.Const || kind === Kind.Volatile || kind === Kind.TypeTag;
    const type = modifier ? btf.type(id) : undefined;
    if (!type || !('type' in type)) break;
    id = type.type;
  }
  return { bitOffset, bitSize: 0 };
}
