/** Entries of one map, read once and kept until the next refresh, so that pages fit together while the map changes. */
import type { KernelRequests } from '../../kernel/client/client';
import type { LoadedMap } from '../../kernel/protocol';

export interface Entry {
  key: Uint8Array;
  /** As user space gets it: one value a possible CPU for per-CPU maps. */
  value: Uint8Array;
}

/** What one look at a map may cost when somebody only wants its size: bytes and entries. */
const GLANCE_BYTES = 4 * 1024 * 1024;
const GLANCE_ENTRIES = 10_000;
/** What an opened map may take in the adapter's memory. */
const OPEN_BYTES = 256 * 1024 * 1024;
const CHUNK = 4096;

export class EntryIndex {
  private readonly entries: Entry[] = [];
  private cursor: Uint8Array | undefined;
  private ended = false;
  private reading: Promise<void> | undefined;
  /** Why the values of entries are zeros. */
  unreadable: string | undefined;

  constructor(
    private readonly kernel: KernelRequests,
    readonly map: LoadedMap,
    /** Bytes of key and value together. */
    private readonly stride: number,
  ) {}

  /** Number of entries if a short look finds the end; undefined for maps larger than that. */
  async glance(): Promise<number | undefined> {
    await this.ensure(Math.min(GLANCE_ENTRIES, Math.max(1, Math.floor(GLANCE_BYTES / this.stride))) + 1);
    return this.ended ? this.entries.length : undefined;
  }

  /** Number of entries read at most. */
  get limit(): number {
    return Math.floor(OPEN_BYTES / this.stride);
  }

  /** Reads to the end, or to the limit; returns the number of entries. */
  async all(): Promise<{ count: number; complete: boolean }> {
    await this.ensure(this.limit);
    return { count: this.entries.length, complete: this.ended };
  }

  async page(start: number, count: number): Promise<Entry[]> {
    await this.ensure(Math.min(start + count, this.limit));
    return this.entries.slice(start, start + count);
  }

  get length(): number {
    return this.entries.length;
  }

  /** Whether two readings show the same. */
  equals(other: EntryIndex): boolean {
    return (
      this.entries.length === other.entries.length &&
      this.ended === other.ended &&
      this.entries.every(({ key, value }, i) => {
        const theirs = other.entries[i]!;
        return Buffer.compare(key, theirs.key) === 0 && Buffer.compare(value, theirs.value) === 0;
      })
    );
  }

  private async ensure(length: number): Promise<void> {
    while (!this.ended && this.entries.length < length) {
      this.reading ??= this.read().finally(() => (this.reading = undefined));
      await this.reading;
    }
  }

  private async read(): Promise<void> {
    const page = await this.kernel.request('mapEntries', {
      map: this.map.handle,
      limit: CHUNK,
      ...(this.cursor ? { cursor: this.cursor } : {}),
    });
    const { keySize } = this.map;
    for (let i = 0; i < page.count; i++)
      this.entries.push({
        key: page.keys.subarray(i * keySize, (i + 1) * keySize),
        value: page.values.subarray(i * page.valueStride, (i + 1) * page.valueStride),
      });
    this.unreadable = page.unreadable ?? this.unreadable;
    this.cursor = page.cursor;
    this.ended = page.cursor === undefined;
  }
}
