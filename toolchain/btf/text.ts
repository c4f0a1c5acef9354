/** Character arrays and addresses as text, both ways. */

const decoder = new TextDecoder('utf-8', { fatal: true });

/** Bytes as a C string literal without quotes: printable UTF-8 as it is, everything else escaped. */
export function escapeBytes(bytes: Uint8Array): string {
  try {
    return escapeControls(decoder.decode(bytes));
  } catch {
    // Not UTF-8 as a whole: each byte outside ASCII is shown by its value.
    return escapeControls(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''), true);
  }
}

function escapeControls(text: string, escapeHigh = false): string {
  let result = '';
  for (const character of text) {
    const code = character.codePointAt(0) as number;
    const named = namedEscapes.get(code);
    if (named) result += named;
    else if (code < 32 || (code >= 127 && code < 160) || (escapeHigh && code >= 127))
      result += `\\x${hex2(code)}`;
    else result += character;
  }
  return result;
}

const namedEscapes = new Map([
  [0, '\\0'],
  [9, '\\t'],
  [10, '\\n'],
  [13, '\\r'],
  [34, '\\"'],
  [92, '\\\\'],
]);

/** The bytes of a C string literal's inside; undefined for a bad escape. */
export function unescapeText(text: string): Uint8Array | undefined {
  const bytes: number[] = [];
  const encoder = new TextEncoder();
  const escapes: Record<string, number> = {
    n: 10,
    t: 9,
    r: 13,
    '\\': 92,
    '"': 34,
    "'": 39,
    a: 7,
    b: 8,
    f: 12,
    v: 11,
  };
  const pattern = /\\x([0-9a-fA-F]{1,2})|\\([0-7]{1,3})|\\(.)|([^\\]+)|\\$/gsu;
  for (const [whole, hex, octal, letter, plain] of text.matchAll(pattern)) {
    if (hex !== undefined) bytes.push(parseInt(hex, 16));
    else if (octal !== undefined) bytes.push(parseInt(octal, 8) & 0xff);
    else if (plain !== undefined) bytes.push(...encoder.encode(plain));
    else {
      const byte = letter === undefined ? undefined : escapes[letter];
      if (byte === undefined || whole === '\\') return undefined;
      bytes.push(byte);
    }
  }
  return Uint8Array.from(bytes);
}

export function hex2(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

/** `01 02 …`, at most `limit` bytes. */
export function hexBytes(bytes: Uint8Array, limit = 32): string {
  const shown = Array.from(bytes.subarray(0, limit), hex2).join(' ');
  return bytes.length > limit ? `${shown} … (${bytes.length} bytes)` : shown;
}

/** Bytes in network order. */
export function formatIpv4(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 4)).join('.');
}

/** RFC 5952: lower case, the longest run of two or more zero groups shortened, the first of equals. */
export function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from(
    { length: 8 },
    (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0),
  );
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${formatIpv4(bytes.subarray(12))}`;
  }
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(':');
  return best.start < 0 ? text(0, 8) : `${text(0, best.start)}::${text(best.start + best.length, 8)}`;
}

export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes.subarray(0, 6), hex2).join(':');
}

export function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256))
    return undefined;
  return Uint8Array.from(parts, Number);
}

export function parseIpv6(text: string): Uint8Array | undefined {
  const v4 = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (v4) {
    const tail = parseIpv4(v4[2] as string);
    if (!tail) return undefined;
    const [a, b, c, d] = tail as unknown as [number, number, number, number];
    text = `${v4[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')));
  if (!groups.flat().every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  const given = groups.flat().length;
  if (halves.length === 1 ? given !== 8 : given > 7) return undefined;
  const [head = [], tail = []] = groups;
  const words = [...head, ...Array<string>(8 - given).fill('0'), ...tail].map((group) => parseInt(group, 16));
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}

export function parseMac(text: string): Uint8Array | undefined {
  const parts = text.split(/[:-]/);
  if (parts.length !== 6 || !parts.every((part) => /^[0-9a-fA-F]{1,2}$/.test(part))) return undefined;
  return Uint8Array.from(parts, (part) => parseInt(part, 16));
}
