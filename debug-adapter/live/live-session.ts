/**
 * Programs that are attached, while somebody watches them: breakpoints become snapshots, runs are recorded. What is
 * done to the programs and what is read of them happens one after the other, so that no ring goes while it is read.
 */
import { KernelError } from '../../kernel/client/errors';
import type { Listener } from '../debuggee';
import { badInput, describeKernelError, unknownReference } from '../errors';
import type {
  FlightRecorderArguments,
  FlightRecorderStateEvent,
  RecordedRunSummary,
  SnapshotEvent,
} from '../protocol';
import type { Attachment } from '../runner/attachments';
import type { LoadedObject } from '../runner/load';
import { ignoreGone } from '../runner/records';
import type { Breakpoint, Placement } from '../stepping/breakpoints/store';
import { AttachedProgram } from './attached-program';
import { WallClock } from './clock';
import { FlightFeed } from './flight-feed';
import type { KeptRun } from './flight-feed';
import type { LiveTraffic } from './live-traffic';
import { openFlight, openSnapshot } from './opened';
import type { OpenedFlight, OpenedSnapshot } from './opened';
import { SnapshotFeed } from './snapshot-feed';
import { parseStopCondition } from './stop-condition';
import { placeLive } from './watched-breakpoint';
import type { WatchedBreakpoint } from './watched-breakpoint';

const LOOK_MS = 50;
const SLOW_LOOK_MS = 500;
/** Runs that stay to be opened when the recorder stops. */
const KEPT_AT_STOP = 200;

const NOT_AS_THEN =
  'Maps and globals are shown as they are now. What they held while the run went on is not recorded; the values that it loaded are among its locals and registers.';

export interface LiveHooks {
  /** The thread that stands for a program's first hook. */
  threadOf(program: string): { id: number; name: string } | undefined;
  /** Watching cost the attachment its place at the hook: the kernel took neither a variant nor the program itself. */
  lost(attachment: Attachment, reason: string): void;
}

export class LiveSession implements LiveTraffic {
  private readonly programs: AttachedProgram[] = [];
  private wanted: readonly Breakpoint[] = [];
  private breakpoints = new Map<number, WatchedBreakpoint>();
  private readonly snapshotFeed: SnapshotFeed;
  private readonly flightFeed: FlightFeed;
  private readonly clock = new WallClock();
  private timer: NodeJS.Timeout | undefined;
  private work: Promise<void> = Promise.resolve();
  private closed = false;
  /** What the programs were last told to watch, to leave them alone when nothing has changed. */
  private readonly watching = new Map<AttachedProgram, string>();
  /** Looked at instead of what is live. */
  opened: OpenedSnapshot | OpenedFlight | undefined;

  private constructor(
    private readonly loaded: LoadedObject,
    private readonly listener: Listener,
    private readonly hooks: LiveHooks,
  ) {
    const threadOf = (program: AttachedProgram) => this.thread(program);
    this.snapshotFeed = new SnapshotFeed(listener, this.clock, threadOf);
    this.flightFeed = new FlightFeed(loaded, listener, this.clock, threadOf);
  }

  static async open(
    loaded: LoadedObject,
    attachments: readonly Attachment[],
    listener: Listener,
    hooks: LiveHooks,
  ): Promise<LiveSession> {
    const session = new LiveSession(loaded, listener, hooks);
    const hooksOf = ({ handle: mine }: { handle: number }) =>
      attachments.filter(({ handle }) => handle === mine);
    const programs = loaded.programs.filter((program) => hooksOf(program).length > 0);
    for (const program of programs)
      session.programs.push(
        await AttachedProgram.open(loaded, program, hooksOf(program), {
          among: programs.length,
          lost: (attachment, reason) => hooks.lost(attachment, reason),
        }),
      );
    return session;
  }

  private thread({ name }: AttachedProgram): { id: number; name: string } {
    return this.hooks.threadOf(name) ?? { id: 0, name };
  }

