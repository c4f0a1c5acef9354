/** Values as text: one line for a tree's row, JSON for `--json`. */
import { MAX_DEPTH } from './resolve';
import { addressOf } from './addresses';
import { readBits } from './bits';
import { hostOrder } from './byteorder';
import type { Enumerator } from './kinds';
import { escapeBytes, hexBytes } from './text';
import { bytesOf, childrenOf } from './value';
import type { Value } from './value';

/** A value in one line, at most about `limit` characters: `{pid = 4711, comm = "bash"}`, `XDP_DROP (1)`. */
export function format(value: Value, limit = 160): string {
  return formatWithin(value, limit, 0);
}

function formatWithin(value: Value, limit: number, depth: number): string {
  switch (value.kind) {
    case 'void':
      return '<no value>';
    case 'missing':
      return `<beyond the ${value.source.bytes.length} bytes read>`;
    case 'opaque':
      return '<kept by the kernel, not readable>';
    case 'bytes':
      return formatBytes(value);
    case 'text':
      return formatText(value, limit);
    case 'array':
    case 'struct':
    case 'union':
    case 'section':
      return formatComposite(value, limit, depth);
    default:
      return formatLeaf(value);
  }
}

/**
 * The number a value holds: signed or unsigned as its type is; undefined for what is no number.
 */
export function integerOf(value: Value): bigint | undefined {
  const { source } = value;
  const type = source.btf?.resolve(value.typeId);
  const width = value.bitfield ?? { bitOffset: value.offset * 8, bits: value.size * 8 };
  if (!type || value.kind === 'missing' || value.kind === 'opaque') return undefined;
  switch (type.kind) {
    case 'int':
    case 'enum':
    case 'enum64': {
      const raw = readBits(source.bytes, width, source.littleEndian);
      return type.signed ? BigInt.asIntN(width.bits, raw) : raw;
    }
    case 'ptr':
      return readBits(source.bytes, width, source.littleEndian);
    default:
      return undefined;
  }
}

function formatLeaf(value: Value): string {
  const number = integerOf(value);
  if (value.kind === 'float') return formatFloat(value);
  if (number === undefined) return hexBytes(bytesOf(value));
  switch (value.kind) {
    case 'bool':
      return number === 0n ? 'false' : number === 1n ? 'true' : `true (${number})`;
    case 'char':
      return number >= 32n && number < 127n
        ? `${number} '${String.fromCharCode(Number(number))}'`
        : `${number}`;
    case 'pointer':
      return number === 0n ? 'NULL' : `0x${number.toString(16)}`;
    case 'enum':
      return formatEnum(value, number);
    default: {
      const address = addressOf(value);
      if (address) return `${number} (${address})`;
      const host = hostOrder(value, number);
      return host === undefined ? `${number}` : `${number} (host order ${host})`;
    }
  }
}

function formatEnum(value: Value, number: bigint): string {
  const type = value.source.btf?.resolve(value.typeId);
  if (type?.kind !== 'enum' && type?.kind !== 'enum64') return `${number}`;
  const names = enumNames(type.enumerators, number, value.bitfield?.bits ?? value.size * 8);
  return names ? `${names} (${number})` : `${number}`;
}

/**
 * The enumerator of that value; else, when each bit that is set has an enumerator of its own, those joined by
 * `|`; else undefined. Values are compared as bits, since BTF before clang 15 does not say whether they are signed.
 */
export function enumNames(
  enumerators: readonly Enumerator[],
  number: bigint,
  bits: number,
): string | undefined {
  const raw = BigInt.asUintN(bits, number);
  const exact = enumerators.find((one) => BigInt.asUintN(bits, one.value) === raw);
  if (exact) return exact.name;
  const names: string[] = [];
  let left = raw;
  for (const one of enumerators) {
    const bit = BigInt.asUintN(bits, one.value);
    const single = bit !== 0n && (bit & (bit - 1n)) === 0n;
    if (single && (left & bit) === bit) {
      names.push(one.name);
      left &= ~bit;
    }
  }
  // An enumeration that counts 0, 1, 2, 3 … is no set of flags, although 1 and 2 are single bits.
  return left === 0n && names.length > 1 && looksLikeFlags(enumerators) ? names.join(' | ') : undefined;
}

function looksLikeFlags(enumerators: readonly Enumerator[]): boolean {
  const singles = enumerators.reduce(
    (all, { value }) => (value > 0n && (value & (value - 1n)) === 0n ? all | value : all),
    0n,
  );
  return enumerators.every(({ value }) => value >= 0n && (value & ~singles) === 0n) && !counts(enumerators);
}

/** Whether three or more values follow each other, as in 1, 2, 3. */
function counts(enumerators: readonly Enumerator[]): boolean {
  const values = new Set(enumerators.map((one) => one.value));
  return values.has(1n) && values.has(2n) && values.has(3n);
}

