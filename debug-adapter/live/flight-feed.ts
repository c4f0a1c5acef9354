/** The flight recorders of a session's programs as one: what they have counted, and their runs by number. */
import { describeReturnValue } from '../../toolchain/program/return-values';
import { unknownReference } from '../errors';
import type { Listener } from '../debuggee';
import { FlightRecorderState } from '../protocol';
import type { FlightRecorderStateEvent, RecordedRunSummary } from '../protocol';
import type { LoadedObject } from '../runner/load';
import type { AttachedProgram } from './attached-program';
import type { WallClock } from './clock';
import { FlightRecorder } from './flight-recorder';
import type { FlightCounts } from './flight-recorder';
import type { FlightRun } from './flight-runs';
import type { Instrumentation } from './instrumentation';
import type { Told } from '../recorder/instrument/kept-code';
import type { StopCondition } from './stop-condition';

/** Runs that are kept to be opened after they were listed. */
const KEPT = 10_000;
/** What their records may take in the adapter's memory, but for the newest one. */
const KEPT_BYTES = 256 * 1024 * 1024;
const STATE_MS = 500;
/** Time for counting the steps of runs that are listed. */
const COUNTING_MS = 500;

export interface KeptRun {
  id: number;
  program: AttachedProgram;
  recorder: FlightRecorder;
  run: FlightRun;
}

/** Runs of the same tick may have the same time, and those of one program are in the order of the ring. */
const byAge = ({ run: one }: { run: FlightRun }, { run: other }: { run: FlightRun }) =>
  one.time === other.time ? other.start - one.start : one.time < other.time ? 1 : -1;

export class FlightFeed {
  /** What somebody asked for; undefined while nothing is to be recorded. */
  wanted: { condition?: StopCondition | undefined } | undefined;
  notRecorded: { program: string; reason: string }[] = [];
  private readonly recorders = new Map<AttachedProgram, { of: Instrumentation; recorder: FlightRecorder }>();
  private readonly kept = new Map<number, KeptRun>();
  private keptBytes = 0;
  private readonly byStart = new Map<FlightRecorder, Map<number, KeptRun>>();
  private nextId = 1;
  private stoppedAt: number | undefined;
  private last = { text: '', at: 0 };
  private lastLook = 0;
  private counts: FlightCounts = { runs: 0, checked: 0, lost: 0 };

  constructor(
    private readonly loaded: LoadedObject,
    private readonly listener: Listener,
    private readonly clock: WallClock,
    private readonly threadOf: (program: AttachedProgram) => { id: number; name: string },
  ) {}

  /** Begins anew, or ends. */
  want(condition: StopCondition | undefined, enabled: boolean): void {
    this.wanted = enabled ? { condition } : undefined;
    this.stoppedAt = undefined;
    this.notRecorded = [];
    if (enabled) this.counts = { runs: 0, checked: 0, lost: 0 };
  }

  /** Which runs of a program the kernel has to tell of. */
  told({ facts }: AttachedProgram): Told {
    const { condition } = this.wanted ?? {};
    return condition ? (condition.inKernel(facts.programType) ?? 'all') : 'none';
  }

  private recorderOf(program: AttachedProgram): FlightRecorder | undefined {
    const { instrumentation } = program;
    if (!instrumentation?.flight) return undefined;
    const known = this.recorders.get(program);
    if (known && known.of === instrumentation) return known.recorder;
    const recorder = new FlightRecorder(this.loaded, program, instrumentation, this.clock);
    this.recorders.set(program, { of: instrumentation, recorder });
    return recorder;
  }