  /** Something is not attached any more, which others found out. */
  gone(attachment: Attachment): void {
    for (const program of this.programs) program.forget(attachment);
  }

  /** Where breakpoints stand is known at once; whether the kernel takes the variants turns out later. */
  async place(wanted: readonly Breakpoint[]): Promise<Placement[]> {
    this.wanted = wanted;
    if (this.opened?.kind === 'run') await this.opened.stepping.place(wanted);
    const placed = await Promise.all(wanted.map((one) => placeLive(one, this.programs)));
    const watched = placed.flatMap((one) => one.watched ?? []);
    this.breakpoints = new Map(watched.map((one) => [one.id, one]));
    void this.enqueue(() => this.watch());
    return placed.map(({ placement }) => placement);
  }

  /** Lets each program run as what is watched of it wants. */
  private async watch(): Promise<void> {
    for (const program of this.programs) await this.watchProgram(program);
    this.schedule();
  }

  private async watchProgram(program: AttachedProgram): Promise<void> {
    if (!program.isAttached) return;
    const stops = [...this.breakpoints.values()].flatMap(({ id, places }) =>
      places.flatMap((one) => (one.program === program ? [{ breakpoint: id, place: one.place }] : [])),
    );
    const flight = this.flightFeed.wanted && { told: this.flightFeed.told(program) };
    const places = stops.map(({ breakpoint, place }) => [breakpoint, place.insn]);
    const key = JSON.stringify([places, flight]);
    if (this.watching.get(program) === key) return;
    // What the kernel could not be brought to is tried again at the next change.
    this.watching.delete(program);
    if (stops.length === 0 && !flight && !program.instrumentation) return;
    const readRest = () => this.snapshotFeed.look([program], this.breakpoints);
    const { reason, notes } = await program.watch({ stops, flight }, readRest);
    this.watching.set(program, key);
    if (notes.length > 0) this.listener.output('console', notes);
    if (reason === undefined) return;
    if (flight) this.notRecorded(program, reason);
    // Snapshots need less than the recording of runs.
    const alone = flight && stops.length > 0 ? await program.watch({ stops }) : { reason, notes: [] };
    if (alone.notes.length > 0) this.listener.output('console', alone.notes);
    if (alone.reason !== undefined && stops.length > 0) this.refuse(program, stops, alone.reason);
  }

  private notRecorded({ name }: AttachedProgram, reason: string): void {
    this.flightFeed.notRecorded.push({ program: name, reason });
    this.listener.output('console', [
      `Runs of ${name} are not recorded: ${reason}. Breakpoints take snapshots of it where the kernel allows that.`,
    ]);
  }

  private refuse(program: AttachedProgram, stops: readonly { breakpoint: number }[], reason: string): void {
    const message = `No snapshots of ${program.name}: ${reason}.`;
    this.listener.output('console', [message]);
    for (const id of new Set(stops.map(({ breakpoint }) => breakpoint))) {
      const elsewhere = this.breakpoints.get(id)?.places.some((place) => place.program !== program);
      if (!elsewhere) this.listener.breakpoint(id, { verified: false, message });
    }
  }

  /** Does it when all that was asked for before is done. What goes wrong is told, and no reason to go on worse. */
  private enqueue(work: () => Promise<void>): Promise<void> {
    this.work = this.work.then(async () => {
      if (this.closed) return;
      try {
        await work();
      } catch (error) {
        // A host that is gone ends the session, which is told elsewhere.
        if (this.closed || (error instanceof KernelError && error.code === 'hostGone')) return;
        const words = error instanceof KernelError ? describeKernelError(error) : String(error);
        this.listener.output('stderr', [`Live traffic cannot be watched: ${words}`]);
      }
    });
    return this.work;
  }

  /** Whether something is waited for; a recorder alone only counts. */
  private get isUrgent(): boolean {
    return this.breakpoints.size > 0 || this.flightFeed.wanted?.condition !== undefined;
  }

