/**
 * `request: "attach"`: programs attached to their real hooks.
 *
 * Nothing ever pauses, yet VS Code shows variables of stopped threads only. So each attachment is a thread that is
 * reported as stopped in a frame named for its hook, while the program goes on; values on display are refreshed
 * every second through DAP's `invalidated` event. Continue reads them at once, runs attached iterators again, and
 * reports the same stop again.
 */
import type { Debuggee, DebuggeeThread, Environment } from './debuggee';
import { describeKernelError } from './errors';
import type { AttachArguments } from './protocol';
import { attachAll, detachAll, type Attachment } from './runner/attachments';
import { describeAssumptions, describeRecord, describeRejection, describeTraceLine } from './runner/describe';
import { loadObject, type LoadedObject } from './runner/load';
import {
  chooseEntry,
  openProgramFile,
  placeOf,
  structOpsNames,
  usesPrintk,
  type ProgramFile,
} from './runner/object';
import { OutputLimit } from './runner/output-limit';
import { RecordReaders } from './runner/records';
import { TracePipe } from './runner/trace-pipe';
import { KernelError } from '../kernel/client/errors';
import { LiveSession } from './live/live-session';
import type { Breakpoint, Placement } from './stepping/breakpoints/store';
import { VariableContext } from './variables/context';

const REFRESH_MS = 1000;
const MAX_ITERATOR_TEXT = 256 * 1024;

export async function attach(given: AttachArguments, environment: Environment): Promise<Debuggee> {
  const { kernel, listener, signal } = environment;
  listener.state({ phase: 'preparing' });
  const { release } = environment.kernel.hello.kernel;
  const file = await openProgramFile(given.program, environment.compile, signal);
  const wanted = given.attach && programsOf(file, given.attach);
  const loaded = await loadObject(kernel, file, {
    ...(wanted ? { programs: wanted } : {}),
    ...(given.globals ? { globals: given.globals } : {}),
    signal,
    onRejected: (verdict) => listener.output('stderr', describeRejection(verdict, file, release)),
  });
  listener.output('console', describeAssumptions(loaded));
  const live = new Live(loaded, given, environment);
  try {
    await live.start();
    return live;
  } catch (error) {
    await live.stop();
    throw error;
  }
}

/** Programs to load for what is to be attached; a struct_ops needs all of its functions. */
function programsOf(file: ProgramFile, wanted: NonNullable<AttachArguments['attach']>): string[] {
  const structOps = structOpsNames(file);
  const functions = file.object.programs.filter(({ section }) => /^struct_ops(\.s)?(\/|$)/.test(section));
  return wanted.flatMap(({ entry }) =>
    structOps.includes(entry) ? functions.map(({ name }) => name) : [chooseEntry(file, entry).name],
  );
}

class Live implements Debuggee {
  readonly context: VariableContext;
  private attachments: { thread: DebuggeeThread; attachment: Attachment }[] = [];
  private readers: RecordReaders | undefined;
  private trace: TracePipe | undefined;
  private subscription: { dispose(): void } | undefined;
  private timer: NodeJS.Timeout | undefined;
  private stopping: Promise<void> | undefined;
  live: LiveSession | undefined;
  private readonly limit: OutputLimit;

  constructor(
    private readonly loaded: LoadedObject,
    private readonly given: AttachArguments,
    private readonly environment: Environment,
  ) {
    this.context = new VariableContext(loaded);
    this.limit = new OutputLimit((lines) => environment.listener.output('stdout', lines));
  }

  get threads(): DebuggeeThread[] {
    const { opened } = this;
    return this.attachments.map(({ thread }) =>
      opened?.kind === 'run' && opened.thread === thread.id ? { ...thread, frame: opened.title } : thread,
    );
  }

  async start(): Promise<void> {
    const { kernel, listener, signal } = this.environment;
    // Readers first, so that nothing which the first hit writes is missed.
    await this.openOutputs();
    this.subscription = kernel.on('linkGone', ({ link, reason }) => this.linkGone(link, reason));
    const attached = await attachAll(this.loaded, this.given.attach, signal);
    this.attachments = attached.map((attachment, i) => {
      const place = placeOf(this.loaded.file, attachment.program);
      const name = `${attachment.program}: ${attachment.description}`;
      const frame = `attached: ${attachment.description}`;
      return { attachment, thread: { id: i + 1, name, frame, ...(place ? { place } : {}) } };
    });
    listener.output(
      'stdout',
      attached.map(({ program, description }) => `Attached ${program}: ${description}.`),
    );
    this.live = await LiveSession.open(this.loaded, attached, listener, {
      threadOf: (program) =>
        this.attachments.find(({ attachment }) => attachment.program === program)?.thread,
      lost: ({ link }, reason) => this.linkGone(link, reason),
    });
    const { flightRecorder = false } = this.given;
    if (flightRecorder !== false)
      await this.live.setFlightRecorder({
        enabled: true,
        ...(flightRecorder === true ? {} : flightRecorder),
      });
    await this.readIterators();
    this.tellState();
    this.schedule();
  }

