/**
 * Programs that are attached, while somebody watches them: breakpoints become snapshots, runs are recorded. What is
 * done to the programs and what is read of them happens one after the other, so that no ring goes while it is read.
 */
import { KernelError } from '../../kernel/client/errors';
import type { Listener } from '../debuggee';
import { describeKernelError, notAttached, unknownReference } from '../errors';
import type { SnapshotEvent } from '../protocol';
import type { Attachment } from '../runner/attachments';
import type { LoadedObject } from '../runner/load';
import type { Breakpoint, Placement } from '../stepping/breakpoints/store';
import { framesOf } from '../stepping/moment';
import type { Moment, StepFrame } from '../stepping/moment';
import { scopesAt } from '../stepping/scopes';
import type { StepScope } from '../stepping/scopes';
import { AttachedProgram } from './attached-program';
import { WallClock } from './clock';
import { SnapshotFeed } from './snapshot-feed';
import { momentOfSnapshot } from './snapshot-moment';
import { placeLive } from './watched-breakpoint';
import type { WatchedBreakpoint } from './watched-breakpoint';

const LOOK_MS = 50;

/** A snapshot that is shown in place of what is live. */
export interface OpenedSnapshot {
  /** On which thread. */
  thread: number;
  moment: Moment;
  frames(): StepFrame[];
  scopes(frame: StepFrame): StepScope[];
}

export interface LiveHooks {
  /** The thread that stands for a program's first hook. */
  threadOf(program: string): { id: number; name: string } | undefined;
  /** What became of a breakpoint later than it was set. */
  breakpointChanged(id: number, placement: Placement): void;
}

export class LiveSession {
  private programs: AttachedProgram[] = [];
  private breakpoints = new Map<number, WatchedBreakpoint>();
  private readonly feed: SnapshotFeed;
  private readonly clock = new WallClock();
  private timer: NodeJS.Timeout | undefined;
  private work: Promise<void> = Promise.resolve();
  private closed = false;
  /** What the programs were last told to watch, to leave them alone when nothing has changed. */
  private readonly watching = new Map<AttachedProgram, string>();
  opened: OpenedSnapshot | undefined;

  private constructor(
    private readonly listener: Listener,
    private readonly hooks: LiveHooks,
  ) {
    this.feed = new SnapshotFeed(listener, this.clock, (program) => this.thread(program));
  }

  static async open(
    loaded: LoadedObject,
    attachments: readonly Attachment[],
    listener: Listener,
    hooks: LiveHooks,
  ): Promise<LiveSession> {
    const session = new LiveSession(listener, hooks);
    for (const program of loaded.programs) {
      const mine = attachments.filter(({ handle }) => handle === program.handle);
      if (mine.length > 0) session.programs.push(await AttachedProgram.open(loaded, program, mine));
    }
    return session;
  }

  private thread({ name }: AttachedProgram): { id: number; name: string } {
    return this.hooks.threadOf(name) ?? { id: 0, name };
  }

  /** Where breakpoints stand is known at once; that the kernel takes the variants turns out later. */
  async place(wanted: readonly Breakpoint[]): Promise<Placement[]> {
    const placed = await Promise.all(wanted.map((one) => placeLive(one, this.programs)));
    const watched = placed.flatMap((one) => one.watched ?? []);
    this.breakpoints = new Map(watched.map((one) => [one.id, one]));
    this.enqueue(() => this.watch());
    return placed.map(({ placement }) => placement);
  }

  /** Lets each program run as what is watched of it wants. */
  private async watch(): Promise<void> {
    const breakpoints = [...this.breakpoints.values()];
    for (const program of this.programs) {
      const stops = breakpoints.flatMap(({ id, places }) =>
        places.flatMap((one) => (one.program === program ? [{ breakpoint: id, place: one.place }] : [])),
      );
      const key = JSON.stringify(stops.map(({ breakpoint, place }) => [breakpoint, place.insn]));
      if (this.watching.get(program) === key || (stops.length === 0 && !program.instrumentation)) continue;
      await this.feed.look([program], this.breakpoints);
      this.watching.set(program, key);
      const { reason, notes } = await program.watch({ stops });
      if (notes.length > 0) this.listener.output('console', notes);
      if (reason !== undefined) this.refuse(program, stops, reason);
    }
    this.schedule();
  }

  private refuse(program: AttachedProgram, stops: readonly { breakpoint: number }[], reason: string): void {
    const message = `No snapshots of ${program.name}: ${reason}.`;
    this.listener.output('console', [message]);
    for (const id of new Set(stops.map(({ breakpoint }) => breakpoint))) {
      const elsewhere = this.breakpoints.get(id)?.places.some((place) => place.program !== program);
      if (!elsewhere) this.hooks.breakpointChanged(id, { verified: false, message });
    }
  }

  private enqueue(work: () => Promise<void>): void {
    this.work = this.work.then(async () => {
      if (this.closed) return;
      try {
        await work();
      } catch (error) {
        // A host that is gone ends the session, which is told elsewhere.
        if (error instanceof KernelError && error.code === 'hostGone') return;
        const words = error instanceof KernelError ? describeKernelError(error) : String(error);
        this.listener.output('stderr', [`Live traffic cannot be watched: ${words}`]);
      }
    });
  }

  private schedule(): void {
    const isWatched = this.programs.some(({ instrumentation }) => instrumentation);
    if (this.timer !== undefined || this.closed || !isWatched) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.enqueue(async () => {
        await this.feed.look(this.programs, this.breakpoints);
        this.feed.tellCounts([...this.breakpoints.keys()]);
        this.schedule();
      });
    }, LOOK_MS);
  }

  snapshots(): SnapshotEvent[] {
    return this.feed.list();
  }

  async openSnapshot(id: number): Promise<void> {
    const kept = this.feed.find(id);
    if (!kept) throw unknownReference('snapshot', id);
    const { program, snapshot } = kept;
    const moment = momentOfSnapshot(program.facts, snapshot);
    const thread = this.thread(program).id;
    this.opened = {
      thread,
      moment,
      frames: () => framesOf(moment),
      scopes: (frame) => scopesAt(moment, frame),
    };
    const { time } = snapshot;
    const when =
      time === undefined ? '' : ` of ${new Date(this.clock.milliseconds(time)).toISOString().slice(11, 23)}`;
    this.listener.stopped('breakpoint', `Snapshot ${id}${when}`, thread);
  }

  setFlightRecorder(): Promise<never> {
    return Promise.reject(notAttached('bpf/flightRecorder'));
  }
  runs(): Promise<never> {
    return Promise.reject(notAttached('bpf/runs'));
  }
  openRun(): Promise<never> {
    return Promise.reject(notAttached('bpf/openRun'));
  }

  /** Back to what is live; true if something else was shown. */
  leave(): boolean {
    const wasOpen = this.opened !== undefined;
    this.opened = undefined;
    return wasOpen;
  }

  /** Ends watching; what was loaded for it goes with its object. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    await this.work;
    this.feed.close();
  }
}
