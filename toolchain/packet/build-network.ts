/** Ethernet, VLAN, ARP, IPv4, IPv6 and IPv6's extension headers, from description to bytes. */
import { parseIpv4, parseMac } from '../btf/text';
import { addressesOf, hexBytes, type BuildContext } from './build';
import { be16, be32, concat, padded, viewOf } from './bytes';
import { internetChecksum } from './checksum';
import { DEFAULT_DESTINATION_MAC, DEFAULT_SOURCE_MAC } from './link-type';
import { ArpOperations, EtherTypes, Icmpv6Types, Protocols } from './names';
import type { Parsed } from './problem';
import type { Layer, LayerOf, LayerType } from './schema';

type NetworkLayer = LayerOf<
  'ethernet' | 'vlan' | 'arp' | 'ipv4' | 'ipv6' | 'hopByHop' | 'destinationOptions' | 'fragment'
>;

export function buildNetworkLayer(layer: NetworkLayer, context: BuildContext): Parsed<Uint8Array> {
  const done = (...parts: Uint8Array[]) => ({ ok: true as const, value: concat(...parts, context.payload) });
  switch (layer.type) {
    case 'ethernet':
      return done(
        layer.destination === undefined ? DEFAULT_DESTINATION_MAC : parseMac(layer.destination)!,
        sourceMac(layer),
        be16(etherTypeAfter(layer.etherType, context)),
      );
    case 'vlan': {
      const control = ((layer.priority ?? 0) << 13) | (layer.dropEligible === true ? 1 << 12 : 0) | layer.id;
      return done(be16(control, etherTypeAfter(layer.etherType, context)));
    }
    case 'arp':
      return done(arpBytes(layer, context));
    case 'ipv4':
      return buildIpv4(layer, context);
    case 'ipv6':
      return done(ipv6Header(layer, context), ...addressesOf(layer));
    case 'hopByHop':
    case 'destinationOptions': {
      const options = paddedIpv6Options(optionBytes(layer.options, [0]));
      if ((options.length + 2) / 8 - 1 > 255) return problem('.options', 'are longer than 2046 bytes');
      const lengthField = (options.length + 2) / 8 - 1;
      return done(Uint8Array.of(protocolAfter(layer.nextHeader, context), lengthField), options);
    }
    case 'fragment': {
      const offset = (layer.offset ?? 0) | (layer.moreFragments === true ? 1 : 0);
      const next = Uint8Array.of(protocolAfter(layer.nextHeader, context), 0);
      return done(next, be16(offset), be32(layer.identification ?? 0));
    }
  }
}

function problem(path: string, message: string): Parsed<Uint8Array> {
  return { ok: false, problems: [{ path, message }] };
}

function sourceMac(layer: Layer | undefined): Uint8Array {
  return layer?.type === 'ethernet' && layer.source !== undefined
    ? parseMac(layer.source)!
    : DEFAULT_SOURCE_MAC;
}

function arpBytes(layer: LayerOf<'arp'>, { layers, index }: BuildContext): Uint8Array {
  const operation =
    typeof layer.operation === 'string'
      ? ArpOperations[layer.operation as keyof typeof ArpOperations]
      : (layer.operation ?? ArpOperations.request);
  const ethernet = layers.slice(0, index).findLast((outer) => outer.type === 'ethernet');
  return concat(
    be16(1, EtherTypes.ipv4),
    Uint8Array.of(6, 4),
    be16(operation),
    layer.senderMac === undefined ? sourceMac(ethernet) : parseMac(layer.senderMac)!,
    parseIpv4(layer.senderIp ?? '10.0.0.1')!,
    parseMac(layer.targetMac ?? '00:00:00:00:00:00')!,
    parseIpv4(layer.targetIp ?? '10.0.0.2')!,
  );
}

function buildIpv4(layer: LayerOf<'ipv4'>, context: BuildContext): Parsed<Uint8Array> {
  const options = padded(optionBytes(layer.options, [0, 1]), 4);
  if (options.length > 40) return problem('.options', `are ${options.length} bytes; IPv4 has room for 40`);
  const length = 20 + options.length + context.payload.length;
  if (length > 0xffff && layer.totalLength === undefined)
    return problem('', `is ${length} bytes long with its payload; totalLength has 16 bits`);
  const fragment =
    (layer.dontFragment === true ? 0x4000 : 0) |
    (layer.moreFragments === true ? 0x2000 : 0) |
    ((layer.fragmentOffset ?? 0) >> 3);
  const header = concat(
    Uint8Array.of(
      ((layer.version ?? 4) << 4) | (layer.headerLength ?? 5 + options.length / 4),
      ((layer.dscp ?? 0) << 2) | (layer.ecn ?? 0),
    ),
    be16(layer.totalLength ?? length, layer.identification ?? 0, fragment),
    Uint8Array.of(layer.ttl ?? 64, protocolAfter(layer.protocol, context)),
    be16(0),
    ...addressesOf(layer),
    options,
  );
  viewOf(header).setUint16(10, layer.checksum ?? internetChecksum(header));
  return { ok: true, value: concat(header, context.payload) };
}

