import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { pickPacket, readCapture, type Capture } from './capture';
import { frameCaptured } from './link-type';
import { writePcap } from './pcap';

/** Writes numbers one after the other in one byte order. */
class Bytes {
  private readonly bytes: number[] = [];
  constructor(private readonly little: boolean) {}
  u8(...values: number[]) {
    this.bytes.push(...values);
    return this;
  }
  u16(...values: number[]) {
    for (const value of values) this.put(value, 2);
    return this;
  }
  u32(...values: number[]) {
    for (const value of values) this.put(value, 4);
    return this;
  }
  private put(value: number, size: number) {
    const part = Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** i) % 256);
    this.bytes.push(...(this.little ? part : part.reverse()));
  }
  block(type: number, body: number[]) {
    const pad = (4 - (body.length % 4)) % 4;
    const length = 12 + body.length + pad;
    return this.u32(type, length)
      .u8(...body, ...new Array<number>(pad).fill(0))
      .u32(length);
  }
  array() {
    return this.bytes;
  }
}

const pcapFile = (little: boolean, magic: number, original = 4) =>
  Uint8Array.from(
    new Bytes(little)
      .u32(magic)
      .u16(2, 4)
      .u32(0, 0, 65535, 1)
      .u32(1_700_000_000, 5, 4, original)
      .u8(1, 2, 3, 4)
      .array(),
  );

const section = (little: boolean, resolution?: number) => {
  const part = () => new Bytes(little);
  const option = resolution === undefined ? [] : part().u16(9, 1).u8(resolution, 0, 0, 0).u16(0, 0).array();
  return part()
    .block(0x0a0d0d0a, part().u32(0x1a2b3c4d).u16(1, 0).u32(0xffffffff, 0xffffffff).array())
    .block(
      1,
      part()
        .u16(101, 0)
        .u32(0)
        .u8(...option)
        .array(),
    )
    .block(0x0bad, [1, 2, 3])
    .block(6, part().u32(0, 0, 3_000_000, 5, 9).u8(0x45, 2, 3, 4, 5).array())
    .block(3, part().u32(3).u8(0x60, 8, 7).array())
    .array();
};

const read = (bytes: Uint8Array): Capture => {
  const result = readCapture(bytes);
  if (!result.ok) throw new Error(result.message);
  return result.capture;
};