  place(wanted: readonly Breakpoint[]): Promise<readonly Placement[]> | undefined {
    return this.live?.place(wanted);
  }

  private get opened() {
    return this.live?.opened;
  }
  get snapshot() {
    return this.opened?.kind === 'snapshot' ? this.opened : undefined;
  }
  get stepping() {
    return this.opened?.kind === 'run' ? this.opened.stepping : undefined;
  }
  get recording() {
    return this.opened?.kind === 'run' ? this.opened.recording : undefined;
  }
  /** Of the thread that something of the past is shown on. */
  get shownThread() {
    return this.opened?.thread;
  }

  /** An iterator does nothing by itself: it runs, and writes its text, when it is read. */
  private async readIterators(): Promise<void> {
    const { kernel, listener } = this.environment;
    for (const { attachment } of this.attachments) {
      const program = this.loaded.programs.find(({ name }) => name === attachment.program);
      if (!program || !/^iter(\.s)?\//.test(program.section)) continue;
      const { data, truncated } = await kernel.request('iterRead', {
        link: attachment.link,
        maxBytes: MAX_ITERATOR_TEXT,
      });
      const lines = new TextDecoder().decode(data).trimEnd().split('\n');
      if (truncated) lines.push(`… cut after ${MAX_ITERATOR_TEXT >> 10} KiB`);
      listener.output('stdout', lines);
    }
  }

  private async openOutputs(): Promise<void> {
    const { kernel, listener } = this.environment;
    this.readers = await RecordReaders.open(this.loaded, this.given.events, {
      record: (record) => this.limit.add(() => describeRecord(record)),
      lost: (map, count) => this.limit.add(() => [`${map}: ${count} records were lost, the buffer was full`]),
    });
    if (!usesPrintk(this.loaded.file)) return;
    const trace = await TracePipe.open(kernel, (line) => this.limit.add(() => [describeTraceLine(line)]));
    if ('pipe' in trace) this.trace = trace.pipe;
    else listener.output('console', [`The program's bpf_printk output cannot be shown: ${trace.reason}`]);
  }

  /** The next refresh is planned when the last one is done, so that a slow kernel is not asked ever more. */
  private schedule(): void {
    this.timer = setTimeout(() => void this.tick(), REFRESH_MS);
  }

  private async tick(): Promise<void> {
    try {
      if (await this.context.refresh()) this.environment.listener.changed();
    } catch (error) {
      if (this.stopping || (error instanceof KernelError && error.code === 'hostGone')) return;
      const words = error instanceof KernelError ? describeKernelError(error) : String(error);
      this.environment.listener.output('stderr', [`The values could not be refreshed: ${words}`]);
    }
    if (!this.stopping) this.schedule();
  }

  private linkGone(link: number, reason: string): void {
    const index = this.attachments.findIndex(({ attachment }) => attachment.link === link);
    const [gone] = index < 0 ? [] : this.attachments.splice(index, 1);
    if (!gone) return;
    const { listener } = this.environment;
    this.live?.gone(gone.attachment);
    listener.output('stderr', [`${gone.thread.name} is no longer attached: ${reason.replace(/\.$/, '')}.`]);
    listener.threadGone(gone.thread.id);
    this.tellState();
    if (this.attachments.length === 0) listener.ended('Nothing is attached any more.');
  }

  private tellState(): void {
    this.environment.listener.state({
      phase: 'attached',
      attached: this.attachments.map(({ attachment }) => attachment.description),
    });
  }

  async resume(): Promise<void> {
    const { stepping } = this;
    if (stepping && !stepping.stepper.isAtEnd) {
      await stepping.move('continue', 'line');
      return;
    }
    if (!this.live?.leave()) await this.readIterators();
    await this.context.refresh();
    this.announce();
  }

  announce(): void {
    this.environment.listener.stopped('pause', 'Attached');
  }

  stop(): Promise<void> {
    this.stopping ??= this.release();
    return this.stopping;
  }

  private async release(): Promise<void> {
    clearTimeout(this.timer);
    this.subscription?.dispose();
    await this.live?.close();
    const { kernel, listener } = this.environment;
    const problems = await detachAll(
      kernel,
      this.attachments.map(({ attachment }) => attachment),
    );
    if (problems.length > 0) listener.output('stderr', problems);
    await this.live?.unload();
    await this.readers?.close();
    await this.trace?.close();
    this.limit.close();
    await this.loaded.close();
  }
}
