/** Keys of maps as they are written in expressions: `3`, `"eth0"`, `10.0.0.0/8`, `{saddr = 10.0.0.1}`, `hex(0a00)`. */
import { encode } from '../../toolchain/btf/encode';
import { parseIpv4, parseIpv6 } from '../../toolchain/btf/text';
import { parseHex } from '../../toolchain/packet/hex';
import { fail, succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';
import type { TypedMap } from '../variables/maps';

/** Position of the bracket that closes the one before `start`, quoted text and nested brackets passed over. */
export function closingBracket(text: string, start: number): number | undefined {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const character = text[at]!;
    if (character === '"') {
      const quoted = /^"(?:[^"\\]|\\.)*"/s.exec(text.slice(at));
      if (!quoted) return undefined;
      at += quoted[0].length - 1;
    } else if ('[{('.includes(character)) depth++;
    else if ('}])'.includes(character)) {
      if (depth === 0) return character === ']' ? at : undefined;
      depth--;
    }
  }
  return undefined;
}

/** The bytes of a key as somebody wrote it. */
export function encodeKey(typed: TypedMap, text: string): Outcome<Uint8Array> {
  const prefix = typed.map.type === 'lpm_trie' ? prefixKey(text, typed.map.keySize) : undefined;
  return prefix ? succeed(prefix) : encodeAs(typed, typed.keyType, typed.map.keySize, text);
}

/** A key or value of a map: by its type, or as hex. */
export function encodeAs(
  { btf, map }: TypedMap,
  type: number,
  size: number,
  text: string,
): Outcome<Uint8Array> {
  const hex = /^hex\((.*)\)$/s.exec(text);
  if (hex || !btf || type === 0) {
    const parsed = parseHex(hex ? hex[1]! : text);
    if (parsed.ok && parsed.value.length === size) return succeed(parsed.value);
    const given = parsed.ok ? `${parsed.value.length} bytes` : parsed.problems[0]!.message;
    return fail(
      'expression/key',
      `"${text}" is not a key or value of ${map.name}: write ${size} bytes as hex (${given}).`,
      '',
    );
  }
  const encoded = encode(btf, type, text);
  if (encoded.ok) return encoded;
  const { message, hint } = encoded.problem;
  return fail('expression/key', `"${text}" does not fit ${map.name}: ${message}`, hint);
}

function prefixKey(text: string, keySize: number): Uint8Array | undefined {
  const match = /^"?([^/"]+)\/(\d+)"?$/.exec(text);
  const address = match && (parseIpv4(match[1]!) ?? parseIpv6(match[1]!));
  if (!match || address?.length !== keySize - 4) return undefined;
  const key = new Uint8Array(keySize);
  new DataView(key.buffer).setUint32(0, Number(match[2]), true);
  key.set(address, 4);
  return key;
}
