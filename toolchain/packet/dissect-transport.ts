/** TCP, UDP, ICMP and ICMPv6, from bytes to fields, with a verdict on each checksum. */
import { formatIpv4, formatIpv6, formatMac } from '../btf/text';
import { internetChecksum, pseudoHeader } from './checksum';
import type { Enclosing, Step } from './dissect';
import { hexText } from './hexdump';
import { EtherTypes, Icmpv6Types, IcmpTypes, nameOf, Protocols, TcpFlags } from './names';
import type { FieldReader } from './reader';

export function dissectTransport(
  reader: FieldReader,
  protocol: number,
  enclosing: Enclosing | undefined,
): Step | undefined {
  switch (protocol) {
    case Protocols.tcp:
      return dissectTcp(reader, enclosing);
    case Protocols.udp:
      return dissectUdp(reader, enclosing);
    case Protocols.icmp:
      return dissectIcmp(reader, enclosing);
    case Protocols.icmpv6:
      return dissectIcmpv6(reader, enclosing);
    default:
      return undefined;
  }
}

/** What the checksum at `at` should be; undefined when bytes that it covers are not in this packet. */
function expectedSum(
  reader: FieldReader,
  at: number,
  protocol: number,
  enclosing: Enclosing | undefined,
): number | undefined {
  if (!enclosing || enclosing.fragmented) return undefined;
  const length = reader.end - reader.start;
  const segment = reader.slice(0, length);
  const pseudo =
    protocol === Protocols.icmp
      ? new Uint8Array(0)
      : pseudoHeader(enclosing.source, enclosing.destination, protocol, length);
  // Two zero bytes stand for the field itself, so that an odd `at` cannot shift the words behind it.
  return internetChecksum(pseudo, segment.subarray(0, at), Uint8Array.of(0, 0), segment.subarray(at + 2));
}

function dissectTcp(reader: FieldReader, enclosing: Enclosing | undefined): Step | undefined {
  if (!reader.has(20)) return undefined;
  const words = reader.peek(12, 1) >> 4;
  const headerBytes = words * 4;
  if (headerBytes < 20 || !reader.has(headerBytes)) return undefined;
  const source = reader.number('sourcePort', 0, 2);
  const destination = reader.number('destinationPort', 2, 2);
  reader.number('sequence', 4, 4);
  reader.number('acknowledgment', 8, 4);
  reader.add('dataOffset', 12, 1, words, `${words} (${headerBytes} bytes)`);
  const flags = TcpFlags.filter((_, bit) => (reader.peek(13, 1) >> bit) & 1).join(' ');
  reader.add('flags', 13, 1, flags, flags || 'none');
  reader.number('window', 14, 2);
  reader.checksum(16, expectedSum(reader, 16, Protocols.tcp, enclosing));
  reader.number('urgentPointer', 18, 2);
  if (headerBytes > 20) {
    const options = reader.slice(20, headerBytes - 20);
    reader.add('options', 20, options.length, hexText(options), tcpOptionsText(options));
  }
  const layer = reader.layer('tcp', `TCP ${source} → ${destination} ${flags}`.trimEnd(), headerBytes);
  return { layer, next: { kind: 'payload' } };
}

/** `mss 1460, sackPermitted, timestamps 1 0, nop, windowScale 7`; stops at the first option that makes no sense. */
function tcpOptionsText(options: Uint8Array): string {
  const words: string[] = [];
  const view = new DataView(options.buffer, options.byteOffset, options.byteLength);
  for (let at = 0; at < options.length;) {
    const kind = options[at]!;
    if (kind === 0) {
      words.push('end');
      break;
    }
    if (kind === 1) {
      words.push('nop');
      at += 1;
      continue;
    }
    const length = options[at + 1] ?? 0;
    if (length < 2 || at + length > options.length) {
      words.push(`malformed at byte ${at}`);
      break;
    }
    if (kind === 2 && length === 4) words.push(`mss ${view.getUint16(at + 2)}`);
    else if (kind === 3 && length === 3) words.push(`windowScale ${options[at + 2]}`);
    else if (kind === 4 && length === 2) words.push('sackPermitted');
    else if (kind === 8 && length === 10)
      words.push(`timestamps ${view.getUint32(at + 2)} ${view.getUint32(at + 6)}`);
    else words.push(`kind ${kind} ${hexText(options.subarray(at + 2, at + length))}`.trimEnd());
    at += length;
  }
  return words.join(', ');
}

