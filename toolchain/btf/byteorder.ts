import { MAX_DEPTH } from './resolve';
import type { Value } from './value';

/** Typedefs of the kernel's uapi that promise a byte order: `true` little, `false` big endian. */
const orderedTypedefs = new Map([
  ['__be16', false],
  ['__be32', false],
  ['__be64', false],
  ['__le16', true],
  ['__le32', true],
  ['__le64', true],
]);

/** `true` little, `false` big endian, as the type's name promises; undefined when it promises nothing. */
export function declaredOrder(value: Value): boolean | undefined {
  const { btf } = value.source;
  let id = value.typeId;
  for (let depth = 0; btf && depth < MAX_DEPTH; depth++) {
    const type = btf.type(id);
    if (type.kind === 'typedef' && orderedTypedefs.has(type.name)) return orderedTypedefs.get(type.name);
    if (type.kind !== 'typedef' && type.kind !== 'const' && type.kind !== 'volatile') return undefined;
    id = type.type;
  }
  return undefined;
}

/** The number that a `__be16` … holds once its bytes are put in the machine's order; undefined for other types. */
export function hostOrder(value: Value, number: bigint): bigint | undefined {
  const littleEndian = declaredOrder(value);
  if (littleEndian === undefined) return undefined;
  return littleEndian === value.source.littleEndian ? number : swapBytes(number, value.size);
}

export function swapBytes(number: bigint, size: number): bigint {
  let swapped = 0n;
  for (let at = 0; at < size; at++) swapped = (swapped << 8n) | ((number >> BigInt(at * 8)) & 0xffn);
  return swapped;
}
