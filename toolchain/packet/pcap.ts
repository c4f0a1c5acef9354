/** Classic .pcap files, as described in draft-ietf-opsawg-pcap. */
import type { Capture, CapturedPacket, CaptureResult } from './capture';

const HEADER = 24;
const RECORD_HEADER = 16;
/** Magic numbers as the file's writer saw them: microsecond and nanosecond timestamps. */
const MICROSECONDS = 0xa1b2c3d4;
const NANOSECONDS = 0xa1b23c4d;

interface Variant {
  littleEndian: boolean;
  /** Nanoseconds in a unit of the second timestamp word. */
  unit: bigint;
}

function variantOf(bytes: Uint8Array): Variant | undefined {
  if (bytes.length < 4) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const littleEndian of [true, false]) {
    const magic = view.getUint32(0, littleEndian);
    if (magic === MICROSECONDS) return { littleEndian, unit: 1000n };
    if (magic === NANOSECONDS) return { littleEndian, unit: 1n };
  }
  return undefined;
}

export function isPcap(bytes: Uint8Array): boolean {
  return variantOf(bytes) !== undefined;
}

export function readPcap(bytes: Uint8Array): CaptureResult {
  const variant = variantOf(bytes);
  if (!variant || bytes.length < HEADER)
    return { ok: false, message: `the .pcap header is ${HEADER} bytes, the file has ${bytes.length}` };
  const { littleEndian, unit } = variant;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const major = view.getUint16(4, littleEndian);
  if (major !== 2) return { ok: false, message: `.pcap version ${major} is unknown; version 2 is read` };
  // The upper bits tell whether frames end in a checksum; they are not part of the link type.
  const linkType = view.getUint32(20, littleEndian) & 0xffff;
  const packets: CapturedPacket[] = [];
  const capture: Capture = { format: 'pcap', packets };
  let offset = HEADER;
  while (offset < bytes.length) {
    if (bytes.length - offset < RECORD_HEADER) {
      capture.damage = { offset, message: 'the file ends within a packet header' };
      break;
    }
    const seconds = BigInt(view.getUint32(offset, littleEndian));
    const fraction = BigInt(view.getUint32(offset + 4, littleEndian));
    const capturedLength = view.getUint32(offset + 8, littleEndian);
    const originalLength = view.getUint32(offset + 12, littleEndian);
    const start = offset + RECORD_HEADER;
    if (capturedLength > bytes.length - start) {
      const message = `packet ${packets.length + 1} claims ${capturedLength} bytes, ${bytes.length - start} are left`;
      capture.damage = { offset, message };
      break;
    }
    packets.push({
      number: packets.length + 1,
      timestamp: seconds * 1_000_000_000n + fraction * unit,
      linkType,
      capturedLength,
      originalLength,
      data: bytes.subarray(start, start + capturedLength),
    });
    offset = start + capturedLength;
  }
  return { ok: true, capture };
}

/** A little-endian microsecond .pcap file with one record a packet, for handing packets to other tools. */
export function writePcap(packets: readonly Uint8Array[], linkType: number): Uint8Array {
  const total = packets.reduce((sum, packet) => sum + RECORD_HEADER + packet.length, HEADER);
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MICROSECONDS, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, 0x40000, true);
  view.setUint32(20, linkType, true);
  let offset = HEADER;
  for (const packet of packets) {
    view.setUint32(offset + 8, packet.length, true);
    view.setUint32(offset + 12, packet.length, true);
    bytes.set(packet, offset + RECORD_HEADER);
    offset += RECORD_HEADER + packet.length;
  }
  return bytes;
}
