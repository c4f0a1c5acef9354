/**
 * Packets described in a launch configuration: a list of layers from the outside in. What is left out is filled in
 * (lengths, EtherTypes, protocol numbers, checksums, usual values); what is given is taken as it is, so that wrong
 * packets can be made on purpose.
 */
import { z } from 'zod';
import { parseIpv4, parseIpv6, parseMac } from '../btf/text';
import { parseHex } from './hex';
import { ArpOperations, EtherTypes, Icmpv6Types, IcmpTypes, Protocols, TcpFlags } from './names';

const u = (bits: number) =>
  z
    .number()
    .int()
    .min(0)
    .max(2 ** bits - 1);
const checksum = u(16).optional().describe('Filled in when left out.');
const bool = z.boolean().optional();

const mac = z.string().refine((text) => parseMac(text) !== undefined, {
  error: 'is not a MAC address such as 02:00:00:00:00:01',
});
const ipv4Address = z.string().refine((text) => parseIpv4(text) !== undefined, {
  error: 'is not an IPv4 address such as 10.0.0.1',
});
const ipv6Address = z.string().refine((text) => parseIpv6(text) !== undefined, {
  error: 'is not an IPv6 address such as fd00::1',
});
const hex = z.string().superRefine((text, context) => {
  const parsed = parseHex(text);
  if (!parsed.ok)
    context.addIssue({
      code: 'custom',
      message: `is not hex text (${parsed.problems[0]!.path}: ${parsed.problems[0]!.message})`,
    });
});

/** A number, or a name from one of the tables in names.ts. */
const named = <T extends Record<string, number>>(table: T, bits: number) =>
  z.union([u(bits), z.enum(Object.keys(table) as [string, ...string[]])]);

const etherType = named(EtherTypes, 16).optional().describe('Default: what the next layer is.');
const nextProtocol = named(Protocols, 8).optional().describe('Default: what the next layer is.');

const ethernet = z.strictObject({
  type: z.literal('ethernet'),
  source: mac.optional().describe('Default: 02:00:00:00:00:01.'),
  destination: mac.optional().describe('Default: 02:00:00:00:00:02.'),
  etherType,
});

const vlan = z.strictObject({
  type: z.literal('vlan'),
  id: u(12).describe('VLAN identifier, 0 to 4095.'),
  priority: u(3).optional().describe('Priority code point; default: 0.'),
  dropEligible: bool.describe('Drop eligible indicator; default: false.'),
  protocol: z
    .enum(['802.1Q', '802.1ad'])
    .optional()
    .describe('Tag protocol; default: 802.1ad before another vlan layer (QinQ), else 802.1Q.'),
  etherType,
});

const arp = z.strictObject({
  type: z.literal('arp'),
  operation: named(ArpOperations, 16).optional().describe('Default: request.'),
  senderMac: mac.optional().describe('Default: the source of the Ethernet layer.'),
  senderIp: ipv4Address.optional().describe('Default: 10.0.0.1.'),
  targetMac: mac.optional().describe('Default: 00:00:00:00:00:00.'),
  targetIp: ipv4Address.optional().describe('Default: 10.0.0.2.'),
});

const ipv4Option = z.strictObject({
  type: u(8).describe('Option type, copied flag and class included.'),
  data: hex.optional().describe('Option data; the length byte is filled in. Left out for one-byte options.'),
});

const ipv4 = z.strictObject({
  type: z.literal('ipv4'),
  source: ipv4Address.optional().describe('Default: 10.0.0.1.'),
  destination: ipv4Address.optional().describe('Default: 10.0.0.2.'),
  ttl: u(8).optional().describe('Default: 64.'),
  protocol: nextProtocol,
  dscp: u(6).optional().describe('Default: 0.'),
  ecn: u(2).optional().describe('Default: 0.'),
  identification: u(16).optional().describe('Default: 0.'),
  dontFragment: bool.describe('Default: false.'),
  moreFragments: bool.describe('Default: false.'),
  fragmentOffset: u(16).multipleOf(8).optional().describe('In bytes, a multiple of 8; default: 0.'),
  version: u(4).optional().describe('Default: 4.'),
  headerLength: u(4).optional().describe('In 4-byte words; filled in when left out.'),
  totalLength: u(16).optional().describe('Filled in when left out.'),
  checksum,
  options: z
    .union([hex, z.array(ipv4Option)])
    .optional()
    .describe('Padded with zeros to 4 bytes.'),
});

const ipv6 = z.strictObject({
  type: z.literal('ipv6'),
  source: ipv6Address.optional().describe('Default: fd00::1.'),
  destination: ipv6Address.optional().describe('Default: fd00::2.'),
  hopLimit: u(8).optional().describe('Default: 64; 255 before neighbour discovery, which demands it.'),
  nextHeader: nextProtocol,
  dscp: u(6).optional().describe('Default: 0.'),
  ecn: u(2).optional().describe('Default: 0.'),
  flowLabel: u(20).optional().describe('Default: 0.'),
  version: u(4).optional().describe('Default: 6.'),
  payloadLength: u(16).optional().describe('Filled in when left out.'),
});

const ipv6Options = z
  .union([hex, z.array(z.strictObject({ type: u(8), data: hex.optional() }))])
  .optional()
  .describe('Padded with PadN to a multiple of 8 bytes.');

