/** Data breakpoints: what can be watched, under which id, and where the run touches it. */
import type { Outcome } from '../../../toolchain/problem';
import type { OpenedRun } from '../../recorder/open-run';
import type { Sited } from '../breakpoints/lines';
import type { Hit, Source } from '../breakpoints/source';
import type { Access, DataBreakpoint } from '../breakpoints/store';
import type { StepFrame } from '../moment';
import { findPlace } from './find-place';
import { textOf } from './place';
import type { Place } from './place';
import { changesOf } from './values';
import { observeMemory, observeRegister } from './writes';

export interface DataInfo {
  dataId: string;
  description: string;
  accessTypes: Access[];
  /** Whether the id means the same in another run of the program. */
  canPersist: boolean;
}

export class DataBreakpoints {
  /** Places that only this run has, by their ids. */
  private readonly places = new Map<string, Place>();

  constructor(private readonly run: OpenedRun) {}

  async info(expression: string, frame: StepFrame): Promise<Outcome<DataInfo>> {
    const found = await findPlace(this.run, expression, frame);
    if (!found.ok) return found;
    const place = found.value;
    const isLasting = place.kind === 'memory' && place.call === undefined && place.root.kind !== 'address';
    const dataId = isLasting ? place.label : `${place.label} in ${frame.name} @${callName(place)}`;
    this.places.set(dataId, place);
    return {
      ok: true,
      value: {
        dataId,
        description: describe(place, frame),
        accessTypes: place.kind === 'memory' ? ['write', 'read', 'readWrite'] : ['write'],
        canPersist: isLasting,
      },
    };
  }

  async site({ dataId, access }: DataBreakpoint, frame: StepFrame | undefined): Promise<Sited> {
    const place = this.places.get(dataId) ?? (await this.lasting(dataId, frame));
    if (!place) return { placement: { verified: false, message: GONE } };
    if (access !== 'write' && place.kind !== 'memory')
      return { placement: { verified: false, message: ONLY_WRITES } };
    return { placement: { verified: true, message: place.label }, source: sourceOf(this.run, place, access) };
  }

  /** What an id of another run names here, if it is one that lasts. */
  private async lasting(dataId: string, frame: StepFrame | undefined): Promise<Place | undefined> {
    if (dataId.includes('@') || !frame) return undefined;
    const found = await this.info(dataId, frame);
    return found.ok ? this.places.get(dataId) : undefined;
  }
}

const GONE = 'What it watched belonged to a call of an earlier run. Set it again from the Variables view.';
const ONLY_WRITES = 'Reads of it cannot be told from the recording; watch its changes.';

function callName({ call }: Place): string {
  return call ? `call at step ${call.from}` : 'this run';
}

function describe(place: Place, { name }: StepFrame): string {
  const where = place.call ? ` in this call of ${name}` : '';
  if (place.kind === 'value')
    return `${place.label}${where}: it has no address here, so its value is compared from statement to statement`;
  return `${place.label}${where}`;
}

/** Where the run touches a place; each hit says what happened. */
export function sourceOf(run: OpenedRun, place: Place, access: Access): Source {
  const told = (hit: Hit | undefined): Hit | undefined =>
    hit && { ...hit, describe: () => describeTouch(run, place, hit) };
  if (place.kind === 'value') {
    const source = changesOf(run, place);
    return { ...source, known: (from, to) => source.known!(from, to).map((hit) => told(hit)!) };
  }
  const observer = place.kind === 'memory' ? observeMemory(run, place, access) : observeRegister(run, place);
  return { observer: { ...observer, after: (machine) => told(observer.after?.(machine)) } };
}

export interface Touch {
  insn: number;
  path?: string;
  line?: number;
  before: string;
  after: string;
}

/** What a place held before and after a hit, and which instruction it was. The machine is at the hit then. */
export function touchAt(run: OpenedRun, place: Place, { at, back }: Hit): Touch {
  const { timeline, source } = run;
  const insn = timeline.seek(back).pc;
  const before = textOf(run, place);
  const line = source.placeOf(insn);
  timeline.seek(at);
  return { insn, ...(line ? { path: line.path, line: line.line } : {}), before, after: textOf(run, place) };
}

function describeTouch(run: OpenedRun, place: Place, hit: Hit): string {
  const { before, after, line, insn } = touchAt(run, place, hit);
  const where = line === undefined ? `instruction ${insn}` : `line ${line}`;
  return before === after
    ? `${place.label} touched at ${where}: ${after}`
    : `${place.label} changed at ${where}: ${before} → ${after}`;
}