  /** Tries the condition on runs since the last look; the first of which it holds is kept, and looking ends with it. */
  async look(programs: readonly AttachedProgram[]): Promise<KeptRun | undefined> {
    if (!this.wanted) return undefined;
    const { condition } = this.wanted;
    const now = performance.now();
    // Without a condition there is nothing but counters to be read.
    if (!condition && now - this.lastLook < STATE_MS) return undefined;
    this.lastLook = now;
    let runs = 0;
    let checked = 0;
    let lost = 0;
    let found: KeptRun | undefined;
    for (const program of programs) {
      const recorder = this.recorderOf(program);
      if (!recorder) continue;
      const run = found ? undefined : await recorder.look(condition);
      runs += recorder.counts.runs;
      checked += recorder.counts.checked;
      lost += recorder.counts.lost;
      if (run) found = this.keep(program, recorder, run);
      if (recorder.problem !== undefined && condition) {
        this.listener.output('console', [
          `The condition ${condition.text} cannot be tried on some runs: ${recorder.problem}`,
        ]);
        recorder.problem = undefined;
      }
    }
    this.counts = { runs, checked, lost };
    if (found) this.stoppedAt = found.id;
    return found;
  }

  private keep(program: AttachedProgram, recorder: FlightRecorder, run: FlightRun): KeptRun {
    const byStart = this.byStart.get(recorder) ?? new Map<number, KeptRun>();
    this.byStart.set(recorder, byStart);
    const known = byStart.get(run.start);
    if (known) return known;
    const kept = { id: this.nextId++, program, recorder, run };
    if (!run.isOfTick) this.clock.see(run.time);
    this.kept.set(kept.id, kept);
    byStart.set(run.start, kept);
    this.keptBytes += run.trace.length;
    for (const oldest of this.kept.values()) {
      if (oldest === kept || (this.kept.size <= KEPT && this.keptBytes <= KEPT_BYTES)) break;
      this.kept.delete(oldest.id);
      this.keptBytes -= oldest.run.trace.length;
      this.byStart.get(oldest.recorder)?.delete(oldest.run.start);
    }
    return kept;
  }

  /** Those in the rings, and those that were listed or found before, newest first. */
  async newest(programs: readonly AttachedProgram[], limit: number): Promise<RecordedRunSummary[]> {
    const deadline = performance.now() + COUNTING_MS;
    const found: { program: AttachedProgram; recorder: FlightRecorder; run: FlightRun }[] = [];
    for (const program of programs) {
      const recorder = this.recorderOf(program);
      for (const run of (await recorder?.newest(limit)) ?? [])
        found.push({ program, recorder: recorder!, run });
    }
    const newest = found.sort(byAge).slice(0, limit);
    for (const { program, recorder, run } of newest.reverse()) this.keep(program, recorder, run);
    return [...this.kept.values()]
      .filter(({ program }) => programs.includes(program))
      .sort(byAge)
      .slice(0, limit)
      .map((kept) => this.summary(kept, deadline));
  }

  private summary({ id, program, recorder, run }: KeptRun, deadline: number): RecordedRunSummary {
    const thread = this.threadOf(program);
    const { text: returned } = describeReturnValue(program.watched.program.type, this.returnValue(run));
    return {
      id,
      threadId: thread.id,
      hook: thread.name,
      time: this.clock.milliseconds(run.time),
      monotonic: String(run.time),
      isTimeOfTick: run.isOfTick,
      cpu: run.cpu,
      returned,
      returnValue: this.returnValue(run),
      // Counting them means to execute the run again.
      ...(performance.now() < deadline ? { steps: recorder.steps(run) } : {}),
    };
  }

  returnValue({ returned }: FlightRun): number {
    return Number(BigInt.asUintN(32, returned));
  }

  find(id: number): KeptRun {
    const kept = this.kept.get(id);
    if (!kept) throw unknownReference('run', id);
    return kept;
  }

  get state(): FlightRecorderStateEvent {
    const { condition } = this.wanted ?? {};
    return {
      enabled: this.wanted !== undefined,
      ...(condition ? { stopWhen: condition.text } : {}),
      ...this.counts,
      ...(this.stoppedAt === undefined ? {} : { stoppedAt: this.stoppedAt }),
      notRecorded: this.notRecorded,
    };
  }

  tellState(atOnce = false): void {
    const now = performance.now();
    if (!atOnce && now - this.last.at < STATE_MS) return;
    const text = JSON.stringify(this.state);
    if (text === this.last.text) return;
    this.last = { text, at: now };
    this.listener.live(FlightRecorderState, this.state);
  }
}
