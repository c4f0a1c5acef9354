/** `request: "launch"`: a program run once through BPF_PROG_TEST_RUN, its maps kept to be looked at. */
import type { KernelRequests } from '../kernel/client/client';
import type { Debuggee, DebuggeeThread, Environment, FirstMove } from './debuggee';
import { noSuchProgram, nothingRecorded } from './errors';
import type { LaunchArguments } from './protocol';
import {
  describeAssumptions,
  describeNotes,
  describeRecord,
  describeRejection,
  describeResult,
  describeTraceLine,
} from './runner/describe';
import { loadObject, type LoadedObject } from './runner/load';
import { chooseEntry, openProgramFile, placeOf, usesPrintk } from './runner/object';
import { RecordReaders, ignoreGone } from './runner/records';
import { restoreMaps, withChange } from './runner/rerun';
import { runProgram, type Execute, type RunInput, type RunReport } from './runner/run';
import { TracePipe } from './runner/trace-pipe';
import { recordProgram } from './recorder/record-program';
import type { Recording } from './recorder/recording';
import type { Breakpoint, Placement } from './stepping/breakpoints/store';
import type { InputChange } from './stepping/inputs';
import { openRecording } from './stepping/open-recording';
import { placeIn } from './stepping/same-place';
import { RecordedStepping } from './stepping/recorded-stepping';
import { VariableContext } from './variables/context';
import type { LoadedProgram } from '../kernel/protocol';

const THREAD = 1;

export async function launch(given: LaunchArguments, environment: Environment): Promise<Debuggee> {
  const { listener, signal } = environment;
  listener.state({ phase: 'preparing' });
  const { release } = environment.kernel.hello.kernel;
  const file = await openProgramFile(given.program, environment.compile, signal);
  const entry = chooseEntry(file, given.entry);
  const loaded = await loadObject(environment.kernel, file, {
    programs: [entry.name],
    ...(given.globals ? { globals: given.globals } : {}),
    signal,
    onRejected: (verdict) => listener.output('stderr', describeRejection(verdict, file, release)),
  });
  try {
    const program = loaded.programs.find((candidate) => candidate.name === entry.name);
    if (!program)
      throw noSuchProgram(
        entry.name,
        loaded.programs.map(({ name }) => name),
      );
    listener.output('stdout', [
      `Loaded ${entry.name} (SEC("${entry.section}")) on ${environment.label}, Linux ${release}.`,
    ]);
    listener.output('console', describeAssumptions(loaded));
    const run = new Run(loaded, program, given, environment);
    if (given.stopOnEntry !== true || given.noDebug === true) await run.execute();
    return run;
  } catch (error) {
    await loaded.close();
    throw error;
  }
}

class Run implements Debuggee {
  /** Of the kernel as it is now. */
  private readonly present: VariableContext;
  stepping: RecordedStepping | undefined;
  recording: Recording | undefined;
  private closeRecording: () => Promise<void> = async () => {};
  private last: RunReport | undefined;
  private executing: Promise<void> | undefined;
  private readonly stopping = new AbortController();
  /** What the program is run with: as configured, and then as changed while going through a run. */
  private input: RunInput;

  constructor(
    private readonly loaded: LoadedObject,
    private readonly program: LoadedProgram,
    private readonly given: LaunchArguments,
    private readonly environment: Environment,
  ) {
    this.present = new VariableContext(loaded);
    this.input = given;
  }

  /** Behind its last step a run is what the kernel holds; before, what it held then. */
  get context(): VariableContext {
    return this.stepping && !this.stepping.stepper.isAtEnd ? this.stepping.context : this.present;
  }

  get threads(): DebuggeeThread[] {
    const { name, type } = this.program;
    const place = placeOf(this.loaded.file, name);
    const frame = this.last ? `${name}() = ${this.last.returned.text}` : `${name}()`;
    return [{ id: THREAD, name: `${name} (${type})`, frame, ...(place ? { place } : {}) }];
  }

  /** One run; a second one that is asked for meanwhile is the same. */
  execute(): Promise<void> {
    this.executing ??= this.runOnce().finally(() => (this.executing = undefined));
    return this.executing;
  }