describe('.pcap', () => {
  it.each([
    ['little-endian microseconds', true, 0xa1b2c3d4, 5000n],
    ['big-endian microseconds', false, 0xa1b2c3d4, 5000n],
    ['little-endian nanoseconds', true, 0xa1b23c4d, 5n],
    ['big-endian nanoseconds', false, 0xa1b23c4d, 5n],
  ])('reads %s', (_, little, magic, fraction) => {
    const { packets, damage } = read(pcapFile(little, magic));
    expect(damage).toBeUndefined();
    expect(packets).toEqual([
      {
        number: 1,
        timestamp: 1_700_000_000n * 1_000_000_000n + fraction,
        linkType: 1,
        capturedLength: 4,
        originalLength: 4,
        data: Uint8Array.of(1, 2, 3, 4),
      },
    ]);
  });

  it('agrees with tcpdump about a file that tcpdump rewrote', () => {
    const packets = [new Uint8Array(60).fill(7), new Uint8Array(100).fill(9)];
    const rewritten = execFileSync('tcpdump', ['-r', '-', '-w', '-'], {
      input: writePcap(packets, 1),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    expect(read(rewritten).packets.map((packet) => packet.data.length)).toEqual([60, 100]);
  });

  it('keeps what precedes the damage and says where it is', () => {
    const whole = pcapFile(true, 0xa1b2c3d4);
    const capture = read(Uint8Array.from([...whole, ...whole.slice(24, 42)]));
    expect(capture.packets).toHaveLength(1);
    expect(capture.damage).toEqual({ offset: 44, message: 'packet 2 claims 4 bytes, 2 are left' });
    expect(pickPacket(capture, 2)).toEqual({
      ok: false,
      message:
        'there is no packet 2: the capture holds packets 1 to 1; reading stopped at byte 44: packet 2 claims 4 bytes, 2 are left',
    });
  });

  it('tells that the snap length cut a packet', () => {
    const packet = read(pcapFile(true, 0xa1b2c3d4, 1500)).packets[0]!;
    const framed = frameCaptured({ ...packet, data: new Uint8Array(20), capturedLength: 20 }, 'ethernet');
    expect(framed.ok && framed.notes).toEqual(['packet 1 was cut by the capture: 20 of 1500 bytes']);
  });

  it('says what a foreign file is not', () => {
    const elf = readCapture(Uint8Array.of(0x7f, 0x45, 0x4c, 0x46));
    expect(elf.ok ? '' : elf.message).toContain('it begins with 7f 45 4c 46');
    expect(readCapture(new Uint8Array(0))).toMatchObject({ ok: false, message: /empty/ });
  });
});

describe('.pcapng', () => {
  it('reads sections of either byte order, resolutions, simple packets, and passes over unknown blocks', () => {
    // 0x89: 10^9 units a second is 9; 0x80 | 10 would be 2^10.
    const file = Uint8Array.from([...section(true), ...section(false, 9), ...section(true, 0x80 | 20)]);
    const { packets, damage } = read(file);
    expect(damage).toBeUndefined();
    expect(packets.map(({ timestamp, data }) => [timestamp, Array.from(data)])).toEqual([
      [3_000_000_000n, [0x45, 2, 3, 4, 5]],
      [undefined, [0x60, 8, 7]],
      [3_000_000n, [0x45, 2, 3, 4, 5]],
      [undefined, [0x60, 8, 7]],
      [(3_000_000n * 1_000_000_000n) / (1n << 20n), [0x45, 2, 3, 4, 5]],
      [undefined, [0x60, 8, 7]],
    ]);
    expect(packets[0]).toMatchObject({ linkType: 101, capturedLength: 5, originalLength: 9 });
  });

  it('says which interface is missing', () => {
    const part = () => new Bytes(true);
    const file = part()
      .block(0x0a0d0d0a, part().u32(0x1a2b3c4d).u16(1, 0).u32(0, 0).array())
      .block(6, part().u32(4, 0, 0, 1, 1).u8(1).array())
      .array();
    expect(read(Uint8Array.from(file)).damage).toEqual({
      offset: 28,
      message: 'a packet names interface 4, which no interface description introduced',
    });
  });
});

describe('link types', () => {
  const packet = (linkType: number, ...data: number[]) => ({
    number: 1,
    linkType,
    capturedLength: data.length,
    originalLength: data.length,
    data: Uint8Array.from(data),
  });
  const ip = [0x45, 0, 0, 1];

  it.each([
    ['raw IP', packet(101, ...ip)],
    ['BSD loopback', packet(0, 2, 0, 0, 0, ...ip)],
    ['Linux cooked v1', packet(113, ...new Array<number>(14).fill(0), 8, 0, ...ip)],
    ['Linux cooked v2', packet(276, 8, 0, ...new Array<number>(18).fill(0), ...ip)],
  ])('%s gets an Ethernet header, or becomes bare IP', (_, captured) => {
    const framed = frameCaptured(captured, 'ethernet');
    expect(framed.ok && Array.from(framed.data.slice(12))).toEqual([8, 0, ...ip]);
    expect(framed.ok && framed.notes.join()).toContain('one was put in front');
    const bare = frameCaptured(captured, 'ip');
    expect(bare.ok && Array.from(bare.data)).toEqual(ip);
  });

  it('refuses what it would have to invent', () => {
    expect(frameCaptured(packet(105, 1, 2, 3), 'ethernet')).toMatchObject({ message: /link type 105/ });
    const arp = packet(1, ...new Array<number>(12).fill(0), 8, 6, 1);
    expect(frameCaptured(arp, 'ip')).toMatchObject({ message: 'packet 1 is not IP (EtherType 0x0806)' });
  });
});

it('never throws on mutated captures', () => {
  let state = 12345;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const seeds = [pcapFile(true, 0xa1b2c3d4), Uint8Array.from([...section(true), ...section(false, 0xff)])];
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from(seeds[round % 2]!);
    for (let i = 0; i <= random(4); i++) bytes[random(bytes.length)] = random(256);
    const result = readCapture(bytes.subarray(0, random(bytes.length + 1)));
    if (!result.ok) continue;
    for (const packet of result.capture.packets) {
      expect(packet.data.length).toBe(packet.capturedLength);
      frameCaptured(packet, round % 4 < 2 ? 'ethernet' : 'ip');
    }
  }
});