function formatFloat(value: Value): string {
  const bytes = bytesOf(value);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { littleEndian } = value.source;
  return value.size === 4
    ? `${Number(view.getFloat32(0, littleEndian).toPrecision(8))}`
    : `${view.getFloat64(0, littleEndian)}`;
}

/** A char array up to its NUL; what stands behind it is counted, since it would be lost to a reader otherwise. */
function formatText(value: Value, limit: number): string {
  const bytes = bytesOf(value);
  const nul = bytes.indexOf(0);
  const shown = nul < 0 ? bytes : bytes.subarray(0, nul);
  const room = Math.max(16, limit - 8);
  const text = escapeBytes(shown.subarray(0, room));
  const cut = shown.length > room ? '…' : '';
  const rest = nul < 0 ? 0 : bytes.subarray(nul).reduce((count, byte) => count + (byte === 0 ? 0 : 1), 0);
  return `"${text}"${cut}${rest ? ` (and ${rest} bytes after the NUL)` : ''}`;
}

function formatBytes(value: Value): string {
  const bytes = bytesOf(value);
  const hex = hexBytes(bytes);
  if (![1, 2, 4, 8].includes(bytes.length)) return hex || '<no bytes>';
  const range = { bitOffset: value.offset * 8, bits: bytes.length * 8 };
  const unsigned = readBits(value.source.bytes, range, value.source.littleEndian);
  const signed = BigInt.asIntN(range.bits, unsigned);
  const guess = `u${range.bits} ${unsigned}`;
  return signed === unsigned ? `${hex} (${guess})` : `${hex} (${guess}, s${range.bits} ${signed})`;
}

function formatComposite(value: Value, limit: number, depth: number): string {
  const address = addressOf(value);
  const open = value.kind === 'array' ? '[' : '{';
  const close = value.kind === 'array' ? ']' : '}';
  if (value.kind === 'array' && isByteArray(value)) {
    const hex = `[${hexBytes(bytesOf(value), Math.max(8, Math.floor(limit / 4)))}]`;
    return address ? `${address} ${hex}` : hex;
  }
  if (address) return `${address} {${hexBytes(bytesOf(value))}}`;
  if (depth > 8) return `${open}…${close}`;
  const parts: string[] = [];
  let used = 2;
  // Asking for a page at a time keeps the summary of a large array as cheap as that of a small one.
  for (const child of childrenOf(value, 0, 64)) {
    const text = formatWithin(child, Math.max(16, limit - used), depth + 1);
    const part = value.kind === 'array' || child.name.startsWith('<') ? text : `${child.name} = ${text}`;
    if (parts.length && used + part.length > limit) return `${open}${parts.join(', ')}, …${close}`;
    parts.push(part);
    used += part.length + 2;
  }
  const more = value.childCount > parts.length ? ', …' : '';
  return `${open}${parts.join(', ')}${more}${close}`;
}

/** Whether a value is an array of one-byte integers, which reads best as hexadecimal. */
export function isByteArray(value: Value): boolean {
  const type = value.source.btf?.resolve(value.typeId);
  if (type?.kind !== 'array') return false;
  const element = value.source.btf?.resolve(type.element);
  return element?.kind === 'int' && element.size === 1 && !element.bool && !element.signed;
}

/**
 * A value as JSON: numbers (decimal strings beyond 2^53), enums by name, text as strings, members by name.
 * Fields the kernel keeps for itself and bytes that were not read are null.
 */
export function toJson(value: Value, depth = 0): unknown {
  switch (value.kind) {
    case 'void':
    case 'missing':
    case 'opaque':
      return null;
    case 'bytes':
      return Array.from(bytesOf(value));
    case 'text': {
      const bytes = bytesOf(value);
      const nul = bytes.indexOf(0);
      return escapeBytes(nul < 0 ? bytes : bytes.subarray(0, nul));
    }
    case 'float':
      return Number(formatFloat(value));
    case 'array':
      return depth > MAX_DEPTH ? null : childrenOf(value).map((child) => toJson(child, depth + 1));
    case 'struct':
    case 'union':
    case 'section':
      if (depth > MAX_DEPTH) return null;
      return Object.fromEntries(
        childrenOf(value).flatMap((child): [string, unknown][] => {
          const json = toJson(child, depth + 1);
          return child.name.startsWith('<') ? Object.entries((json ?? {}) as object) : [[child.name, json]];
        }),
      );
    default: {
      const number = integerOf(value) ?? 0n;
      if (value.kind === 'bool') return number !== 0n;
      if (value.kind === 'enum') {
        const text = formatEnum(value, number);
        if (/^[A-Za-z_]/.test(text)) return text.replace(/ \(.*$/, '');
      }
      const safe = number <= BigInt(Number.MAX_SAFE_INTEGER) && number >= BigInt(Number.MIN_SAFE_INTEGER);
      return safe ? Number(number) : `${number}`;
    }
  }
}
