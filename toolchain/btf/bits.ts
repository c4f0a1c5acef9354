/** Integers of any width out of bytes and back into them, bitfields included. */

/** Where an integer lies: `bitOffset` counts from the start of the bytes, `bits` is its width. */
export interface BitRange {
  bitOffset: number;
  bits: number;
}

/**
 * Reads an unsigned integer. On little-endian machines bit 0 of a bitfield is the lowest bit of its first byte;
 * on big-endian ones the highest (the SysV and ELF ABIs' rule, which BTF's bit offsets follow).
 */
export function readBits(bytes: Uint8Array, { bitOffset, bits }: BitRange, littleEndian: boolean): bigint {
  const first = bitOffset >> 3;
  const last = (bitOffset + bits + 7) >> 3;
  let value = 0n;
  if (littleEndian) {
    for (let at = last - 1; at >= first; at--) value = (value << 8n) | BigInt(bytes[at] ?? 0);
    value >>= BigInt(bitOffset & 7);
  } else {
    for (let at = first; at < last; at++) value = (value << 8n) | BigInt(bytes[at] ?? 0);
    value >>= BigInt((last << 3) - bitOffset - bits);
  }
  return BigInt.asUintN(bits, value);
}

/** Writes `value`'s low bits in place, leaving the neighbours' bits as they are. */
export function writeBits(
  bytes: Uint8Array,
  { bitOffset, bits }: BitRange,
  littleEndian: boolean,
  value: bigint,
) {
  const first = bitOffset >> 3;
  const last = (bitOffset + bits + 7) >> 3;
  const shift = littleEndian ? bitOffset & 7 : (last << 3) - bitOffset - bits;
  const whole = { bitOffset: first * 8, bits: (last - first) * 8 };
  const mask = ((1n << BigInt(bits)) - 1n) << BigInt(shift);
  let word = readBits(bytes, whole, littleEndian);
  word = (word & ~mask) | ((BigInt.asUintN(bits, value) << BigInt(shift)) & mask);
  for (let at = 0; at < last - first; at++) {
    bytes[littleEndian ? first + at : last - 1 - at] = Number((word >> BigInt(at * 8)) & 0xffn);
  }
}
