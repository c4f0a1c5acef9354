/** Keys of map entries as names of rows and in expressions. */
import type { Btf } from '../../toolchain/btf/btf';
import { addressOf } from '../../toolchain/btf/addresses';
import { format } from '../../toolchain/btf/format';
import { decode, decodeBytes } from '../../toolchain/btf/value';
import { formatIpv4, formatIpv6 } from '../../toolchain/btf/text';
import { hexText } from '../../toolchain/packet/hexdump';

/** `3`, `"eth0"`, `10.0.0.1`, `10.0.0.0/8` for LPM tries, `{saddr = 10.0.0.1, dport = 80}`. */
export function keyText(mapType: string, btf: Btf | undefined, type: number, key: Uint8Array): string {
  const prefix = mapType === 'lpm_trie' ? prefixText(key) : undefined;
  if (prefix !== undefined) return prefix;
  if (!btf || type === 0) return format(decodeBytes(key), 80);
  const value = decode(btf, type, key);
  return addressOf(value) ?? format(value, 80);
}

/**
 * A trie's key is a u32 prefix length and the bytes that it counts into, most significant first: four of them read
 * as an IPv4 prefix, sixteen as an IPv6 one, any others as hexadecimal.
 */
function prefixText(key: Uint8Array): string | undefined {
  if (key.length < 5) return undefined;
  const length = new DataView(key.buffer, key.byteOffset).getUint32(0, true);
  const data = key.subarray(4);
  if (data.length === 4) return `${formatIpv4(data)}/${length}`;
  if (data.length === 16) return `${formatIpv6(data)}/${length}`;
  return `${hexText(data)}/${length}`;
}

/** A key in an expression that means exactly these bytes: a number where that is one, else `hex(…)`. */
export function keyExpression(btf: Btf | undefined, type: number, key: Uint8Array): string {
  const resolved = btf && type !== 0 ? btf.resolve(type) : undefined;
  if (resolved?.kind === 'int' && !resolved.bool) {
    const text = format(decode(btf!, type, key));
    const number = /^-?\d+/.exec(text)?.[0];
    if (number !== undefined) return number;
  }
  return `hex(${hexText(key)})`;
}