  private schedule(): void {
    const isWatched = this.programs.some(({ instrumentation }) => instrumentation);
    if (this.timer !== undefined || this.closed || !isWatched) return;
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        void this.enqueue(async () => {
          await this.look();
          this.schedule();
        });
      },
      this.isUrgent ? LOOK_MS : SLOW_LOOK_MS,
    );
  }

  private async look(): Promise<void> {
    await this.snapshotFeed.look(this.programs, this.breakpoints);
    this.snapshotFeed.tellCounts([...this.breakpoints.keys()]);
    const found = await this.flightFeed.look(this.programs);
    if (found) await this.stopRecording(found);
    else this.flightFeed.tellState();
  }

  /** The run is in hand; those around it are kept too before the rings go. */
  private async stopRecording(found: KeptRun): Promise<void> {
    await this.flightFeed.newest(this.programs, KEPT_AT_STOP);
    const { condition } = this.flightFeed.wanted ?? {};
    this.flightFeed.wanted = undefined;
    await this.watch();
    this.flightFeed.tellState(true);
    await this.showRun(found, `The flight recorder stopped: ${condition?.text ?? ''}`);
  }

  snapshots(): SnapshotEvent[] {
    return this.snapshotFeed.list();
  }

  async openSnapshot(id: number): Promise<void> {
    const kept = this.snapshotFeed.find(id);
    if (!kept) throw unknownReference('snapshot', id);
    const { time } = kept.snapshot;
    const thread = this.thread(kept.program).id;
    this.opened = openSnapshot(kept, thread);
    const at = time === undefined ? '' : `, ${new Date(this.clock.milliseconds(time)).toISOString()}`;
    this.listener.stopped('breakpoint', `Snapshot ${id}${at}`, thread, {
      hitBreakpointIds: [kept.breakpoint],
    });
  }

  /** Begins anew when it is enabled already. Throws `badInput` when the condition cannot be read. */
  async setFlightRecorder({ enabled, stopWhen }: FlightRecorderArguments): Promise<FlightRecorderStateEvent> {
    const parsed = stopWhen === undefined ? undefined : await parseStopCondition(stopWhen);
    if (parsed && !parsed.ok) throw badInput(`${parsed.problem.message} ${parsed.problem.hint}`);
    await this.enqueue(async () => {
      this.flightFeed.want(parsed?.value, enabled);
      this.watching.clear();
      await this.watch();
    });
    this.flightFeed.tellState(true);
    return this.flightFeed.state;
  }

  async runs(limit: number, thread?: number): Promise<RecordedRunSummary[]> {
    let runs: RecordedRunSummary[] = [];
    const programs = this.programs.filter(
      (program) => thread === undefined || this.thread(program).id === thread,
    );
    await this.enqueue(async () => {
      runs = await this.flightFeed.newest(programs, limit);
    });
    return runs;
  }

  openRun(id: number): Promise<void> {
    return this.showRun(this.flightFeed.find(id));
  }

  private async showRun(kept: KeptRun, text?: string): Promise<void> {
    const { listener, loaded } = this;
    const opened = await openFlight(kept, this.thread(kept.program).id, loaded.kernel, listener);
    this.opened = opened;
    const { stepping } = opened;
    listener.output('console', [...(text === undefined ? [] : [text]), NOT_AS_THEN]);
    await stepping.place(this.wanted);
    await stepping.goTo(stepping.stepper.run.timeline.length);
  }

  /** Back to what is live; true if something else was shown. */
  leave(): boolean {
    const wasOpen = this.opened !== undefined;
    this.opened = undefined;
    return wasOpen;
  }

  /** Unloads what was loaded for watching; nothing may be attached any more. */
  async unload(): Promise<void> {
    for (const program of this.programs) await program.unload().catch(ignoreGone);
  }

  /** Ends watching. */
  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    await this.work;
    this.snapshotFeed.close();
  }
}
