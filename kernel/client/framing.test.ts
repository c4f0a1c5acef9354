import { PassThrough } from 'node:stream';
import type { Duplex } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { FrameDecoder, FramingError, encodeFrame } from './framing';
import { ChannelMux } from './mux';

function bytesOf(value: unknown): Buffer {
  return Buffer.concat(encodeFrame(value, 1 << 28));
}

describe('frames', () => {
  const value = {
    id: 7,
    big: 0xffff_ffff_ffff_fffen,
    negative: -5n,
    bytes: new Uint8Array([1, 2, 3]),
    absent: undefined,
    deep: [{ text: 'größe' }],
  };
  const { absent: _absent, ...arrives } = value;

  test.each([1, 2, 3, 5, 1000])('arrive whole in chunks of %i bytes', (size) => {
    const stream = Buffer.concat([bytesOf(value), bytesOf([]), bytesOf(value)]);
    const decoder = new FrameDecoder(1 << 20);
    const values: unknown[] = [];
    for (let at = 0; at < stream.length; at += size) {
      values.push(...decoder.push(stream.subarray(at, at + size)));
    }
    expect(values).toEqual([arrives, [], arrives]);
  });

  test('large ones too', () => {
    const large = { data: Buffer.alloc(5_000_000, 0x5a) };
    const stream = bytesOf(large);
    const decoder = new FrameDecoder(1 << 24);
    const values: unknown[] = [];
    for (let at = 0; at < stream.length; at += 65_536) {
      values.push(...decoder.push(stream.subarray(at, at + 65_536)));
    }
    const [decoded] = values as [{ data: Uint8Array }];
    expect(Buffer.compare(decoded.data, large.data)).toBe(0);
  });

  test('are refused when they are larger than agreed, on both sides', () => {
    expect(() => encodeFrame('x'.repeat(100), 50)).toThrow(RangeError);
    expect(() => [...new FrameDecoder(50).push(bytesOf('x'.repeat(100)))]).toThrow(FramingError);
  });
});

describe('channels over one stream', () => {
  /** Two ends, and the channels that the second was given. */
  function connect() {
    const there = new PassThrough();
    const back = new PassThrough();
    const accepted: Duplex[] = [];
    const ended: string[] = [];
    const near = new ChannelMux(
      back,
      there,
      () => {},
      (reason) => ended.push(reason),
    );
    new ChannelMux(
      there,
      back,
      (channel) => accepted.push(channel),
      (reason) => ended.push(reason),
    );
    return { near, there, accepted, ended };
  }
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  async function until(condition: () => boolean): Promise<void> {
    for (let i = 0; i < 10_000 && !condition(); i++) await settle();
    expect(condition()).toBe(true);
  }
  function collect(channel: Duplex): () => Buffer {
    const chunks: Buffer[] = [];
    channel.on('data', (chunk: Buffer) => chunks.push(chunk));
    return () => Buffer.concat(chunks);
  }

  test('carry data both ways, apart from each other', async () => {
    const { near, accepted } = connect();
    const [one, two] = [near.open(), near.open()];
    await until(() => accepted.length === 2);
    const received = accepted.map(collect);
    const answer = collect(one);
    one.write('to one');
    two.write('to two');
    accepted[0]!.write('back');
    await until(() => answer().length === 4);
    await until(() => received[1]!().length === 6);
    expect(received.map((read) => String(read()))).toEqual(['to one', 'to two']);
    expect(String(answer())).toBe('back');
  });

  test('a channel that nobody reads stops its writer and no other', async () => {
    const { near, accepted } = connect();
    const [stalled, lively] = [near.open(), near.open()];
    await until(() => accepted.length === 2);
    const mebibyte = Buffer.alloc(1 << 20);
    let written = 0;
    for (let i = 0; i < 64; i++) stalled.write(mebibyte, () => written++);
    const read = collect(accepted[1]!);
    lively.write('alive');
    await until(() => read().length === 5);
    expect(written).toBeLessThan(10);
    // Once it is read, all of it arrives.
    const late = collect(accepted[0]!);
    await until(() => late().length === 64 * mebibyte.length);
  });

  test('what was written before the end arrives, then the end', async () => {
    const { near, accepted } = connect();
    const channel = near.open();
    channel.write('last words');
    channel.destroy();
    await until(() => accepted.length === 1);
    const read = collect(accepted[0]!);
    let closed = false;
    accepted[0]!.on('close', () => (closed = true));
    await until(() => closed);
    expect(String(read())).toBe('last words');
  });

  test('all end with the stream', async () => {
    const { near, there, accepted, ended } = connect();
    near.open();
    await until(() => accepted.length === 1);
    let closed = false;
    accepted[0]!.resume().on('close', () => (closed = true));
    there.end();
    await until(() => closed && ended.length === 1);
    expect(ended).toEqual(['the stream ended']);
  });

  test('a packet larger than agreed ends the stream', async () => {
    const { there, ended } = connect();
    const header = Buffer.alloc(8);
    header.writeUInt32LE(1, 0);
    header.writeUInt32LE(0x3fff_ffff, 4);
    there.write(header);
    await until(() => ended.length === 1);
    expect(ended[0]).toContain('larger than');
  });
});