function dissectUdp(reader: FieldReader, enclosing: Enclosing | undefined): Step | undefined {
  if (!reader.has(8)) return undefined;
  const source = reader.number('sourcePort', 0, 2);
  const destination = reader.number('destinationPort', 2, 2);
  const length = reader.number('length', 4, 2);
  if (reader.peek(6, 2) === 0 && enclosing?.source.length === 4)
    reader.add('checksum', 6, 2, 0, '0x0000 (none)');
  else {
    const sum = expectedSum(reader, 6, Protocols.udp, enclosing);
    reader.checksum(6, sum === 0 ? 0xffff : sum);
  }
  const layer = reader.layer('udp', `UDP ${source} → ${destination}`, 8);
  return { layer, next: { kind: 'payload' }, end: reader.start + Math.max(8, length) };
}

function dissectIcmp(reader: FieldReader, enclosing: Enclosing | undefined): Step | undefined {
  if (!reader.has(8)) return undefined;
  const type = reader.number('message', 0, 1, (value) => withName(IcmpTypes, value));
  reader.number('code', 1, 1);
  reader.checksum(2, expectedSum(reader, 2, Protocols.icmp, enclosing));
  if (type === IcmpTypes.redirect) reader.address('gateway', 4, 4, formatIpv4);
  else if (type === IcmpTypes.destinationUnreachable) reader.number('mtu', 6, 2);
  else {
    reader.number('identifier', 4, 2);
    reader.number('sequence', 6, 2);
  }
  const quotes: number[] = [IcmpTypes.destinationUnreachable, IcmpTypes.timeExceeded, IcmpTypes.redirect];
  return {
    layer: reader.layer('icmp', `ICMP ${nameOf(IcmpTypes, type) ?? `type ${type}`}`, 8),
    next: quotes.includes(type) ? { kind: 'etherType', value: EtherTypes.ipv4 } : { kind: 'payload' },
  };
}

function dissectIcmpv6(reader: FieldReader, enclosing: Enclosing | undefined): Step | undefined {
  if (!reader.has(8)) return undefined;
  const type = reader.number('message', 0, 1, (value) => withName(Icmpv6Types, value));
  reader.number('code', 1, 1);
  reader.checksum(2, expectedSum(reader, 2, Protocols.icmpv6, enclosing));
  const title = `ICMPv6 ${nameOf(Icmpv6Types, type) ?? `type ${type}`}`;
  const discovery: number[] = [Icmpv6Types.neighborSolicitation, Icmpv6Types.neighborAdvertisement];
  if (discovery.includes(type) && reader.has(24)) {
    reader.add('flags', 4, 1, reader.peek(4, 1));
    reader.address('target', 8, 16, formatIpv6);
    if (reader.has(32) && reader.peek(25, 1) === 1) {
      reader.address('linkLayerAddress', 26, 6, formatMac);
      return { layer: reader.layer('icmpv6', title, 32), next: { kind: 'payload' } };
    }
    return { layer: reader.layer('icmpv6', title, 24), next: { kind: 'payload' } };
  }
  if (type === Icmpv6Types.packetTooBig) reader.number('mtu', 4, 4);
  else {
    reader.number('identifier', 4, 2);
    reader.number('sequence', 6, 2);
  }
  // RFC 4443: errors are the types below 128, and quote the packet that caused them.
  return {
    layer: reader.layer('icmpv6', title, 8),
    next: type < 128 ? { kind: 'etherType', value: EtherTypes.ipv6 } : { kind: 'payload' },
  };
}

function withName(table: Record<string, number>, value: number): string {
  const name = nameOf(table, value);
  return String(value) + (name === undefined ? '' : ` (${name})`);
}
