/** Reads what one variant of a program has written to its ring of snapshots, and counts what it did not get to see. */
import { RING } from '../recorder/instrument/ring';
import type { Instrumentation } from './instrumentation';
import { recordsIn } from './ring';
import type { RingHeader, RingRecord } from './ring';
import { decodeSnapshot } from './snapshot';
import type { TakenSnapshot } from './snapshot';

export interface ReadSnapshot {
  /** The breakpoint's id. */
  breakpoint: number;
  snapshot: TakenSnapshot;
}

export interface Counted {
  /** Hits in the kernel. */
  hits: number;
  /** Of them, snapshots that were read. */
  read: number;
}

type Source = NonNullable<Instrumentation['snapshots']>;

export class SnapshotReader {
  private position = 0;
  /** Where a record began that was not written completely when it was looked at. */
  private awaited: number | undefined;
  /** By the number of the place. */
  private readonly read = new Map<number, number>();
  private hits = new Map<number, number>();

  constructor(private readonly source: Source) {}

  /** Snapshots since the last look, oldest first; of more than `limit` bytes of them only the newest. */
  async look(limit: number): Promise<ReadSnapshot[]> {
    const { ring, instrumented, breakpoints } = this.source;
    // Counters are read before the position, so that what was counted is also there to be read.
    const counters = await ring.header();
    this.count(counters);
    if (counters.position === this.position) return [];
    const { position: end } = await ring.header();
    const from = Math.max(this.position, ring.oldest(end), end - limit);
    const isComplete = from === this.position;
    const segments = from < end ? await ring.read(from, end) : [];
    const { position: written } = await ring.header();
    const oldest = ring.oldest(written);
    const layouts = new Map(instrumented.snapshots.map((layout) => [layout.id, layout]));
    const found: ReadSnapshot[] = [];
    let expected = from;
    const isGap = (at: number) => isComplete && at !== expected && this.awaited !== expected;
    for (const record of recordsIn(segments, (id) => layouts.get(id)?.size)) {
      if (isGap(record.position)) return this.waitFor(expected, found);
      expected = record.position + record.size;
      // It was overwritten while it was read.
      if (record.position < oldest) continue;
      const id = idOf(record);
      this.read.set(id, (this.read.get(id) ?? 0) + 1);
      found.push({
        breakpoint: breakpoints.get(id)!,
        snapshot: decodeSnapshot(record, layouts.get(id)!),
      });
    }
    if (isGap(end)) return this.waitFor(expected, found);
    this.awaited = undefined;
    this.position = end;
    return found;
  }

  /** The record that begins there is looked for once more at the next look. */
  private waitFor(position: number, found: ReadSnapshot[]): ReadSnapshot[] {
    this.awaited = position;
    this.position = position;
    return found;
  }

  private count(header: RingHeader): void {
    this.hits = new Map(
      [...this.source.breakpoints.keys()].map((id) => [id, header.number(RING.HITS + 8 * id)]),
    );
  }

  /** By the breakpoint's id, as of the last look. */
  get counted(): Map<number, Counted> {
    const counted = new Map<number, Counted>();
    for (const [id, breakpoint] of this.source.breakpoints) {
      const { hits, read } = counted.get(breakpoint) ?? { hits: 0, read: 0 };
      const seen = this.read.get(id) ?? 0;
      // A hit may be read before the counter that was read earlier knows of it.
      counted.set(breakpoint, { hits: hits + Math.max(this.hits.get(id) ?? 0, seen), read: read + seen });
    }
    return counted;
  }
}

function idOf({ view, at }: RingRecord): number {
  return view.getUint32(at + 8, true);
}
