/** Snapshots as they come: asked what their breakpoints ask, told to the client at a bounded rate, kept to be opened. */
import { scopeAt } from '../expressions/moment-scope';
import type { Listener } from '../debuggee';
import { SNAPSHOT_EVENTS, Snapshot, SnapshotCounts } from '../protocol';
import type { SnapshotCountsEvent, SnapshotEvent } from '../protocol';
import { OutputLimit } from '../runner/output-limit';
import { framesOf } from '../stepping/moment';
import type { Moment } from '../stepping/moment';
import { localNodes } from '../stepping/local-rows';
import type { AttachedProgram } from './attached-program';
import type { WallClock } from './clock';
import { momentOfSnapshot } from './snapshot-moment';
import type { TakenSnapshot } from './snapshot';
import type { Counted, ReadSnapshot } from './snapshot-reader';
import { SnapshotReader } from './snapshot-reader';
import type { WatchedBreakpoint } from './watched-breakpoint';

/** Snapshots that are kept to be opened. */
const KEPT = 1000;
const LISTED = 200;
/** Bytes read at a look: all that comes where every snapshot is asked something, otherwise enough to show. */
const ASKED_BYTES = 4 * 1024 * 1024;
const SHOWN_BYTES = 256 * 1024;
/** Time for asking, at a look; what is left waits for the next, so many at most. */
const PATIENCE_MS = 20;
const MAX_WAITING = 20_000;
const COUNTS_MS = 500;
const MAX_LOCALS = 8;

export interface KeptSnapshot {
  id: number;
  program: AttachedProgram;
  breakpoint: number;
  snapshot: TakenSnapshot;
}

export class SnapshotFeed {
  private readonly readers = new Map<AttachedProgram, { of: object; reader: SnapshotReader }>();
  /** What readers of variants that are gone have counted. */
  private readonly before = new Map<number, Counted>();
  private readonly shown = new Map<number, number>();
  /** Of each breakpoint with a hit count, how often its condition held. */
  private readonly held = new Map<number, number>();
  private readonly unevaluated = new Set<number>();
  private readonly unasked = new Map<number, number>();
  private waiting: { program: AttachedProgram; read: ReadSnapshot }[] = [];
  private kept: KeptSnapshot[] = [];
  private nextId = 1;
  private window = { start: 0, sent: 0 };
  private lastCounts = { text: '', at: 0 };
  private readonly messages: OutputLimit;

  constructor(
    private readonly listener: Listener,
    private readonly clock: WallClock,
    private readonly threadOf: (program: AttachedProgram) => { id: number; name: string },
  ) {
    this.messages = new OutputLimit((lines) => listener.output('stdout', lines));
  }

  /** Reads what the programs have taken since the last look. */
  async look(
    programs: readonly AttachedProgram[],
    breakpoints: ReadonlyMap<number, WatchedBreakpoint>,
  ): Promise<void> {
    for (const program of programs) {
      const reader = this.readerOf(program);
      if (!reader) continue;
      const isAsked = [...breakpoints.values()].some(
        ({ condition, hitCondition, message }) => condition ?? hitCondition ?? message,
      );
      const taken = await reader.look(isAsked ? ASKED_BYTES : SHOWN_BYTES);
      const newest = taken.at(-1)?.snapshot.time;
      if (newest !== undefined) this.clock.see(newest);
      this.waiting.push(...taken.map((read) => ({ program, read })));
    }
    for (const { read } of this.waiting.splice(0, this.waiting.length - MAX_WAITING))
      this.unasked.set(read.breakpoint, (this.unasked.get(read.breakpoint) ?? 0) + 1);
    this.see(breakpoints);
  }

  private readerOf(program: AttachedProgram): SnapshotReader | undefined {
    const source = program.instrumentation?.snapshots;
    const known = this.readers.get(program);
    if (known && known.of === source) return known.reader;
    this.forget(program);
    if (!source) return undefined;
    const reader = new SnapshotReader(source);
    this.readers.set(program, { of: source, reader });
    return reader;
  }

  /** The program runs another variant from now on; what was counted stays counted. */
  private forget(program: AttachedProgram): void {
    const known = this.readers.get(program);
    if (!known) return;
    this.readers.delete(program);
    for (const [id, { hits, read }] of known.reader.counted) {
      const sum = this.before.get(id) ?? { hits: 0, read: 0 };
      this.before.set(id, { hits: sum.hits + hits, read: sum.read + read });
    }
  }