  /** Everything that came of the run goes to the console. */
  private async runOnce(): Promise<void> {
    this.last = undefined;
    const { listener, kernel } = this.environment;
    const signal = AbortSignal.any([this.environment.signal, this.stopping.signal]);
    listener.state({ phase: 'running' });
    const printed: string[] = [];
    const trace = usesPrintk(this.loaded.file)
      ? await TracePipe.open(kernel, (line) => printed.push(describeTraceLine(line, OWN_TASK)))
      : undefined;
    const records: string[] = [];
    const readers = await RecordReaders.open(this.loaded, this.given.events, {
      record: (record) => records.push(...describeRecord(record)),
      lost: (map, count) =>
        listener.output('console', [`${map}: ${count} records were lost, the buffer was full`]),
    });
    let report: RunReport;
    try {
      report = await runProgram(this.loaded, this.program, this.input, signal, this.recorder(signal));
      report = this.last = { ...report, recorded: this.recording !== undefined };
      this.openRecording(report);
    } finally {
      // What the program wrote is worth reading, above all when the run failed.
      const streams = [readers, ...(trace && 'pipe' in trace ? [trace.pipe] : [])];
      for (const stream of streams) await stream.flush().catch(ignoreGone);
      for (const stream of streams) await stream.close();
      if (trace && 'reason' in trace)
        listener.output('console', [`The program's bpf_printk output cannot be shown: ${trace.reason}`]);
      if (this.last) listener.output('stdout', describeNotes(this.last));
      listener.output('stdout', [...printed, ...records]);
    }
    listener.output('stdout', describeResult(report));
    // Of the run that can be gone through nothing has been read yet; what the kernel has may be on display.
    await this.present.refresh();
    listener.state({ phase: 'finished', returned: report.returned.text });
  }

  /** How to run so that the run can be gone through afterwards; undefined to run and be done. */
  private recorder(signal: AbortSignal): Execute | undefined {
    this.stepping = undefined;
    this.recording = undefined;
    // A run without debugging is measured as it is, and of many runs none is the one to look at.
    if (this.given.noDebug === true || (this.given.repeat ?? 1) > 1) return undefined;
    return async ({ repeat: _, ...input }) => {
      await this.closeRecording();
      const recorded = await recordProgram(this.loaded, this.program, input, signal);
      if ('recording' in recorded) {
        this.recording = recorded.recording;
        this.closeRecording = once(recorded.close);
      } else {
        this.environment.listener.output('console', [
          `This run cannot be stepped through: ${recorded.reason}.`,
          'Its result, packet and maps are shown as after the run; bpf_printk shows values on the way.',
        ]);
      }
      return recorded.result;
    };
  }

  /** Opens what was recorded, for going through. */
  private openRecording({ returned }: RunReport): void {
    if (!this.recording) return;
    const opened = openRecording(this.recording, this.loaded.kernel, {
      rerun: (change, what) => this.rerun(change, what),
    });
    const { listener } = this.environment;
    if (opened.ok) {
      this.stepping = new RecordedStepping(opened.value, listener, returned.text);
      listener.output('console', opened.value.notices);
    } else listener.output('console', [`This run cannot be stepped through: ${opened.problem.message}`]);
  }

  /** Runs again from the maps that the last run began with, and goes to where that was. */
  private async rerun(change: InputChange, what: string): Promise<KernelRequests> {
    const { stepping, recording } = this;
    if (!stepping || !recording) throw nothingRecorded();
    const place = placeIn(stepping.stepper.run);
    const before = this.input;
    this.input = withChange(before, change);
    try {
      await restoreMaps(this.loaded.kernel, recording, change.entry);
      await this.execute();
    } catch (error) {
      // What the kernel does not run is not kept either.
      this.input = before;
      throw error;
    }
    const after = this.stepping as RecordedStepping | undefined;
    if (after) await after.takeOver(place, what);
    else this.announce();
    return this.context.kernel;
  }

  place(wanted: readonly Breakpoint[]): Promise<Placement[]> | undefined {
    return this.stepping?.place(wanted);
  }

  async resume(first?: FirstMove): Promise<void> {
    if (this.stepping && !this.stepping.stepper.isAtEnd) {
      await this.stepping.move('continue', 'line');
      return;
    }
    await this.execute();
    if (first && this.stepping) await this.stepping.move(first.move, first.granularity);
    else this.announce();
  }

  announce(): void {
    const { listener } = this.environment;
    if (this.stepping) this.stepping.announce();
    else if (this.last) listener.stopped('pause', `Run finished: ${this.last.returned.text}`);
    else listener.stopped('entry', 'Loaded, not run yet: Continue runs it');
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    this.stepping?.interrupt();
    // Who asked for the run hears of its end; here only that it is over matters.
    await this.executing?.catch(() => undefined);
    await this.loaded.close();
  }
}

/** Work that is done at the first call only. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= work());
}

/** Test runs happen in the kernel host, whose threads are Node's or Electron's. */
const OWN_TASK = /^(node|libuv-worker|code|electron|MainThread|DedicatedWorker).*-\d+$/i;
