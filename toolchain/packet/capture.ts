/** Capture files, .pcap and .pcapng: bytes in, packets out. Total on rubbish: every read is bounds-checked. */
import { isPcap, readPcap } from './pcap';
import { isPcapng, readPcapng } from './pcapng';

export interface CapturedPacket {
  /** One-based position in the file, as Wireshark and tcpdump number packets. */
  number: number;
  /** Nanoseconds since 1970; undefined for packets whose block carries no time. */
  timestamp?: bigint;
  /** LINKTYPE_ number, see https://www.tcpdump.org/linktypes.html. */
  linkType: number;
  capturedLength: number;
  /** Length on the wire; more than `capturedLength` when the capture's snap length cut the packet. */
  originalLength: number;
  data: Uint8Array;
}

export interface Capture {
  format: 'pcap' | 'pcapng';
  packets: CapturedPacket[];
  /** Where and why reading stopped before the end of the file; the packets before that place are good. */
  damage?: { offset: number; message: string };
}

export type CaptureResult = { ok: true; capture: Capture } | { ok: false; message: string };

export function readCapture(bytes: Uint8Array): CaptureResult {
  if (isPcap(bytes)) return readPcap(bytes);
  if (isPcapng(bytes)) return { ok: true, capture: readPcapng(bytes) };
  if (bytes.length === 0) return { ok: false, message: 'the file is empty, not a .pcap or .pcapng capture' };
  const magic = Array.from(bytes.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return {
    ok: false,
    message: `the file is neither .pcap nor .pcapng: it begins with ${magic} (a capture begins with d4 c3 b2 a1, 4d 3c b2 a1, their reverses, or 0a 0d 0d 0a)`,
  };
}

/** Packet `number` (one-based), or why there is none. */
export function pickPacket(
  capture: Capture,
  number: number,
): { ok: true; packet: CapturedPacket } | { ok: false; message: string } {
  const packet = capture.packets[number - 1];
  if (packet) return { ok: true, packet };
  const count = capture.packets.length;
  const damage = capture.damage
    ? `; reading stopped at byte ${capture.damage.offset}: ${capture.damage.message}`
    : '';
  const range = count === 0 ? 'the capture holds no packets' : `the capture holds packets 1 to ${count}`;
  return { ok: false, message: `there is no packet ${number}: ${range}${damage}` };
}
