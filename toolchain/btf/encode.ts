/** Text that a user typed, as the bytes of a value. */
import { fail, succeed } from '../problem';
import type { Outcome } from '../problem';
import { addressKind } from './addresses';
import { writeBits } from './bits';
import type { Types } from './btf';
import { hostOrder, swapBytes } from './byteorder';
import { isByteArray } from './format';
import { parseLiteral } from './literal';
import type { Literal } from './literal';
import { parseIpv4, parseIpv6, parseMac, unescapeText } from './text';
import { bytesOf, childrenOf, decode } from './value';
import type { DecodeOptions, Value } from './value';

/**
 * Bytes of a new value of a type: `42`, `XDP_DROP`, `"eth0"`, `10.0.0.1`, `{ .a = 1, .b = { 2, 3 } }`, JSON.
 * Members that are not named are zero.
 */
export function encode(
  btf: Types,
  typeId: number,
  text: string,
  options: DecodeOptions = {},
): Outcome<Uint8Array> {
  const bytes = new Uint8Array(btf.sizeOf(typeId));
  return setValue(decode(btf, typeId, bytes, options), text);
}

/**
 * The whole bytes of the tree that `value` is part of, with `value` replaced by what the text says; `value`'s own
 * bytes stay as they are. Members of a struct that the text does not name keep their values. Problems have the
 * codes `value/syntax`, `value/range`, `value/type`, `value/length`, `value/member`, `value/read-only`.
 */
export function setValue(value: Value, text: string): Outcome<Uint8Array> {
  const { source } = value;
  const bytes = source.bytes.slice();
  // The tree again, over the copy, so that children which are looked up write there.
  const target: Value = { ...value, source: { ...source, bytes } };
  const literal = parseLiteral(text);
  if (!literal.ok) return literal;
  const problem = write(target, literal.value);
  return problem ?? succeed(bytes);
}

type Failed = ReturnType<typeof fail>;

function write(value: Value, given: Literal): Failed | undefined {
  // JSON can write 10.0.0.1, XDP_DROP or 0x10 between quotes only; where no text is held they are what they spell.
  const literal: Literal =
    given.kind === 'string' && value.kind !== 'text' ? { kind: 'word', text: given.text } : given;
  switch (value.kind) {
    case 'opaque':
      return fail(
        'value/read-only',
        `${label(value)} is kept by the kernel (${value.type}), which takes no value for it.`,
        'Change the other members; the kernel leaves this one as it is.',
      );
    case 'missing':
    case 'void':
      return fail(
        'value/read-only',
        `${label(value)} has no bytes that could be written.`,
        'Read the value again.',
      );
    case 'struct':
    case 'union':
    case 'section':
      return writeStruct(value, literal);
    case 'array':
      return writeArray(value, literal);
    case 'text':
      return writeText(value, literal);
    case 'bytes':
      return writeBytes(value, literal);
    case 'float':
      return writeFloat(value, literal);
    default:
      return writeInteger(value, literal);
  }
}

function writeStruct(value: Value, literal: Literal): Failed | undefined {
  if (addressKind(value) && literal.kind === 'word') return writeAddress(value, literal.text);
  if (literal.kind !== 'list') {
    return fail('value/type', `${label(value)} is a ${value.type}.`, 'Write { .member = value, … } or JSON.');
  }
  const members = childrenOf(value);
  for (const [index, { name, value: item }] of literal.items.entries()) {
    const member = name === undefined ? members[index] : memberAt(value, name);
    if (!member) {
      const known = members.map((one) => one.name).join(', ');
      return fail(
        'value/member',
        `${value.type} has no member ${name ?? `number ${index + 1}`}.`,
        `Its members are ${known}.`,
      );
    }
    const problem = write(member, item);
    if (problem) return problem;
  }
  return undefined;
}

/** A member by name, or by names joined with dots. */
function memberAt(value: Value, names: string): Value | undefined {
  return names.split('.').reduce((at: Value | undefined, name) => at && memberOf(at, name), value);
}

/** A member by name, also one of an unnamed union or struct within. */
function memberOf(value: Value, name: string): Value | undefined {
  for (const child of childrenOf(value)) {
    if (child.name === name) return child;
    const inner = child.name.startsWith('<') ? memberOf(child, name) : undefined;
    if (inner) return inner;
  }
  return undefined;
}

