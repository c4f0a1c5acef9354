/** Bytes to layers: what the output difference and the packet view show. Total: any bytes give some layers. */
import { formatIpv4, formatMac } from '../btf/text';
import { dissectNetwork } from './dissect-network';
import { dissectTransport } from './dissect-transport';
import { hexText } from './hexdump';
import type { Framing } from './link-type';
import { ArpOperations, EtherTypes, nameOf } from './names';
import { FieldReader, hex16, type DissectedLayer } from './reader';

export type { DissectedField, DissectedLayer } from './reader';

/** What follows a header, and how far it reaches. */
export type Next =
  | { kind: 'etherType'; value: number }
  | { kind: 'protocol'; value: number }
  /** No further header is known, or this is a later fragment. */
  | { kind: 'payload' };

/** What inner layers need to know of the IP layer around them. */
export interface Enclosing {
  source: Uint8Array;
  destination: Uint8Array;
  /** True when the transport header's bytes are not all in this packet. */
  fragmented: boolean;
}

export interface Step {
  layer: DissectedLayer;
  next: Next;
  /** End of this layer's payload, when its header says so. */
  end?: number;
  enclosing?: Enclosing;
  /** An extension header says that the transport header's bytes are not all in this packet. */
  fragmented?: boolean;
}

/** Nesting that no real packet has; stops descriptions of packets inside packets inside packets. */
const MAX_LAYERS = 32;

export function dissect(bytes: Uint8Array, framing: Framing): DissectedLayer[] {
  const layers: DissectedLayer[] = [];
  let offset = 0;
  let end = bytes.length;
  let enclosing: Enclosing | undefined;
  let next: Next | undefined =
    framing === 'ethernet' ? undefined : { kind: 'etherType', value: ipEtherType(bytes) };
  while (layers.length < MAX_LAYERS) {
    const reader = new FieldReader(bytes, offset, end);
    const step: Step | undefined =
      next === undefined ? dissectEthernet(reader) : dissectNext(reader, next, enclosing);
    if (!step) break;
    layers.push(step.layer);
    offset = step.layer.offset + step.layer.length;
    end = Math.max(offset, Math.min(end, step.end ?? end));
    enclosing = step.enclosing ?? enclosing;
    if (enclosing && step.fragmented === true) enclosing = { ...enclosing, fragmented: true };
    next = step.next;
  }
  if (offset < end) layers.push(rest('payload', bytes, offset, end));
  if (end < bytes.length) layers.push(rest('padding', bytes, end, bytes.length));
  return layers;
}

function ipEtherType(bytes: Uint8Array): number {
  const version = (bytes[0] ?? 0) >> 4;
  return version === 4 ? EtherTypes.ipv4 : version === 6 ? EtherTypes.ipv6 : 0;
}

function dissectNext(reader: FieldReader, next: Next, enclosing: Enclosing | undefined): Step | undefined {
  if (next.kind === 'payload' || reader.start >= reader.end) return undefined;
  if (next.kind === 'protocol')
    return dissectNetwork(reader, next.value) ?? dissectTransport(reader, next.value, enclosing);
  switch (next.value) {
    case EtherTypes.vlan:
    case EtherTypes.qinq:
      return dissectVlan(reader);
    case EtherTypes.arp:
      return dissectArp(reader);
    default:
      return dissectNetwork(reader, next);
  }
}

function dissectEthernet(reader: FieldReader): Step | undefined {
  if (!reader.has(14)) return undefined;
  const destination = reader.address('destination', 0, 6, formatMac);
  const source = reader.address('source', 6, 6, formatMac);
  const etherType = reader.number('etherType', 12, 2, etherTypeText);
  const layer = reader.layer('ethernet', `Ethernet ${source} → ${destination}`, 14);
  return { layer, next: { kind: 'etherType', value: etherType } };
}

function dissectVlan(reader: FieldReader): Step | undefined {
  if (!reader.has(4)) return undefined;
  const control = reader.peek(0, 2);
  reader.add('priority', 0, 1, control >> 13);
  reader.add('dropEligible', 0, 1, (control >> 12) & 1);
  reader.add('id', 0, 2, control & 0xfff);
  const etherType = reader.number('etherType', 2, 2, etherTypeText);
  return {
    layer: reader.layer('vlan', `VLAN ${control & 0xfff}`, 4),
    next: { kind: 'etherType', value: etherType },
  };
}

function dissectArp(reader: FieldReader): Step | undefined {
  // Only Ethernet and IPv4 addresses have the lengths that the fields below assume.
  if (!reader.has(28) || reader.peek(4, 1) !== 6 || reader.peek(5, 1) !== 4) return undefined;
  const operation = reader.number(
    'operation',
    6,
    2,
    (value) => nameOf(ArpOperations, value) ?? String(value),
  );
  reader.address('senderMac', 8, 6, formatMac);
  const sender = reader.address('senderIp', 14, 4, formatIpv4);
  reader.address('targetMac', 18, 6, formatMac);
  const target = reader.address('targetIp', 24, 4, formatIpv4);
  const what = nameOf(ArpOperations, operation) ?? `operation ${operation}`;
  return { layer: reader.layer('arp', `ARP ${what} ${sender} → ${target}`, 28), next: { kind: 'payload' } };
}

function etherTypeText(value: number): string {
  const name = nameOf(EtherTypes, value);
  return hex16(value) + (name === undefined ? '' : ` (${name})`);
}

function rest(type: 'payload' | 'padding', bytes: Uint8Array, offset: number, end: number): DissectedLayer {
  const length = end - offset;
  const data = bytes.subarray(offset, end);
  const start = hexText(data.subarray(0, 16)) + (length > 16 ? '…' : '');
  const title = `${type === 'payload' ? 'Payload' : 'Padding'} ${length} bytes`;
  return {
    type,
    title,
    offset,
    length,
    fields: [{ name: 'data', offset, length, value: hexText(data), text: start }],
  };
}