const hopByHop = z.strictObject({
  type: z.literal('hopByHop'),
  nextHeader: nextProtocol,
  options: ipv6Options,
});
const destinationOptions = z.strictObject({
  type: z.literal('destinationOptions'),
  nextHeader: nextProtocol,
  options: ipv6Options,
});
const fragment = z.strictObject({
  type: z.literal('fragment'),
  nextHeader: nextProtocol,
  offset: u(16).multipleOf(8).optional().describe('In bytes, a multiple of 8; default: 0.'),
  moreFragments: bool.describe('Default: false.'),
  identification: u(32).optional().describe('Default: 0.'),
});

const tcpOption = z.union([
  z.strictObject({ mss: u(16) }),
  z.strictObject({ windowScale: u(8) }),
  z.strictObject({ sackPermitted: z.literal(true) }),
  z.strictObject({ timestamps: z.strictObject({ value: u(32), echo: u(32).optional() }) }),
  z.strictObject({ nop: z.literal(true) }),
  z.strictObject({ end: z.literal(true) }),
  z.strictObject({ kind: u(8), data: hex.optional() }),
]);

const tcp = z.strictObject({
  type: z.literal('tcp'),
  sourcePort: u(16).optional().describe('Default: 12345.'),
  destinationPort: u(16).optional().describe('Default: 80.'),
  sequence: u(32).optional().describe('Default: 1.'),
  acknowledgment: u(32).optional().describe('Default: 0.'),
  flags: z.array(z.enum(TcpFlags)).optional().describe('Default: ["SYN"].'),
  window: u(16).optional().describe('Default: 65535.'),
  urgentPointer: u(16).optional().describe('Default: 0.'),
  dataOffset: u(4).optional().describe('In 4-byte words; filled in when left out.'),
  checksum,
  options: z
    .union([hex, z.array(tcpOption)])
    .optional()
    .describe('Padded with zeros to 4 bytes.'),
});

const udp = z.strictObject({
  type: z.literal('udp'),
  sourcePort: u(16).optional().describe('Default: 12345.'),
  destinationPort: u(16).optional().describe('Default: 53.'),
  length: u(16).optional().describe('Header and payload; filled in when left out.'),
  checksum,
});

const icmp = z.strictObject({
  type: z.literal('icmp'),
  message: named(IcmpTypes, 8).optional().describe('ICMP type; default: echoRequest.'),
  code: u(8).optional().describe('Default: 0.'),
  identifier: u(16).optional().describe('Echo: default 1.'),
  sequence: u(16).optional().describe('Echo: default 1.'),
  mtu: u(16).optional().describe('Next-hop MTU of destinationUnreachable with code 4.'),
  gateway: ipv4Address.optional().describe('Gateway of redirect.'),
  checksum,
});

const icmpv6 = z.strictObject({
  type: z.literal('icmpv6'),
  message: named(Icmpv6Types, 8).optional().describe('ICMPv6 type; default: echoRequest.'),
  code: u(8).optional().describe('Default: 0.'),
  identifier: u(16).optional().describe('Echo: default 1.'),
  sequence: u(16).optional().describe('Echo: default 1.'),
  mtu: u(32).optional().describe('packetTooBig: default 1280.'),
  target: ipv6Address.optional().describe('Neighbour discovery: default fd00::2.'),
  linkLayerAddress: mac
    .optional()
    .describe('Source (solicitation) or target (advertisement) link-layer address option.'),
  router: bool.describe('neighborAdvertisement; default: false.'),
  solicited: bool.describe('neighborAdvertisement; default: false.'),
  override: bool.describe('neighborAdvertisement; default: false.'),
  checksum,
});

const payload = z.strictObject({
  type: z.literal('payload'),
  text: z.string().optional().describe('UTF-8 text.'),
  hex: hex.optional(),
  length: z.number().int().min(0).max(65535).optional().describe('Bytes of filling.'),
  fill: u(8).optional().describe('The byte to fill with; default: 0.'),
});

const layerSchemas = {
  ethernet,
  vlan,
  arp,
  ipv4,
  ipv6,
  hopByHop,
  fragment,
  destinationOptions,
  tcp,
  udp,
  icmp,
  icmpv6,
  payload,
} as const;

export type LayerType = keyof typeof layerSchemas;
export type Layer = { [T in LayerType]: z.infer<(typeof layerSchemas)[T]> }[LayerType];
export type LayerOf<T extends LayerType> = Extract<Layer, { type: T }>;

/** The schema of one layer type's description, for naming its fields in problems. */
export function schemaOfLayer(type: string): z.ZodObject | undefined {
  return Object.hasOwn(layerSchemas, type) ? layerSchemas[type as LayerType] : undefined;
}

export const layerTypes = Object.keys(layerSchemas) as LayerType[];

/** A layers description as JSON schema (draft 7), for `contributes.debuggers` and documentation. */
export function layersJsonSchema(): Record<string, unknown> {
  const [first, ...others] = Object.values(layerSchemas);
  const layer = z.discriminatedUnion('type', [first!, ...others]);
  const items = z.toJSONSchema(layer, { target: 'draft-7', io: 'input' });
  delete items.$schema;
  return { type: 'array', description: 'Layers of a packet, from the outside in.', items };
}
