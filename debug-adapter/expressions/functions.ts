/** Functions that expressions may call: byte order, and addresses as people write them, which C has no literals for. */
import { parseIpv4, parseIpv6, parseMac } from '../../toolchain/btf/text';
import { swapBytes } from '../../toolchain/btf/byteorder';
import { wrap } from './integers';

/**
 * Bytes that a function of byte order swaps, by its name; undefined for other functions. Those of libbpf, of the kernel
 * and of POSIX; `bpf_htons` and `bpf_ntohs` do the same.
 */
export function swappedBytes(name: string): 2 | 4 | 8 | undefined {
  const match =
    /^(?:bpf_|__bpf_)?(?:hton|ntoh)(s|l|ll)$/.exec(name) ??
    /^(?:bpf_)?(?:cpu_to_be|be(?=\d+_to_cpu)|__builtin_bswap)(16|32|64)(?:_to_cpu)?$/.exec(name);
  return match ? ({ s: 2, l: 4, ll: 8, 16: 2, 32: 4, 64: 8 } as const)[match[1] as 's'] : undefined;
}

/** The number in the other byte order, on a target of little-endian numbers; the same on one of big-endian ones. */
export function networkOrder(value: bigint, size: number, littleEndian: boolean, name: string): bigint {
  const own = wrap(value, size * 8, false);
  // The builtin swaps on every machine.
  return littleEndian || name.startsWith('__builtin') ? swapBytes(own, size) : own;
}

/** `ipv4("10.0.0.7")`, `ipv6("2001:db8::1")`, `mac("02:00:00:00:00:01")`: bytes as they stand in a packet. */
export const ADDRESSES: Record<
  string,
  { parse: (text: string) => Uint8Array | undefined; example: string } | undefined
> = {
  ipv4: { parse: parseIpv4, example: 'ipv4("10.0.0.7")' },
  ipv6: { parse: parseIpv6, example: 'ipv6("2001:db8::1")' },
  mac: { parse: parseMac, example: 'mac("02:00:00:00:00:01")' },
};