function ipv6Header(layer: LayerOf<'ipv6'>, context: BuildContext): Uint8Array {
  const traffic = ((layer.dscp ?? 0) << 2) | (layer.ecn ?? 0);
  const first = (((layer.version ?? 6) << 28) | (traffic << 20) | (layer.flowLabel ?? 0)) >>> 0;
  // A payload beyond 16 bits is a jumbogram, whose length field is zero (RFC 2675).
  const length = layer.payloadLength ?? (context.payload.length > 0xffff ? 0 : context.payload.length);
  const next = protocolAfter(layer.nextHeader, context);
  return concat(be32(first), be16(length), Uint8Array.of(next, layer.hopLimit ?? defaultHopLimit(context)));
}

function defaultHopLimit({ layers, index }: BuildContext): number {
  const inner = layers.slice(index + 1).find((layer) => layer.type === 'icmpv6');
  const discovery: (string | number | undefined)[] = [
    'routerSolicitation',
    'routerAdvertisement',
    'neighborSolicitation',
    'neighborAdvertisement',
  ].flatMap((name) => [name, Icmpv6Types[name as keyof typeof Icmpv6Types]]);
  return discovery.includes(inner?.message) ? 255 : 64;
}

/** IPv4 and IPv6 options share a form: a type, a length, data; `single` types have neither length nor data. */
function optionBytes(
  options: string | { type: number; data?: string }[] | undefined,
  single: number[],
): Uint8Array {
  if (options === undefined) return new Uint8Array(0);
  if (typeof options === 'string') return hexBytes(options);
  // IPv4's length counts the type and length bytes, IPv6's does not; the set of single types tells them apart.
  const counted = single.includes(1) ? 2 : 0;
  return concat(
    ...options.map(({ type, data }) => {
      if (single.includes(type) && data === undefined) return Uint8Array.of(type);
      const content = hexBytes(data ?? '');
      return concat(Uint8Array.of(type, (content.length + counted) & 0xff), content);
    }),
  );
}

/** RFC 8200, section 4.2: Pad1 for one byte, PadN for more, until options and the two bytes before fill 8s. */
function paddedIpv6Options(options: Uint8Array): Uint8Array {
  const missing = (8 - ((options.length + 2) % 8)) % 8;
  if (missing === 0) return options;
  const padding = missing === 1 ? Uint8Array.of(0) : new Uint8Array(missing);
  if (missing > 1) padding.set([1, missing - 2]);
  return concat(options, padding);
}

const ETHER_TYPE_OF: Partial<Record<LayerType, number>> = {
  arp: EtherTypes.arp,
  ipv4: EtherTypes.ipv4,
  ipv6: EtherTypes.ipv6,
};

function etherTypeAfter(given: string | number | undefined, { layers, index }: BuildContext): number {
  if (typeof given === 'number') return given;
  if (given !== undefined) return EtherTypes[given as keyof typeof EtherTypes];
  const next = layers[index + 1];
  if (next?.type === 'vlan') {
    const outer = next.protocol ?? (layers[index + 2]?.type === 'vlan' ? '802.1ad' : '802.1Q');
    return outer === '802.1ad' ? EtherTypes.qinq : EtherTypes.vlan;
  }
  // IEEE 802 gives 0x88b5 to local experiments: a payload without a protocol is one.
  return (next && ETHER_TYPE_OF[next.type]) ?? 0x88b5;
}

const PROTOCOL_OF: Partial<Record<LayerType, number>> = {
  ipv4: Protocols.ipip,
  ipv6: Protocols.ipv6,
  hopByHop: Protocols.hopByHop,
  destinationOptions: Protocols.destinationOptions,
  fragment: Protocols.fragment,
  tcp: Protocols.tcp,
  udp: Protocols.udp,
  icmp: Protocols.icmp,
  icmpv6: Protocols.icmpv6,
};

function protocolAfter(given: string | number | undefined, { layers, index }: BuildContext): number {
  if (typeof given === 'number') return given;
  if (given !== undefined) return Protocols[given as keyof typeof Protocols];
  const next = layers[index + 1];
  // RFC 3692 keeps 253 for experiments; 59 is IPv6's "nothing follows", said of an IP header with no layer in it.
  return (next && PROTOCOL_OF[next.type]) ?? (next ? 253 : Protocols.noNextHeader);
}
