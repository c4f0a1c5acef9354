/** The flight recorder of one attached program: its newest runs, and the one of which a condition held. */
import { KEPT, placesOffset } from '../recorder/instrument/kept-code';
import type { KeptLayout } from '../recorder/instrument/kept-code';
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
import { positionOf } from './ring';
import type { RingHeader, Segment } from './ring';
import type { StopCondition } from './stop-condition';

/** How far back runs are looked for at first, and at most. */
const FIRST_WINDOW = 1 << 16;
const MAX_WINDOW = 1 << 24;
/** Places for runs that are kept which are read with one request. */
const PLACES_AT_ONCE = 16;
/** Time for trying a condition, at a look. */
const PATIENCE_MS = 100;

export interface FlightCounts {
  /** Runs, but for those that were left by a tail call or an exception; of them those that were tried: in the kernel, or here. */
  runs: number;
  checked: number;
  /** Of which the kernel's part of the condition held, and which were gone before the rest of it could be tried. */
  lost: number;
}

export class FlightRecorder {
  private checkedHere = 0;
  private overwritten = 0;
  private addresses: [number, bigint][] | undefined;
  private sources: Recording['sources'] | undefined;
  private code: ReplayCode | undefined;
  counts: FlightCounts = { runs: 0, checked: 0, lost: 0 };
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
    const { flight } = this.source;
    const { type } = this.attached.watched.program;
    const privateStacks = mayHavePrivateStacks(type, this.loaded.kernel.hello.kernel.version);
    return { flight, privateStacks };
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

  /** Looks at runs that were kept since the last look; the first one of which the condition holds. */
  async look(condition: StopCondition | undefined): Promise<FlightRun | undefined> {
    const { ring, flight } = this.source;
    const header = await ring.header();
    this.readAddresses(header);
    const { kept } = flight;
    const found = condition && kept ? await this.lookAt(kept, condition) : undefined;
    this.count(header, condition);
    return found;
  }

  private async lookAt(kept: KeptLayout, condition: StopCondition): Promise<FlightRun | undefined> {
    const isWhole = condition.isWhole(this.attached.watched.program.type);
    const taken = await this.taken(kept);
    const deadline = performance.now() + PATIENCE_MS;
    const tried: number[] = [];
    let chunk: { from: number; bytes: Uint8Array } = { from: 0, bytes: new Uint8Array(0) };
    let found: FlightRun | undefined;
    for (const { place, number } of taken) {
      // What there is no time for waits for the next look; on the busiest machine one run at a time is looked at.
      if (found || (tried.length > 0 && performance.now() > deadline)) break;
      let at = (place - chunk.from) * kept.size;
      if (at < 0 || at >= chunk.bytes.length) {
        const count = Math.min(PLACES_AT_ONCE, kept.places - place);
        const offset = placesOffset(kept) + place * kept.size;
        chunk = { from: place, bytes: await this.source.ring.bytes(offset, count * kept.size) };
        at = 0;
      }
      const view = new DataView(chunk.bytes.buffer, chunk.bytes.byteOffset + at, kept.size);
      // A run on another CPU is about to be kept there.
      if (view.getBigUint64(KEPT.NUMBER, true) !== number) continue;
      tried.push(place);
      const run = await this.runKept(view);
      if (!run) this.overwritten++;
      else {
        this.checkedHere++;
        if (isWhole || this.isMeant(run, condition)) found = run;
      }
    }
    await this.free(kept, tried);
    return found;
  }

  /** Places that are taken, in the order of the runs. */
  private async taken({ offset, places }: KeptLayout): Promise<{ place: number; number: bigint }[]> {
    const bytes = await this.source.ring.bytes(offset, 8 * places);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const all = Array.from({ length: places }, (_, place) => ({
      place,
      number: view.getBigUint64(8 * place, true),
    }));
    const taken = all.filter(({ number }) => number !== 0n);
    return taken.sort((one, other) => (one.number < other.number ? -1 : 1));
  }

  private async free({ offset }: KeptLayout, places: readonly number[]): Promise<void> {
    // Those that lie one behind the other with one request.
    for (let from = 0; from < places.length;) {
      let to = from + 1;
      while (places[to] === places[to - 1]! + 1) to++;
      await this.source.ring.write(offset + 8 * places[from]!, new Uint8Array(8 * (to - from)));
      from = to;
    }
  }

  /** The run of a place: copied, or still in the ring. */
  private async runKept(view: DataView): Promise<FlightRun | undefined> {
    const { ring } = this.source;
    const start = positionOf(view.getBigUint64(KEPT.START, true));
    const end = positionOf(view.getBigUint64(KEPT.END, true));
    const length = Number(view.getBigUint64(KEPT.LENGTH, true));
    const isCopied = length > 0 && view.getBigUint64(KEPT.RESULT, true) === 0n;
    const own = (segments: Segment[]) => runsIn(segments, this.content).find((run) => run.start === start);
    if (isCopied) {
      const copied = new Uint8Array(view.buffer, view.byteOffset + KEPT.BYTES, length);
      return own([ring.segment(start, end, copied)]);
    }
    if (start < ring.oldest((await ring.header()).position)) return undefined;
    const run = own(await ring.read(start, end));
    return start < ring.oldest((await ring.header()).position) ? undefined : run;
  }

  private count(header: RingHeader, condition: StopCondition | undefined): void {
    const { layout } = this.source.flight;
    // Where each run takes its block and nothing else, the ring's position counts them.
    const runs = layout.countsEnds ? header.number(RING.RUNS) : Math.floor(header.position / layout.size);
    const { checkedHere, overwritten } = this;
    if (!condition) this.counts = { runs, checked: 0, lost: 0 };
    else if (condition.isWhole(this.attached.watched.program.type))
      this.counts = { runs, checked: runs, lost: overwritten };
    else {
      const matches = header.number(RING.MATCHES);
      const lost = overwritten + header.number(RING.NOT_KEPT);
      // Those of which the kernel's part of the condition did not hold need no second look.
      this.counts = { runs, checked: Math.max(0, runs - matches) + checkedHere, lost };
    }
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
    const { records } = this.source.flight;
    this.code ??= replayCode(prepared.instructions, records, stackDepth, new Map(this.addresses ?? []));
    const machine = new Machine(this.code, run.trace);
    while (!machine.ending) machine.run();
    return machine.step;
  }

  private readAddresses(header: RingHeader): void {
    if (this.addresses) return;
    const places = this.source.flight.addresses;
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
      records: this.source.flight.records,
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
