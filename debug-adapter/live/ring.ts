/** A ring that attached programs write to, read through the kernel host; how it is written: ../recorder/instrument/ring.ts. */
import { randomInt } from 'node:crypto';
import type { KernelClient } from '../../kernel/client/client';
import { TRACE_HEADER } from '../recorder/instrument/emit';
import type { TraceLayout } from '../recorder/instrument/emit';
import { RING, firstWord } from '../recorder/instrument/ring';

/** Beyond the capacity there is room for the record that begins last. */
const SLACK = 4096;
/** Bytes that are asked for at once, so that the host has time for others in between. */
const CHUNK = 1024 * 1024;

/** A part of the ring whose records lie one behind the other. Positions count the bytes taken since the beginning. */
export interface Segment {
  /** The number of the ring that its words have in their upper bits. */
  key: number;
  start: number;
  /** Records begin before it. */
  end: number;
  /** From `start` on, and as far behind `end` as its last record may reach. */
  bytes: Uint8Array;
}

export interface RingRecord {
  position: number;
  view: DataView;
  /** Where it begins in `view`, and how long it is. */
  at: number;
  size: number;
}

/** Counters in the ring's header. */
export class RingHeader {
  private readonly view: DataView;
  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
  number(offset: number): number {
    return Number(this.view.getBigUint64(offset, true));
  }
  address(index: number): bigint {
    return this.view.getBigUint64(RING.ADDRESSES + 8 * index, true);
  }
  /** Bytes taken since the beginning. */
  get position(): number {
    return positionOf(this.view.getBigUint64(RING.POSITION, true));
  }
}

/** Where a record begins whose first word this is. */
export function positionOf(word: bigint): number {
  return Number(BigInt.asUintN(52, word)) - 1;
}

export class Ring {
  /** Where the map's value has other things behind the ring. */
  readonly restOffset: number;

  private constructor(
    private readonly kernel: KernelClient,
    readonly layout: TraceLayout,
    private readonly key: number,
  ) {
    this.restOffset = TRACE_HEADER + layout.capacity + SLACK;
  }

  /**
   * @param capacity bytes of records, a power of two. Throws a KernelError when the kernel has no such map.
   * @param rest bytes for other things behind the ring.
   */
  static async create(kernel: KernelClient, name: string, capacity: number, rest = 0): Promise<Ring> {
    const bytes = TRACE_HEADER + capacity + SLACK + rest;
    const { map } = await kernel.request('sharedArrayCreate', { name, bytes });
    const ring = new Ring(kernel, { map, capacity }, randomInt(1, 0xfff));
    const word = new Uint8Array(8);
    new DataView(word.buffer).setBigUint64(0, firstWord(ring.key), true);
    await ring.write(RING.POSITION, word);
    return ring;
  }

  /** The word with which a record begins. */
  wordAt(position: number): bigint {
    return firstWord(this.key) + BigInt(position);
  }

  /** Bytes from a position on, as a part of this ring. */
  segment(start: number, end: number, bytes: Uint8Array): Segment {
    return { key: this.key, start, end, bytes };
  }

  async write(offset: number, data: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.kernel.request('sharedWrite', { map: this.layout.map, offset, data });
  }

  async header(): Promise<RingHeader> {
    return new RingHeader(await this.bytes(0, TRACE_HEADER));
  }

  /** The oldest position that is not overwritten when so many bytes were taken. */
  oldest(position: number): number {
    return Math.max(0, position - this.layout.capacity + SLACK);
  }

  async read(from: number, to: number): Promise<Segment[]> {
    const { capacity } = this.layout;
    const segments: Segment[] = [];
    for (let start = from; start < to;) {
      const offset = start % capacity;
      const lapEnd = start - offset + capacity;
      const end = Math.min(to, lapEnd);
      const length = end - start + (end === lapEnd ? SLACK : 0);
      segments.push(this.segment(start, end, await this.bytes(TRACE_HEADER + offset, length)));
      start = end;
    }
    return segments;
  }

  /** Bytes of the map's value. */
  async bytes(offset: number, length: number): Promise<Uint8Array> {
    const { map } = this.layout;
    const part = async (at: number) => {
      const asked = { map, offset: offset + at, length: Math.min(CHUNK, length - at) };
      return (await this.kernel.request('sharedRead', asked)).data;
    };
    if (length <= CHUNK) return part(0);
    const whole = new Uint8Array(length);
    for (let at = 0; at < length; at += CHUNK) whole.set(await part(at), at);
    return whole;
  }

  async close(): Promise<void> {
    await this.kernel.request('mapClose', { map: this.layout.map });
  }
}

/**
 * Records in order. Where none begins, because it is not written yet or was overwritten, the next one is looked for.
 * @param sizeOf bytes of the record with a number; undefined if there is none.
 */
export function* recordsIn(
  segments: readonly Segment[],
  sizeOf: (id: number) => number | undefined,
): Generator<RingRecord> {
  let position = segments[0]?.start ?? 0;
  for (const { key, start, end, bytes } of segments) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    while (position < end) {
      const at = position - start;
      const size = begins(view, at, key, position) ? sizeOf(view.getUint32(at + 8, true)) : undefined;
      if (size === undefined || at + size > bytes.length) {
        position += 8;
        continue;
      }
      yield { position, view, at, size };
      position += size;
    }
  }
}

/** As two numbers, since every 8 bytes are asked about where records are looked for. */
function begins(view: DataView, at: number, key: number, position: number): boolean {
  if (at < 0 || at + 16 > view.byteLength) return false;
  const word = position + 1;
  return (
    view.getUint32(at, true) === word >>> 0 &&
    view.getUint32(at + 4, true) === ((key << 20) | Math.floor(word / 0x1_0000_0000)) >>> 0
  );
}
