/** IPv4, IPv6 and IPv6's extension headers, from bytes to fields. */
import { formatIpv4, formatIpv6 } from '../btf/text';
import { internetChecksum } from './checksum';
import type { Next, Step } from './dissect';
import { hexText } from './hexdump';
import { EtherTypes, nameOf, Protocols } from './names';
import { hex16, type FieldReader } from './reader';

/** `next` is an EtherType's Next, or an IP protocol number for tunnels and extension headers. */
export function dissectNetwork(reader: FieldReader, next: Next | number): Step | undefined {
  const etherType = typeof next === 'number' ? undefined : next.kind === 'etherType' ? next.value : undefined;
  const protocol = typeof next === 'number' ? next : undefined;
  if (etherType === EtherTypes.ipv4 || protocol === Protocols.ipip) return dissectIpv4(reader);
  if (etherType === EtherTypes.ipv6 || protocol === Protocols.ipv6) return dissectIpv6(reader);
  switch (protocol) {
    case Protocols.hopByHop:
      return dissectOptions(reader, 'hopByHop', 'IPv6 hop-by-hop options');
    case Protocols.destinationOptions:
      return dissectOptions(reader, 'destinationOptions', 'IPv6 destination options');
    case Protocols.routing:
      return dissectOptions(reader, 'routing', 'IPv6 routing header');
    case Protocols.fragment:
      return dissectFragment(reader);
    default:
      return undefined;
  }
}

function dissectIpv4(reader: FieldReader): Step | undefined {
  if (!reader.has(20)) return undefined;
  const first = reader.peek(0, 1);
  const headerBytes = (first & 0xf) * 4;
  // A header that contradicts itself is shown as far as it can be trusted: not at all.
  if (first >> 4 !== 4 || headerBytes < 20 || !reader.has(headerBytes)) return undefined;
  reader.add('version', 0, 1, 4);
  reader.add('headerLength', 0, 1, first & 0xf, `${first & 0xf} (${headerBytes} bytes)`);
  reader.add('dscp', 1, 1, reader.peek(1, 1) >> 2);
  reader.add('ecn', 1, 1, reader.peek(1, 1) & 3);
  const totalLength = reader.number('totalLength', 2, 2);
  reader.number('identification', 4, 2, hex16);
  const fragment = reader.peek(6, 2);
  reader.add('dontFragment', 6, 1, (fragment >> 14) & 1);
  reader.add('moreFragments', 6, 1, (fragment >> 13) & 1);
  const offset = (fragment & 0x1fff) * 8;
  reader.add('fragmentOffset', 6, 2, offset);
  reader.number('ttl', 8, 1);
  const protocol = reader.number('protocol', 9, 1, protocolText);
  const header = reader.slice(0, headerBytes);
  reader.checksum(10, internetChecksum(header.subarray(0, 10), header.subarray(12)));
  const source = reader.address('source', 12, 4, formatIpv4);
  const destination = reader.address('destination', 16, 4, formatIpv4);
  if (headerBytes > 20) reader.add('options', 20, headerBytes - 20, hexText(header.subarray(20)));
  const complete = reader.has(totalLength);
  return {
    layer: reader.layer('ipv4', `IPv4 ${source} → ${destination}`, headerBytes),
    next: offset > 0 ? { kind: 'payload' } : { kind: 'protocol', value: protocol },
    end: reader.start + Math.max(headerBytes, totalLength),
    enclosing: {
      source: reader.slice(12, 4),
      destination: reader.slice(16, 4),
      fragmented: offset > 0 || (fragment & 0x2000) !== 0 || !complete,
    },
  };
}

function dissectIpv6(reader: FieldReader): Step | undefined {
  if (!reader.has(40) || reader.peek(0, 1) >> 4 !== 6) return undefined;
  const first = reader.peek(0, 4);
  reader.add('version', 0, 1, 6);
  reader.add('dscp', 0, 2, (first >>> 22) & 0x3f);
  reader.add('ecn', 1, 1, (first >>> 20) & 3);
  reader.add('flowLabel', 1, 3, first & 0xfffff, `0x${(first & 0xfffff).toString(16).padStart(5, '0')}`);
  const payloadLength = reader.number('payloadLength', 4, 2);
  const protocol = reader.number('nextHeader', 6, 1, protocolText);
  reader.number('hopLimit', 7, 1);
  const source = reader.address('source', 8, 16, formatIpv6);
  const destination = reader.address('destination', 24, 16, formatIpv6);
  return {
    layer: reader.layer('ipv6', `IPv6 ${source} → ${destination}`, 40),
    next: { kind: 'protocol', value: protocol },
    end: reader.start + 40 + payloadLength,
    enclosing: {
      source: reader.slice(8, 16),
      destination: reader.slice(24, 16),
      fragmented: !reader.has(40 + payloadLength),
    },
  };
}

function dissectOptions(reader: FieldReader, type: string, title: string): Step | undefined {
  if (!reader.has(8)) return undefined;
  const length = (reader.peek(1, 1) + 1) * 8;
  if (!reader.has(length)) return undefined;
  const protocol = reader.number('nextHeader', 0, 1, protocolText);
  reader.add('length', 1, 1, reader.peek(1, 1), `${reader.peek(1, 1)} (${length} bytes)`);
  reader.add('options', 2, length - 2, hexText(reader.slice(2, length - 2)));
  return { layer: reader.layer(type, title, length), next: { kind: 'protocol', value: protocol } };
}

function dissectFragment(reader: FieldReader): Step | undefined {
  if (!reader.has(8)) return undefined;
  const protocol = reader.number('nextHeader', 0, 1, protocolText);
  const word = reader.peek(2, 2);
  const offset = word & 0xfff8;
  reader.add('offset', 2, 2, offset);
  reader.add('moreFragments', 3, 1, word & 1);
  reader.number('identification', 4, 4, (value) => `0x${value.toString(16).padStart(8, '0')}`);
  const fragmented = offset > 0 || (word & 1) === 1;
  return {
    layer: reader.layer('fragment', `IPv6 fragment at ${offset}`, 8),
    next: offset > 0 ? { kind: 'payload' } : { kind: 'protocol', value: protocol },
    fragmented,
  };
}

function protocolText(value: number): string {
  const name = nameOf(Protocols, value);
  return String(value) + (name === undefined ? '' : ` (${name})`);
}
