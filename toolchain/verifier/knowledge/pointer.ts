/** What the verifier knows of a pointer, in words. */
import { constantOf } from '../value';
import type { Value } from '../value';
import { rangeOf, spellNumber } from './range';

/** How a kernel prints packet pointers with a variable offset, see {@link provenBytes}. */
export interface PointerDialect {
  /** Since 7.3 `r` counts from where the pointer's whole offset does, not from behind its variable part. */
  mergesOffsets: boolean;
}

/** `packet+14, 20 bytes proven`; `moved` is what the variable lies behind the register, in bytes. */
export function spellPointer(value: Value, dialect: PointerDialect, moved = 0n): string {
  const parts = [baseOf(value) + offsetOf(value, moved)];
  if (value.range !== undefined) parts.push(spellProof(value, dialect, moved));
  if (value.size !== undefined) parts.push(`${value.size} bytes`);
  if (value.modifiers.includes('rdonly')) parts.push('read-only');
  if (value.modifiers.includes('untrusted')) parts.push('not trusted');
  if (value.modifiers.includes('user')) parts.push('in user memory');
  if (value.mayBeNull) parts.push('may be NULL');
  return parts.join(', ');
}

const words: Record<string, string> = {
  ctx: 'ctx',
  fp: 'stack',
  pkt: 'packet',
  pkt_meta: 'packet metadata',
  pkt_end: "packet's end",
  mem: 'memory',
  ringbuf_mem: 'ring buffer record',
  alloc_mem: 'ring buffer record',
  func: 'function',
  sock: 'socket',
  tcp_sock: 'TCP socket',
  sock_common: 'socket (common part)',
  buf: 'buffer',
  map_key: 'map key',
};

function baseOf(value: Value): string {
  const { type, struct, map } = value;
  if (type === 'ptr') return struct ? `struct ${struct}` : 'kernel pointer';
  const name = map?.name ? ` of ${map.name}` : '';
  if (type === 'map_value') return `map value${name}`;
  if (type === 'map_ptr') return map?.name ? `map ${map.name}` : 'map';
  return words[type] ?? type;
}

/** `+14`, `-8`, `+[20, 60]`; nothing for 0, and for what a kernel does not print. */
function offsetOf({ offset, bounds, isBare, type }: Value, moved: bigint): string {
  if (isBare) return '';
  const fixed = offset + moved;
  const exact = constantOf(bounds);
  if (exact === undefined) {
    const { min, max } = rangeOf(bounds, 64, true);
    return `+[${spellNumber(fixed + min)}, ${spellNumber(fixed + max)}]`;
  }
  const whole = fixed + exact;
  if (whole === 0n) return type === 'fp' ? ' top' : '';
  return whole > 0n ? `+${spellNumber(whole)}` : `${whole}`;
}

function spellProof(value: Value, dialect: PointerDialect, moved: bigint): string {
  if ((value.range ?? 0) < 0) return 'at or behind its end';
  const bytes = provenBytes(value, dialect) - moved;
  return bytes > 0n ? `${bytes} bytes proven` : 'no bytes proven';
}

/**
 * Bytes that can be read from where a packet pointer points. The kernel prints how many are proven from the pointer's
 * base: behind its variable part, so that the fixed offset is left to subtract; since 7.3, which has one offset only,
 * from the packet's start if the pointer were as far away as it can be.
 */
export function provenBytes({ range = 0, offset, bounds }: Value, { mergesOffsets }: PointerDialect): bigint {
  const exact = constantOf(bounds);
  if (exact !== undefined) return BigInt(range) - offset - exact;
  return BigInt(range) - offset - (mergesOffsets ? rangeOf(bounds, 64, true).max : 0n);
}
