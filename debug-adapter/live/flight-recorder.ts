/** The flight recorder of one attached program: its newest runs, and the one of which a condition held. */
import { FLIGHT, END } from '../recorder/instrument/flight-code';
import { RING } from '../recorder/instrument/ring';
import { openRunWith } from '../recorder/open-run';
import type { OpenedRun } from '../recorder/open-run';
import { sourcesOf } from '../recorder/record-program';
import { MAX_PACKET } from '../recorder/recording';
import type { Recording } from '../recorder/recording';
import { Machine } from '../recorder/replay/machine';
import { replayCode } from '../recorder/replay/code';
import type { ReplayCode } from '../recorder/replay/code';
import type { LoadedObject } from '../runner/load';
import type { AttachedProgram } from './attached-program';
import type { WallClock } from './clock';
import { mayHavePrivateStacks, runsIn } from './flight-runs';
import type { FlightRun, RingContent } from './flight-runs';
import type { Instrumentation } from './instrumentation';
import type { RingHeader } from './ring';
import type { StopCondition } from './stop-condition';

/** How far back runs are looked for at first, and at most. */
const FIRST_WINDOW = 1 << 16;
const MAX_WINDOW = 1 << 24;
/** Time for trying a condition, at a look. */
const PATIENCE_MS = 100;

export interface FlightCounts {
  /** Runs that have ended; of them those that were tried: in the kernel, or here. */
  runs: number;
  checked: number;
}

export class FlightRecorder {
  private matchesSeen = 0;
  /** What each place in the log of matches held when it was last looked at. */
  private readonly matchesRead = new Map<number, number>();
  private checkedHere = 0;
  private addresses: [number, bigint][] | undefined;
  private sources: Recording['sources'] | undefined;
  private code: ReplayCode | undefined;
  counts: FlightCounts = { runs: 0, checked: 0 };
  /** Why the condition could not be tried on a run. */
  problem: string | undefined;

  constructor(
    private readonly loaded: LoadedObject,
    private readonly attached: AttachedProgram,
    private readonly instrumentation: Instrumentation,
    private readonly clock: WallClock,
  ) {}

  private get source() {
    return this.instrumentation.flight!;
  }
  private get content(): RingContent {
    const { instrumented, withPacket } = this.source;
    const { type } = this.attached.watched.program;
    const privateStacks = mayHavePrivateStacks(type, this.loaded.kernel.hello.kernel.version);
    return { instrumented, withPacket, privateStacks };
  }

  /** The newest runs, newest first. */
  async newest(limit: number): Promise<FlightRun[]> {
    const { ring } = this.source;
    const header = await ring.header();
    this.readAddresses(header);
    const { position: end } = header;
    for (let window = FIRST_WINDOW; ; window *= 4) {
      const from = Math.max(ring.oldest(end), end - window);
      const runs = runsIn(await ring.read(from, end), this.content);
      const oldest = ring.oldest((await ring.header()).position);
      const intact = runs.filter(({ start }) => start >= oldest);
      if (intact.length >= limit || window >= MAX_WINDOW || from <= oldest)
        return intact.slice(-limit).reverse();
    }
  }

  /** Looks at runs that have ended since the last look; the first one of which the condition holds. */
  async look(condition: StopCondition | undefined): Promise<FlightRun | undefined> {
    const { ring } = this.source;
    const header = await ring.header();
    this.readAddresses(header);
    const matches = header.number(RING.MATCHES);
    // Where all are told of they are counted once.
    const runs = header.number(RING.RUNS) || matches;
    const type = this.attached.watched.program.type;
    const isWhole = condition?.isWhole(type) === true;
    const inKernel = condition?.inKernel(type) !== undefined;
    this.counts = { runs, checked: this.checkedHere };
    if (!condition) return undefined;
    // What the log of matches has no room for is not tried; what there is no time for waits for the next look.
    this.matchesSeen = Math.max(this.matchesSeen, matches - RING.MATCHED_COUNT);
    const deadline = performance.now() + PATIENCE_MS;
    let tried = 0;
    let found: FlightRun | undefined;
    while (this.matchesSeen < matches && !found && performance.now() < deadline) {
      const place = this.matchesSeen % RING.MATCHED_COUNT;
      const word = header.number(RING.MATCHED + 8 * place);
      // It is counted before it is written, which the next look may see.
      if (word === (this.matchesRead.get(place) ?? 0)) break;
      this.matchesRead.set(place, word);
      this.matchesSeen++;
      const run = await this.runThatEndsAt(word);
      if (!run) continue;
      tried++;
      if (isWhole || this.isMeant(run, condition)) found = run;
    }
    this.checkedHere += tried;
    // Those of which the kernel's part of the condition did not hold need no second look.
    this.counts = { runs, checked: inKernel ? runs - matches + this.checkedHere : this.checkedHere };
    if (isWhole) this.counts.checked = runs;
    return found;
  }

