/** TCP, UDP, ICMP and ICMPv6, from description to bytes, checksums over their pseudo-headers included. */
import { parseIpv4, parseIpv6, parseMac } from '../btf/text';
import { enclosingAddresses, hexBytes, type BuildContext } from './build';
import { be16, be32, concat, padded, viewOf } from './bytes';
import { internetChecksum, pseudoHeader } from './checksum';
import { Icmpv6Types, IcmpTypes, Protocols, TcpFlags } from './names';
import type { Parsed } from './problem';
import type { LayerOf } from './schema';

type TransportLayer = LayerOf<'tcp' | 'udp' | 'icmp' | 'icmpv6'>;

export function buildTransportLayer(layer: TransportLayer, context: BuildContext): Parsed<Uint8Array> {
  switch (layer.type) {
    case 'tcp':
      return buildTcp(layer, context);
    case 'udp':
      return buildUdp(layer, context);
    case 'icmp': {
      const header = concat(icmpStart(layer, IcmpTypes, IcmpTypes.echoRequest), icmpRest(layer));
      const segment = concat(header, context.payload);
      viewOf(segment).setUint16(2, layer.checksum ?? internetChecksum(segment));
      return { ok: true, value: segment };
    }
    case 'icmpv6': {
      const header = concat(icmpStart(layer, Icmpv6Types, Icmpv6Types.echoRequest), icmpv6Rest(layer));
      const segment = concat(header, context.payload);
      return finish(segment, 2, layer.checksum, Protocols.icmpv6, context);
    }
  }
}

function buildTcp(layer: LayerOf<'tcp'>, context: BuildContext): Parsed<Uint8Array> {
  const options = padded(
    typeof layer.options === 'string'
      ? hexBytes(layer.options)
      : concat(...(layer.options ?? []).map(tcpOption)),
    4,
  );
  if (options.length > 40) {
    const message = `are ${options.length} bytes; TCP has room for 40`;
    return { ok: false, problems: [{ path: '.options', message }] };
  }
  const flags = (layer.flags ?? ['SYN']).reduce((bits, flag) => bits | (1 << TcpFlags.indexOf(flag)), 0);
  const segment = concat(
    be16(layer.sourcePort ?? 12345, layer.destinationPort ?? 80),
    be32(layer.sequence ?? 1, layer.acknowledgment ?? 0),
    Uint8Array.of((layer.dataOffset ?? 5 + options.length / 4) << 4, flags),
    be16(layer.window ?? 65535, 0, layer.urgentPointer ?? 0),
    options,
    context.payload,
  );
  return finish(segment, 16, layer.checksum, Protocols.tcp, context);
}

type TcpOption = Exclude<NonNullable<LayerOf<'tcp'>['options']>, string>[number];

/** Kinds from IANA's TCP option registry. */
function tcpOption(option: TcpOption): Uint8Array {
  if ('mss' in option) return concat(Uint8Array.of(2, 4), be16(option.mss));
  if ('windowScale' in option) return Uint8Array.of(3, 3, option.windowScale);
  if ('sackPermitted' in option) return Uint8Array.of(4, 2);
  if ('timestamps' in option)
    return concat(Uint8Array.of(8, 10), be32(option.timestamps.value, option.timestamps.echo ?? 0));
  if ('nop' in option) return Uint8Array.of(1);
  if ('end' in option) return Uint8Array.of(0);
  const data = hexBytes(option.data ?? '');
  return concat(Uint8Array.of(option.kind, (data.length + 2) & 0xff), data);
}

function buildUdp(layer: LayerOf<'udp'>, context: BuildContext): Parsed<Uint8Array> {
  const length = 8 + context.payload.length;
  if (length > 0xffff && layer.length === undefined) {
    const message = `is ${length} bytes long with its payload; length has 16 bits`;
    return { ok: false, problems: [{ path: '', message }] };
  }
  const segment = concat(
    be16(layer.sourcePort ?? 12345, layer.destinationPort ?? 53, layer.length ?? length, 0),
    context.payload,
  );
  return finish(segment, 6, layer.checksum, Protocols.udp, context);
}

/** Puts the checksum in; a UDP sum of zero is sent as ones, because zero means "none" (RFC 768). */
function finish(
  segment: Uint8Array,
  offset: number,
  given: number | undefined,
  protocol: number,
  context: BuildContext,
): Parsed<Uint8Array> {
  const addresses = enclosingAddresses(context);
  if (given === undefined && !addresses) {
    const message = 'has no IP layer around it, whose addresses the checksum needs; give checksum or add one';
    return { ok: false, problems: [{ path: '', message }] };
  }
  const computed = addresses
    ? internetChecksum(pseudoHeader(...addresses, protocol, segment.length), segment)
    : 0;
  const sum = protocol === Protocols.udp && computed === 0 ? 0xffff : computed;
  viewOf(segment).setUint16(offset, given ?? sum);
  return { ok: true, value: segment };
}

function icmpStart(
  layer: LayerOf<'icmp' | 'icmpv6'>,
  table: Record<string, number>,
  usual: number,
): Uint8Array {
  const type = typeof layer.message === 'string' ? table[layer.message]! : (layer.message ?? usual);
  return Uint8Array.of(type, layer.code ?? 0, 0, 0);
}

/** The second word of an ICMP message, whose meaning depends on its type. */
function icmpRest(layer: LayerOf<'icmp'>): Uint8Array {
  if (layer.gateway !== undefined) return parseIpv4(layer.gateway)!;
  if (layer.mtu !== undefined) return be16(0, layer.mtu);
  const echo: (string | number | undefined)[] = [undefined, 'echoRequest', 'echoReply', 8, 0];
  const usual = echo.includes(layer.message) ? 1 : 0;
  return be16(layer.identifier ?? usual, layer.sequence ?? usual);
}

function icmpv6Rest(layer: LayerOf<'icmpv6'>): Uint8Array {
  const type =
    typeof layer.message === 'string'
      ? Icmpv6Types[layer.message as keyof typeof Icmpv6Types]
      : (layer.message ?? Icmpv6Types.echoRequest);
  switch (type) {
    case Icmpv6Types.echoRequest:
    case Icmpv6Types.echoReply:
      return be16(layer.identifier ?? 1, layer.sequence ?? 1);
    case Icmpv6Types.packetTooBig:
      return be32(layer.mtu ?? 1280);
    case Icmpv6Types.neighborSolicitation:
    case Icmpv6Types.neighborAdvertisement: {
      const flags =
        (layer.router === true ? 0x80 : 0) |
        (layer.solicited === true ? 0x40 : 0) |
        (layer.override === true ? 0x20 : 0);
      // RFC 4861, section 4.6.1: option 1 is the source's address, 2 the target's; lengths count 8 bytes.
      const kind = type === Icmpv6Types.neighborSolicitation ? 1 : 2;
      const address = layer.linkLayerAddress;
      const option =
        address === undefined ? new Uint8Array(0) : concat(Uint8Array.of(kind, 1), parseMac(address)!);
      return concat(Uint8Array.of(flags, 0, 0, 0), parseIpv6(layer.target ?? 'fd00::2')!, option);
    }
    default:
      return be16(layer.identifier ?? 0, layer.sequence ?? 0);
  }
}
