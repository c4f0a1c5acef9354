/** .pcapng files, as described in draft-ietf-opsawg-pcapng: sections of blocks, each section with its own byte order. */
import type { Capture, CapturedPacket } from './capture';

const BlockType = {
  interfaceDescription: 1,
  packet: 2,
  simplePacket: 3,
  enhancedPacket: 6,
  sectionHeader: 0x0a0d0d0a,
} as const;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** Type, total length, and the total length again after the body. */
const BLOCK_OVERHEAD = 12;

interface Interface {
  linkType: number;
  snapLength: number;
  /** Timestamp units in a second, from if_tsresol. */
  unitsPerSecond: bigint;
  /** Seconds to add to every timestamp, from if_tsoffset. */
  offsetSeconds: bigint;
}

interface Section {
  littleEndian: boolean;
  interfaces: Interface[];
}

interface Block {
  type: number;
  /** The body: no type, no lengths. */
  view: DataView;
  body: Uint8Array;
}

export function isPcapng(bytes: Uint8Array): boolean {
  // The block type of a section header reads the same in both byte orders.
  return (
    bytes.length >= 4 && bytes[0] === 0x0a && bytes[1] === 0x0d && bytes[2] === 0x0d && bytes[3] === 0x0a
  );
}

export function readPcapng(bytes: Uint8Array): Capture {
  const capture: Capture = { format: 'pcapng', packets: [] };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let section: Section | undefined;
  let offset = 0;
  while (offset < bytes.length) {
    const left = bytes.length - offset;
    const damage = (message: string) => {
      capture.damage = { offset, message };
      return capture;
    };
    if (left < BLOCK_OVERHEAD) return damage('the file ends within a block header');
    if (view.getUint32(offset, true) === BlockType.sectionHeader) {
      const littleEndian = view.getUint32(offset + 8, true) === BYTE_ORDER_MAGIC;
      if (!littleEndian && view.getUint32(offset + 8, false) !== BYTE_ORDER_MAGIC)
        return damage('the section header has no byte-order magic 1a2b3c4d');
      section = { littleEndian, interfaces: [] };
    }
    if (!section) return damage('a block precedes the first section header');
    const { littleEndian } = section;
    const length = view.getUint32(offset + 4, littleEndian);
    if (length < BLOCK_OVERHEAD || length % 4 !== 0)
      return damage(
        `a block length of ${length} is impossible (a multiple of 4, at least ${BLOCK_OVERHEAD})`,
      );
    if (length > left) return damage(`a block claims ${length} bytes, ${left} are left`);
    const body = bytes.subarray(offset + 8, offset + length - 4);
    const block: Block = {
      type: view.getUint32(offset, littleEndian),
      body,
      view: new DataView(body.buffer, body.byteOffset, body.byteLength),
    };
    const problem = readBlock(block, section, capture.packets);
    if (problem !== undefined) return damage(problem);
    offset += length;
  }
  return capture;
}

/** Takes in one block; returns what is wrong with it. Blocks of types that carry no packet are passed over. */
function readBlock(block: Block, section: Section, packets: CapturedPacket[]): string | undefined {
  const { littleEndian } = section;
  const { view, body } = block;
  switch (block.type) {
    case BlockType.interfaceDescription: {
      if (body.length < 8) return 'an interface description is shorter than 8 bytes';
      section.interfaces.push(readInterface(view, littleEndian));
      return undefined;
    }
    case BlockType.enhancedPacket:
    case BlockType.packet: {
      if (body.length < 20) return 'a packet block is shorter than 20 bytes';
      const obsolete = block.type === BlockType.packet;
      const id = obsolete ? view.getUint16(0, littleEndian) : view.getUint32(0, littleEndian);
      const from = section.interfaces[id];
      if (!from) return `a packet names interface ${id}, which no interface description introduced`;
      const units =
        (BigInt(view.getUint32(4, littleEndian)) << 32n) | BigInt(view.getUint32(8, littleEndian));
      const captured = view.getUint32(12, littleEndian);
      if (captured > body.length - 20)
        return `packet ${packets.length + 1} claims ${captured} bytes, its block holds ${body.length - 20}`;
      packets.push({
        number: packets.length + 1,
        timestamp: from.offsetSeconds * 1_000_000_000n + (units * 1_000_000_000n) / from.unitsPerSecond,
        linkType: from.linkType,
        capturedLength: captured,
        originalLength: view.getUint32(16, littleEndian),
        data: body.subarray(20, 20 + captured),
      });
      return undefined;
    }
    case BlockType.simplePacket: {
      if (body.length < 4) return 'a simple packet block is shorter than 4 bytes';
      const from = section.interfaces[0];
      if (!from) return 'a simple packet block precedes the first interface description';
      const originalLength = view.getUint32(0, littleEndian);
      // The block is padded to 4 bytes, so only the smaller of these is the packet.
      const snapped = from.snapLength === 0 ? originalLength : Math.min(originalLength, from.snapLength);
      const captured = Math.min(snapped, body.length - 4);
      packets.push({
        number: packets.length + 1,
        linkType: from.linkType,
        capturedLength: captured,
        originalLength,
        data: body.subarray(4, 4 + captured),
      });
      return undefined;
    }
    default:
      return undefined;
  }
}

const Option = { end: 0, timestampResolution: 9, timestampOffset: 14 } as const;

function readInterface(view: DataView, littleEndian: boolean): Interface {
  const described: Interface = {
    linkType: view.getUint16(0, littleEndian),
    snapLength: view.getUint32(4, littleEndian),
    unitsPerSecond: 1_000_000n,
    offsetSeconds: 0n,
  };
  let offset = 8;
  while (offset + 4 <= view.byteLength) {
    const code = view.getUint16(offset, littleEndian);
    const length = view.getUint16(offset + 2, littleEndian);
    const value = offset + 4;
    if (code === Option.end || value + length > view.byteLength) break;
    if (code === Option.timestampResolution && length === 1) {
      const resolution = view.getUint8(value);
      const exponent = BigInt(resolution & 0x7f);
      described.unitsPerSecond = resolution & 0x80 ? 1n << exponent : 10n ** exponent;
    }
    if (code === Option.timestampOffset && length === 8)
      described.offsetSeconds = view.getBigInt64(value, littleEndian);
    offset = value + ((length + 3) & ~3);
  }
  return described;
}