  private async runThatEndsAt(word: number): Promise<FlightRun | undefined> {
    const { ring } = this.source;
    const position = word - 1;
    const { position: now } = await ring.header();
    if (position < ring.oldest(now)) return undefined;
    const [last] = await ring.read(position, position + END.SIZE);
    if (!last) return undefined;
    const view = new DataView(last.bytes.buffer, last.bytes.byteOffset, last.bytes.byteLength);
    if (Number(view.getBigUint64(0, true)) !== word) return undefined;
    const start = Number(view.getBigUint64(END.START, true)) - 1;
    const frame = view.getUint32(FLIGHT.FRAME, true);
    if (start < ring.oldest(now) || start > position || frame === 0) return undefined;
    const runs = runsIn(await ring.read(start, position + END.SIZE), this.content);
    const run = runs.find((one) => one.start === start);
    const { position: after } = await ring.header();
    return start >= ring.oldest(after) ? run : undefined;
  }

  private isMeant(run: FlightRun, condition: StopCondition): boolean {
    const answer = condition.holds(this.openAgain(run));
    if (answer.ok) return answer.value;
    this.problem ??= answer.problem.message;
    return false;
  }

  /** Instructions that the run went through, as far as its re-execution agrees with the kernel. */
  steps(run: FlightRun): number {
    const { prepared, program } = this.attached.watched;
    const stackDepth = program.verdict.stats?.stackDepth ?? [];
    const { records } = this.source.instrumented;
    this.code ??= replayCode(prepared.instructions, records, stackDepth, new Map(this.addresses ?? []));
    const machine = new Machine(this.code, run.trace);
    while (!machine.ending) machine.run();
    return machine.step;
  }

  private readAddresses(header: RingHeader): void {
    if (this.addresses) return;
    const places = this.source.instrumented.addresses;
    // The first one is written last, and none is 0.
    if (places.length > 0 && header.address(0) === 0n) return;
    this.addresses = places.flatMap((insns, index) =>
      insns.map((insn): [number, bigint] => [insn, header.address(index)]),
    );
  }

  /** The run as something to go through. */
  async open(run: FlightRun): Promise<OpenedRun> {
    const { prepared } = this.attached.watched;
    this.sources ??= await sourcesOf(prepared, this.loaded);
    return this.openAgain(run);
  }

  private openAgain(run: FlightRun): OpenedRun {
    return openRunWith(this.recordingOf(run), { object: this.loaded.file.object, ...this.attached.facts });
  }

  private recordingOf(run: FlightRun): Recording {
    const { kernel, file, maps } = this.loaded;
    const { prepared, program } = this.attached.watched;
    const { possibleCpus, release } = kernel.hello.kernel;
    const { bytes: data, length = Infinity } = run.packet ?? {};
    return {
      kernel: release,
      possibleCpus,
      recordedAt: Math.round(this.clock.milliseconds(run.time)),
      program: { name: program.name, section: program.section, type: program.type },
      file: file.path,
      sources: this.sources ?? [],
      object: file.bytes,
      prepared,
      stackDepth: [...(program.verdict.stats?.stackDepth ?? [])],
      records: this.source.instrumented.records,
      addresses: this.addresses ?? [],
      trace: run.trace,
      input: data && length <= MAX_PACKET ? { data, length } : {},
      result: {
        returnValue: Number(BigInt.asUintN(32, run.returned)),
        duration: 0,
        data: new Uint8Array(0),
        context: new Uint8Array(0),
      },
      maps,
      innerMaps: [],
      snapshots: [],
    };
  }
}
