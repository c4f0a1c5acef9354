/** From a capture's link type to the bytes a BPF test run wants: an Ethernet frame, or a bare IP packet. */
import type { CapturedPacket } from './capture';
import { EtherTypes } from './names';

/** https://www.tcpdump.org/linktypes.html */
export const LinkType = {
  null: 0,
  ethernet: 1,
  rawBsd: 12,
  rawOpenBsd: 14,
  raw: 101,
  loop: 108,
  linuxSll: 113,
  ipv4: 228,
  ipv6: 229,
  linuxSll2: 276,
} as const;

/** What a program type reads from the first byte of a test run's data on. */
export type Framing = 'ethernet' | 'ip';

export type Framed = { ok: true; data: Uint8Array; notes: string[] } | { ok: false; message: string };

/** Locally administered addresses, for frames whose capture had none; the builder's defaults too. */
export const DEFAULT_SOURCE_MAC = Uint8Array.of(0x02, 0, 0, 0, 0, 0x01);
export const DEFAULT_DESTINATION_MAC = Uint8Array.of(0x02, 0, 0, 0, 0, 0x02);

/**
 * A captured packet with the framing asked for. What had to be changed is told in `notes`; what cannot be changed
 * without inventing bytes of the packet is refused.
 */
export function frameCaptured(packet: CapturedPacket, wanted: Framing): Framed {
  const notes: string[] = [];
  if (packet.originalLength > packet.capturedLength)
    notes.push(
      `packet ${packet.number} was cut by the capture: ${packet.capturedLength} of ${packet.originalLength} bytes`,
    );
  const linked = networkLayer(packet);
  if (!linked.ok) return linked;
  if (wanted === 'ethernet') {
    if (packet.linkType === LinkType.ethernet) return { ok: true, data: packet.data, notes };
    notes.push(`the capture has no Ethernet headers (${linked.linkName}); one was put in front`);
    return { ok: true, data: ethernetFrame(linked.etherType, linked.payload), notes };
  }
  if (linked.etherType !== EtherTypes.ipv4 && linked.etherType !== EtherTypes.ipv6) {
    const type = `0x${linked.etherType.toString(16).padStart(4, '0')}`;
    return { ok: false, message: `packet ${packet.number} is not IP (EtherType ${type})` };
  }
  if (linked.removed > 0) notes.push(`the first ${linked.removed} bytes (${linked.linkName}) were left out`);
  return { ok: true, data: linked.payload, notes };
}

/** An Ethernet header with the default addresses in front of `payload`. */
export function ethernetFrame(etherType: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(14 + payload.length);
  frame.set(DEFAULT_DESTINATION_MAC, 0);
  frame.set(DEFAULT_SOURCE_MAC, 6);
  frame[12] = etherType >> 8;
  frame[13] = etherType & 0xff;
  frame.set(payload, 14);
  return frame;
}

type Linked =
  | { ok: true; linkName: string; etherType: number; payload: Uint8Array; removed: number }
  | { ok: false; message: string };

function networkLayer(packet: CapturedPacket): Linked {
  const { data, linkType } = packet;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const after = (linkName: string, removed: number, etherType: number): Linked => ({
    ok: true,
    linkName,
    etherType,
    payload: data.subarray(removed),
    removed,
  });
  const short = (linkName: string, need: number): Linked => ({
    ok: false,
    message: `packet ${packet.number} has ${data.length} bytes, fewer than a ${linkName} header (${need})`,
  });
  switch (linkType) {
    case LinkType.ethernet: {
      let offset = 12;
      if (data.length < 14) return short('Ethernet', 14);
      while (isVlan(view, offset) && offset + 6 <= data.length) offset += 4;
      return after('Ethernet', offset + 2, view.getUint16(offset));
    }
    case LinkType.raw:
    case LinkType.rawBsd:
    case LinkType.rawOpenBsd:
    case LinkType.ipv4:
    case LinkType.ipv6: {
      if (data.length === 0) return short('raw IP', 1);
      return fromVersion(packet, 'raw IP', 0);
    }
    case LinkType.null:
    case LinkType.loop:
      // The family number differs between systems and byte orders; the IP version says the same without doubt.
      return data.length < 5 ? short('loopback', 5) : fromVersion(packet, 'BSD loopback', 4);
    case LinkType.linuxSll:
      return data.length < 16
        ? short('Linux cooked', 16)
        : after('Linux cooked capture v1', 16, view.getUint16(14));
    case LinkType.linuxSll2:
      return data.length < 20
        ? short('Linux cooked v2', 20)
        : after('Linux cooked capture v2', 20, view.getUint16(0));
    default:
      return {
        ok: false,
        message: `packet ${packet.number} has link type ${linkType}, which cannot be turned into a frame; Ethernet, raw IP, Linux cooked and BSD loopback captures can`,
      };
  }
}

function fromVersion(packet: CapturedPacket, linkName: string, removed: number): Linked {
  const version = packet.data[removed]! >> 4;
  if (version !== 4 && version !== 6)
    return { ok: false, message: `packet ${packet.number} is not IP: its version field is ${version}` };
  const etherType = version === 4 ? EtherTypes.ipv4 : EtherTypes.ipv6;
  return { ok: true, linkName, etherType, payload: packet.data.subarray(removed), removed };
}

function isVlan(view: DataView, offset: number): boolean {
  if (offset + 2 > view.byteLength) return false;
  const type = view.getUint16(offset);
  return type === EtherTypes.vlan || type === EtherTypes.qinq;
}
