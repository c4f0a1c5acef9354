/** A ring that attached programs write to, read through the kernel host; how it is written: ../recorder/instrument/ring.ts. */
import type { KernelClient } from '../../kernel/client/client';
import { TRACE_HEADER } from '../recorder/instrument/emit';
import type { TraceLayout } from '../recorder/instrument/emit';
import { FIRST, RING } from '../recorder/instrument/ring';

/** Beyond the capacity there is room for the record that begins last. */
const SLACK = 4096;
/** Bytes that are asked for at once, so that the host has time for others in between. */
const CHUNK = 1024 * 1024;

/** A part of the ring whose records lie one behind the other. Positions count the bytes taken since the beginning. */
export interface Segment {
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
    return this.number(RING.POSITION) - FIRST;
  }
}

export class Ring {
  private constructor(
    private readonly kernel: KernelClient,
    readonly layout: TraceLayout,
  ) {}

  /** @param capacity bytes of records, a power of two. Throws a KernelError when the kernel has no such map. */
  static async create(kernel: KernelClient, name: string, capacity: number): Promise<Ring> {
    const bytes = TRACE_HEADER + capacity + SLACK;
    const { map } = await kernel.request('sharedArrayCreate', { name, bytes });
    const ring = new Ring(kernel, { map, capacity });
    await ring.reset();
    return ring;
  }

  /** Empties it, which nobody may write to meanwhile. */
  async reset(): Promise<void> {
    const header = new Uint8Array(TRACE_HEADER);
    new DataView(header.buffer).setBigUint64(RING.POSITION, BigInt(FIRST), true);
    await this.kernel.request('sharedWrite', { map: this.layout.map, offset: 0, data: header });
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
      segments.push({ start, end, bytes: await this.bytes(TRACE_HEADER + offset, length) });
      start = end;
    }
    return segments;
  }

  private async bytes(offset: number, length: number): Promise<Uint8Array> {
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
  for (const { start, end, bytes } of segments) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    while (position < end) {
      const at = position - start;
      const size = begins(view, at, position) ? sizeOf(view.getUint32(at + 8, true)) : undefined;
      if (size === undefined || at + size > bytes.length) {
        position += 8;
        continue;
      }
      yield { position, view, at, size };
      position += size;
    }
  }
}

function begins(view: DataView, at: number, position: number): boolean {
  if (at < 0 || at + 16 > view.byteLength) return false;
  const word = position + FIRST;
  return (
    view.getUint32(at, true) === word >>> 0 &&
    view.getUint32(at + 4, true) === Math.floor(word / 0x1_0000_0000)
  );
}
