/** Values of packet fields as somebody writes them: `10.0.0.7`, `53`, `0x0800`, `02:00:00:00:00:01`, hex. */
import { parseIpv4, parseIpv6, parseMac } from '../../toolchain/btf/text';
import type { DissectedField } from '../../toolchain/packet/dissect';
import { parseHex } from '../../toolchain/packet/hex';
import { fail, succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';

/** The bytes that give a field of `packet` the value that `text` says. */
export function encodeField(packet: Uint8Array, field: DissectedField, text: string): Outcome<Uint8Array> {
  const { name, offset, length, value } = field;
  const present = packet.subarray(offset, offset + length);
  if (typeof value === 'string') return encodeText(field, text);
  if (bigEndian(present) !== BigInt(value))
    return refuse(
      `${name} shares its ${length === 1 ? 'byte' : 'bytes'} with other fields`,
      `Set the ${length === 1 ? 'byte' : 'bytes'} at offset ${offset} in "bytes": now ${hex(present)}.`,
    );
  // What is shown behind the number, as in `0x0800 (ipv4)`, comes along when it is edited.
  const written = /^\s*(0x[0-9a-f]+|\d+)\s*(?:\(.*\))?\s*$/i.exec(text)?.[1];
  const limit = 1n << BigInt(8 * length);
  if (written === undefined || BigInt(written) >= limit)
    return refuse(
      `"${text}" is not a number of ${8 * length} bits`,
      `Write one from 0 to ${limit - 1n}, such as 53 or 0x35.`,
    );
  return succeed(numberBytes(BigInt(written), length));
}

function encodeText({ name, length }: DissectedField, text: string): Outcome<Uint8Array> {
  const parsers = { 4: parseIpv4, 6: parseMac, 16: parseIpv6 } as Record<number, typeof parseIpv4>;
  const given = text.trim().replace(/\s*\(.*\)$/, '');
  const address = parsers[length]?.(given);
  if (address) return succeed(address);
  const bytes = parseHex(given);
  if (bytes.ok && bytes.value.length === length) return succeed(bytes.value);
  const example = { 4: '10.0.0.7', 6: '02:00:00:00:00:01', 16: '2001:db8::1' }[length];
  return refuse(
    `"${text}" is not a value of ${name}`,
    `Write ${example === undefined ? '' : `it like ${example}, or `}${length} bytes as hex.`,
  );
}

/** A row of a hex dump, perhaps with its characters behind it; fewer bytes set the first ones. */
export function encodeRow(text: string, length: number): Outcome<Uint8Array> {
  // Sixteen bytes of two digits, and a space more in the middle; the characters follow behind two spaces.
  const digits = text.length > HEX_COLUMNS ? text.slice(0, HEX_COLUMNS) : text;
  const bytes = parseHex(digits.trim());
  if (bytes.ok && bytes.value.length > 0 && bytes.value.length <= length) return succeed(bytes.value);
  return refuse(`"${text}" is not up to ${length} bytes`, 'Write two digits a byte, such as 45 00 00 54.');
}
const HEX_COLUMNS = 48;

function refuse(message: string, hint: string): Outcome<never> {
  return fail('packet/value', `${message}.`, hint);
}

function bigEndian(bytes: Uint8Array): bigint {
  return bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

function numberBytes(number: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => Number((number >> BigInt(8 * (length - 1 - at))) & 0xffn));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
