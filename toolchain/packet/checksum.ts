/** The Internet checksum (RFC 1071) and the pseudo-headers that TCP, UDP and ICMPv6 add to it. */

/** Ones' complement of the ones' complement sum of all 16-bit big-endian words of the parts, taken as one run. */
export function internetChecksum(...parts: Uint8Array[]): number {
  let sum = 0;
  let odd = false;
  for (const part of parts) {
    for (const byte of part) {
      sum += odd ? byte : byte << 8;
      odd = !odd;
    }
    // Folding once a part keeps the sum exact for any packet that fits in memory.
    sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  }
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** RFC 793 for 4-byte addresses, RFC 8200 section 8.1 for 16-byte ones. */
export function pseudoHeader(
  source: Uint8Array,
  destination: Uint8Array,
  protocol: number,
  length: number,
): Uint8Array {
  if (source.length === 4)
    return Uint8Array.from([...source, ...destination, 0, protocol, (length >> 8) & 0xff, length & 0xff]);
  const header = new Uint8Array(40);
  header.set(source, 0);
  header.set(destination, 16);
  new DataView(header.buffer).setUint32(32, length);
  header[39] = protocol;
  return header;
}