function writeArray(value: Value, literal: Literal): Failed | undefined {
  if (literal.kind === 'word' && addressKind(value)) return writeAddress(value, literal.text);
  if (literal.kind === 'word' && isByteArray(value)) return writeBytes(value, literal);
  if (literal.kind !== 'list') {
    return fail('value/type', `${label(value)} is an array (${value.type}).`, 'Write { value, value, … }.');
  }
  for (const [index, { name, value: item }] of literal.items.entries()) {
    const at = name === undefined ? index : Number(name);
    const element = childrenOf(value, at, 1)[0];
    if (!element || !Number.isInteger(at)) {
      return fail(
        'value/length',
        `${label(value)} has ${value.childCount} elements; [${name ?? at}] is none of them.`,
        'Leave out the rest.',
      );
    }
    const problem = write(element, item);
    if (problem) return problem;
  }
  return undefined;
}

function writeText(value: Value, literal: Literal): Failed | undefined {
  if (literal.kind === 'list') return writeArray({ ...value, kind: 'array' }, literal);
  if (
    literal.kind === 'word' &&
    /^([0-9a-f]{2}[\s:]+)*[0-9a-f]{2}$/i.test(literal.text) &&
    /[\s:]/.test(literal.text)
  ) {
    return writeBytes(value, literal);
  }
  const encoded =
    literal.kind === 'string' ? unescapeText(literal.text) : new TextEncoder().encode(literal.text);
  if (!encoded)
    return fail(
      'value/syntax',
      `${literal.text} has an escape that C does not know.`,
      'Write \\xNN for a byte.',
    );
  if (encoded.length > value.size) {
    return fail(
      'value/length',
      `The text has ${encoded.length} bytes and ${label(value)} has room for ${value.size}.`,
      `Shorten it to ${value.size - 1} bytes and a NUL, or exactly ${value.size} without.`,
    );
  }
  bytesOf(value).fill(0);
  bytesOf(value).set(encoded);
  return undefined;
}

function writeBytes(value: Value, literal: Literal): Failed | undefined {
  const hint = `Write ${value.size} bytes in hexadecimal: 00 1f …`;
  if (literal.kind === 'list') {
    return fail('value/type', `${label(value)} is a sequence of bytes.`, hint);
  }
  const digits = literal.text.replace(/^0x/i, '').replaceAll(/[\s:,]/g, '');
  if (!/^([0-9a-fA-F]{2})*$/.test(digits))
    return fail('value/syntax', `"${literal.text}" is not hexadecimal.`, hint);
  if (digits.length !== value.size * 2) {
    return fail(
      'value/length',
      `These are ${digits.length / 2} bytes and ${label(value)} has ${value.size}.`,
      hint,
    );
  }
  bytesOf(value).set(
    Uint8Array.from({ length: value.size }, (_, at) => parseInt(digits.slice(at * 2, at * 2 + 2), 16)),
  );
  return undefined;
}

function writeFloat(value: Value, literal: Literal): Failed | undefined {
  const number = literal.kind === 'word' && literal.text !== '' ? Number(literal.text) : NaN;
  if (Number.isNaN(number))
    return fail('value/syntax', `${label(value)} is a floating-point number.`, 'Write 1.5 or 2e-3.');
  const bytes = bytesOf(value);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (value.size === 4) view.setFloat32(0, number, value.source.littleEndian);
  else view.setFloat64(0, number, value.source.littleEndian);
  return undefined;
}

function writeInteger(value: Value, literal: Literal): Failed | undefined {
  if (literal.kind === 'list' && literal.items.length === 1 && literal.items[0]?.name === undefined) {
    return writeInteger(value, (literal.items[0] as { value: Literal }).value);
  }
  if (literal.kind !== 'word')
    return fail('value/type', `${label(value)} is a number (${value.type}).`, 'Write 42, 0x2a or -1.');
  if (addressKind(value) === 'ipv4' && literal.text.includes('.')) return writeAddress(value, literal.text);
  const number = numberOf(value, literal.text);
  if (number === undefined) {
    const type = value.source.btf?.resolve(value.typeId);
    const names =
      type?.kind === 'enum' || type?.kind === 'enum64'
        ? type.enumerators.slice(0, 8).map((one) => one.name)
        : [];
    const hint = names.length
      ? `Write a number or one of ${names.join(', ')}.`
      : "Write 42, 0x2a, -1 or a character such as 'A'.";
    return fail('value/syntax', `"${literal.text}" is not a value of ${value.type || 'this type'}.`, hint);
  }
  const bits = value.bitfield?.bits ?? value.size * 8;
  const { minimum, maximum } = rangeOf(value, bits);
  if (number < minimum || number > maximum) {
    return fail(
      'value/range',
      `${literal.text} does not fit into ${label(value)}.`,
      `It takes ${minimum} to ${maximum}.`,
    );
  }
  const place = value.bitfield ?? { bitOffset: value.offset * 8, bits };
  writeBits(value.source.bytes, place, value.source.littleEndian, number);
  return undefined;
}

