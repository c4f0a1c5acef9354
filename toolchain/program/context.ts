/** Context structures from named fields, and back: `{ "mark": 5, "cb": [1, 2] }` ↔ bytes of struct __sk_buff. */
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../btf/text';
import type { PacketProblem, Parsed } from '../packet/problem';
import { SIZES, type ContextField, type ContextLayout } from './context-layouts';

/**
 * Fields that the kernel will refuse are written all the same: kernels differ, and only theirs is a verdict.
 * {@link explainRefusedContext} says afterwards what was wrong.
 */
export function buildContext(
  layout: ContextLayout,
  values: Record<string, unknown>,
  root = 'context',
): Parsed<Uint8Array> {
  const bytes = new Uint8Array(layout.size);
  const problems: PacketProblem[] = [];
  let end = 0;
  for (const [name, value] of Object.entries(values)) {
    const field = layout.fields.find((candidate) => candidate.name === name);
    if (!field) {
      const names = layout.settable.join(', ');
      problems.push({
        path: `${root}.${name}`,
        message: `${layout.struct} has no such field; a test run takes ${names}`,
      });
      continue;
    }
    const message = writeField(bytes, field, value);
    if (message !== undefined) problems.push({ path: `${root}.${name}`, message });
    end = Math.max(end, field.offset + SIZES[field.kind] * elementCount(field, value));
  }
  if (problems.length > 0) return { ok: false, problems };
  // A tracepoint's arguments may be fewer than the most; a structure of fixed size is passed whole.
  const isArgumentList = layout.fields.length === 1;
  return { ok: true, value: isArgumentList ? bytes.subarray(0, end) : bytes };
}

function elementCount(field: ContextField, value: unknown): number {
  return field.count === undefined ? 1 : Array.isArray(value) ? Math.min(value.length, field.count) : 1;
}

/** Writes a value; returns what is wrong with it. */
function writeField(bytes: Uint8Array, field: ContextField, value: unknown): string | undefined {
  if (field.count === undefined) return writeElement(bytes, field, field.offset, value);
  const list = Array.isArray(value) ? (value as unknown[]) : [value];
  if (list.length > field.count) return `has ${list.length} elements, there is room for ${field.count}`;
  for (const [i, element] of list.entries()) {
    const message = writeElement(bytes, field, field.offset + i * SIZES[field.kind], element);
    if (message !== undefined) return list.length > 1 ? `element ${i}: ${message}` : message;
  }
  return undefined;
}

function writeElement(
  bytes: Uint8Array,
  field: ContextField,
  offset: number,
  value: unknown,
): string | undefined {
  if (field.kind === 'ip4' || field.kind === 'ip6') {
    const parse = field.kind === 'ip4' ? parseIpv4 : parseIpv6;
    const address = typeof value === 'string' ? parse(value) : undefined;
    if (address) {
      bytes.set(address, offset);
      return undefined;
    }
    if (field.kind === 'ip6') return `${JSON.stringify(value)} is not an IPv6 address such as fd00::1`;
  }
  const number = numberOf(value, field);
  if (typeof number === 'string') return number;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  switch (field.kind) {
    case 'u8':
      view.setUint8(offset, Number(number));
      break;
    case 'u16':
      view.setUint16(offset, Number(number), true);
      break;
    case 'be16':
      view.setUint16(offset, Number(number), false);
      break;
    case 'be32':
      view.setUint32(offset, Number(number), false);
      break;
    case 'u64':
      view.setBigUint64(offset, number, true);
      break;
    default:
      // An address given as a number is taken as C has it after loading the field.
      view.setUint32(offset, Number(number), true);
  }
  return undefined;
}

/** The number a value stands for, wrapped to unsigned, or what is wrong with it. */
function numberOf(value: unknown, field: ContextField): bigint | string {
  const bits = BigInt(SIZES[field.kind] * 8);
  const shown = JSON.stringify(value);
  const named = typeof value === 'string' ? field.names?.[value] : undefined;
  const text =
    typeof value === 'string' && /^-?(0x[0-9a-fA-F]+|\d+)$/.test(value.trim()) ? value.trim() : undefined;
  let number: bigint;
  if (named !== undefined) number = BigInt(named);
  else if (typeof value === 'number' && Number.isInteger(value)) number = BigInt(value);
  else if (text !== undefined) number = text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
  else {
    const names = field.names ? ` or one of ${Object.keys(field.names).join(', ')}` : '';
    return `${shown} is not a whole number${names} (large ones may be written as text, "0x…")`;
  }
  if (number >= 1n << bits || number < -(1n << (bits - 1n))) return `${shown} does not fit in ${bits} bits`;
  return BigInt.asUintN(Number(bits), number);
}

/** Fields by name, those that are zero left out. */
export function describeContext(layout: ContextLayout, bytes: Uint8Array): Record<string, string> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const described: Record<string, string> = {};
  for (const field of layout.fields) {
    const size = SIZES[field.kind] * (field.count ?? 1);
    if (field.offset + size > bytes.length) continue;
    const part = bytes.subarray(field.offset, field.offset + size);
    if (part.every((byte) => byte === 0)) continue;
    const elements = Array.from({ length: field.count ?? 1 }, (_, i) =>
      readElement(view, field, field.offset + i * SIZES[field.kind]),
    );
    described[field.name] = field.count === undefined ? elements[0]! : `[${elements.join(', ')}]`;
  }
  return described;
}

function readElement(view: DataView, field: ContextField, offset: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + offset, SIZES[field.kind]);
  switch (field.kind) {
    case 'u8':
      return String(view.getUint8(offset));
    case 'u16':
      return String(view.getUint16(offset, true));
    case 'be16':
      return String(view.getUint16(offset, false));
    case 'be32':
      return String(view.getUint32(offset, false));
    case 'u64':
      return String(view.getBigUint64(offset, true));
    case 'ip4':
      return formatIpv4(bytes);
    case 'ip6':
      return formatIpv6(bytes);
    default:
      return String(view.getUint32(offset, true));
  }
}

/** After the kernel said EINVAL: the given fields that no test run takes; undefined when there are none. */
export function explainRefusedContext(
  layout: ContextLayout,
  values: Record<string, unknown>,
): string | undefined {
  const refused = Object.keys(values).filter((name) => !layout.settable.includes(name));
  if (refused.length === 0) return undefined;
  return `a test run does not take ${refused.join(', ')} of ${layout.struct}; it takes ${layout.settable.join(', ')}`;
}