  private see(breakpoints: ReadonlyMap<number, WatchedBreakpoint>): void {
    const deadline = performance.now() + PATIENCE_MS;
    let seen = 0;
    for (const { program, read } of this.waiting) {
      if (performance.now() > deadline) break;
      seen++;
      const { breakpoint: id, snapshot } = read;
      const breakpoint = breakpoints.get(id);
      // It was removed meanwhile.
      if (!breakpoint) continue;
      const moment = momentOfSnapshot(program.facts, snapshot);
      if (!this.isMeant(breakpoint, moment)) continue;
      const { message } = breakpoint;
      if (message) {
        this.count(id);
        const text = message.render(scopeAt(moment));
        this.messages.add(() => [text]);
        continue;
      }
      this.keep({ id: this.nextId++, program, breakpoint: id, snapshot });
    }
    this.waiting.splice(0, seen);
  }

  private isMeant({ id, condition, hitCondition }: WatchedBreakpoint, moment: Moment): boolean {
    if (condition) {
      const answer = condition.holds(scopeAt(moment));
      if (!answer.ok) {
        if (!this.unevaluated.has(id)) {
          this.unevaluated.add(id);
          const words = `The condition ${condition.text} cannot be evaluated: ${answer.problem.message}`;
          this.listener.output('console', [`${words} Such hits are not shown.`]);
        }
        return false;
      }
      if (!answer.value) return false;
    }
    if (!hitCondition) return true;
    const times = (this.held.get(id) ?? 0) + 1;
    this.held.set(id, times);
    return hitCondition(times);
  }

  private keep(kept: KeptSnapshot): void {
    this.kept.push(kept);
    if (this.kept.length > 2 * KEPT) this.kept = this.kept.slice(-KEPT);
    const now = performance.now();
    if (now - this.window.start >= 1000) this.window = { start: now, sent: 0 };
    if (this.window.sent >= SNAPSHOT_EVENTS) return;
    this.window.sent++;
    this.count(kept.breakpoint);
    this.listener.live(Snapshot, this.describe(kept));
  }

  private count(breakpoint: number): void {
    this.shown.set(breakpoint, (this.shown.get(breakpoint) ?? 0) + 1);
  }

  describe({ id, program, breakpoint, snapshot }: KeptSnapshot): SnapshotEvent {
    const moment = momentOfSnapshot(program.facts, snapshot);
    const frame = framesOf(moment)[0];
    const thread = this.threadOf(program);
    const { time, cpu } = snapshot;
    const locals = frame && moment.types ? localNodes(moment, frame) : [];
    return {
      id,
      threadId: thread.id,
      hook: thread.name,
      breakpoint,
      path: frame?.at?.path ?? '',
      line: frame?.at?.line ?? 0,
      function: frame?.name ?? program.name,
      ...(time === undefined ? {} : { time: this.clock.milliseconds(time), monotonic: String(time) }),
      ...(cpu === undefined ? {} : { cpu }),
      locals: locals
        .filter(({ value }) => value !== 'optimised out')
        .slice(0, MAX_LOCALS)
        .map(({ name, value }) => ({ name, value })),
    };
  }

  list(): SnapshotEvent[] {
    return this.kept
      .slice(-LISTED)
      .reverse()
      .map((kept) => this.describe(kept));
  }

  find(id: number): KeptSnapshot | undefined {
    return this.kept.find((kept) => kept.id === id);
  }

  /** Tells the client what was counted, unless it knows or was told a moment ago. */
  tellCounts(breakpoints: readonly number[]): void {
    const now = performance.now();
    if (now - this.lastCounts.at < COUNTS_MS) return;
    const counts = this.counts(breakpoints);
    const text = JSON.stringify(counts);
    if (text === this.lastCounts.text) return;
    this.lastCounts = { text, at: now };
    this.listener.live(SnapshotCounts, counts);
  }

  private counts(ids: readonly number[]): SnapshotCountsEvent {
    const readers = [...this.readers.values()].map(({ reader }) => reader.counted);
    const breakpoints = ids.map((id) => {
      let hits = 0;
      let read = 0;
      for (const counted of [this.before, ...readers]) {
        hits += counted.get(id)?.hits ?? 0;
        read += counted.get(id)?.read ?? 0;
      }
      const lost = hits - read + (this.unasked.get(id) ?? 0);
      return { id, hits, shown: this.shown.get(id) ?? 0, lost };
    });
    const sum = (of: (one: (typeof breakpoints)[number]) => number) =>
      breakpoints.reduce((total, one) => total + of(one), 0);
    return {
      hits: sum(({ hits }) => hits),
      shown: sum(({ shown }) => shown),
      lost: sum(({ lost }) => lost),
      breakpoints,
    };
  }

  close(): void {
    this.messages.close();
  }
}