/**
 * Hexadecimal may fill a signed number's bits (0xffffffff for -1); a bool takes only 0 and 1, as C stores no other.
 */
function rangeOf(value: Value, bits: number): { minimum: bigint; maximum: bigint } {
  if (value.kind === 'bool') return { minimum: 0n, maximum: 1n };
  const type = value.source.btf?.resolve(value.typeId);
  const top = (1n << BigInt(bits)) - 1n;
  const signed = type && 'signed' in type && type.signed;
  const enumeration = value.kind === 'enum';
  if (!signed && !enumeration) return { minimum: 0n, maximum: top };
  const half = 1n << BigInt(bits - 1);
  return { minimum: -half, maximum: enumeration ? top : half - 1n };
}

function numberOf(value: Value, text: string): bigint | undefined {
  const swap = /^(?:bpf_)?(?:hton|ntoh|cpu_to_be|be_to_cpu)[sl]?\d*\s*\(\s*([^()]+?)\s*\)$/.exec(text);
  if (swap) {
    const inner = numberOf(value, swap[1] as string);
    if (inner === undefined || inner < 0n || inner >= 1n << BigInt(value.size * 8)) return undefined;
    return hostOrder(value, inner) ?? (value.source.littleEndian ? swapBytes(inner, value.size) : inner);
  }
  if (/^(true|false)$/.test(text)) return text === 'true' ? 1n : 0n;
  if (text === 'NULL') return 0n;
  const type = value.source.btf?.resolve(value.typeId);
  if (type?.kind === 'enum' || type?.kind === 'enum64') {
    const parts = text.split('|').map((part) => part.trim());
    const known = parts.map(
      (part) => type.enumerators.find((one) => one.name === part)?.value ?? plainNumber(part),
    );
    return known.every((one) => one !== undefined)
      ? known.reduce((all, one) => (all as bigint) | (one as bigint), 0n)
      : undefined;
  }
  const number = plainNumber(text);
  const hexadecimal = /^0[xb]/i.test(text);
  const bits = value.bitfield?.bits ?? value.size * 8;
  if (
    number !== undefined &&
    hexadecimal &&
    type?.kind === 'int' &&
    type.signed &&
    number < 1n << BigInt(bits)
  ) {
    return BigInt.asIntN(bits, number);
  }
  return number;
}

/** `42`, `-1`, `0x2a`, `0b101`, `017` (octal, as in C), `'A'`, with C's suffixes. */
function plainNumber(text: string): bigint | undefined {
  const character = /^'(\\.[^']*|[^'\\])'$/s.exec(text);
  if (character) {
    const bytes = unescapeText(character[1] as string);
    return bytes?.length === 1 ? BigInt(bytes[0] as number) : undefined;
  }
  const match = /^(-?)(0x[0-9a-f]+|0b[01]+|\d+)(?:u?l{0,2}|l{1,2}u)$/i.exec(text.replaceAll('_', ''));
  if (!match) return undefined;
  const digits = match[2] as string;
  if (/^0\d/.test(digits)) {
    if (/[89]/.test(digits)) return undefined;
    return BigInt(`0o${digits.slice(1)}`) * (match[1] ? -1n : 1n);
  }
  return BigInt(digits) * (match[1] ? -1n : 1n);
}

function writeAddress(value: Value, text: string): Failed | undefined {
  const kind = addressKind(value);
  const bytes =
    kind === 'ipv4'
      ? parseIpv4(text)
      : kind === 'ipv6'
        ? parseIpv6(text)
        : parseMac(text.replaceAll(/\s+/g, ':'));
  if (!bytes) {
    const examples = { ipv4: '10.0.0.1', ipv6: '2001:db8::1', mac: '02:00:00:00:00:01' };
    return fail(
      'value/syntax',
      `"${text}" is not an address of the kind ${label(value)} holds.`,
      `Write it like ${examples[kind ?? 'ipv4']}.`,
    );
  }
  bytesOf(value).set(bytes);
  return undefined;
}

function label(value: Value): string {
  return value.name || value.type || 'This value';
}
