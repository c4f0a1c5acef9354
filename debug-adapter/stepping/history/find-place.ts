/** From what somebody names to a place in a run: variables, members, entries of maps, bytes of the packet, registers. */
import { evaluate } from '../../expressions/evaluate';
import { knownText } from '../../expressions/known-text';
import { parseExpression } from '../../expressions/parse';
import { scopeOfRun } from '../../expressions/run-scope';
import { isMap } from '../../expressions/scope';
import type { Scope, TypedValue } from '../../expressions/scope';
import type { Expression } from '../../expressions/syntax';
import { format } from '../../../toolchain/btf/format';
import { fail, succeed } from '../../../toolchain/problem';
import type { Outcome } from '../../../toolchain/problem';
import type { OpenedRun } from '../../recorder/open-run';
import { frameViews } from '../frame-view';
import { framesOf, momentOf } from '../moment';
import type { StepFrame } from '../moment';
import { activationOf } from '../targets';
import { packetPlace } from './place';
import type { Call, Place } from './place';

/** Longer packets there are not. */
const MAX_PACKET = 65536;

/**
 * What an expression means at the present step, in a frame of it. `packet[12]` and `packet[12..13]` are bytes of the
 * packet, unless the program has a variable of that name.
 */
export async function findPlace(run: OpenedRun, text: string, frame: StepFrame): Promise<Outcome<Place>> {
  const label = text.trim();
  const register = /^\$r(\d|10)$/.exec(label)?.[1];
  if (register !== undefined)
    return succeed({ kind: 'register', label, register: Number(register), call: callOf(run, frame) });
  const scope = withMissingEntries(scopeOfRun(run, frame));
  const bytes = /^packet\[\s*(\d+)\s*(?:\.\.\s*(\d+)\s*)?\]$/.exec(label);
  if (bytes && !scope.variable('packet')) return packetBytes(label, bytes[1]!, bytes[2] ?? bytes[1]!);
  const parsed = await parseExpression(label);
  if (!parsed.ok) return parsed;
  const found = evaluate(parsed.value, scope);
  if (found.ok && isMap(found.value))
    return fail('history/map', `${label} is a map as a whole.`, `Name an entry, such as ${label}[0].`);
  const place = found.ok ? placeOf(run, label, found.value as TypedValue) : undefined;
  if (place) return followed(run, place);
  const isOfFrame = speaksOfFrame(run, parsed.value, frame);
  // What is not known here may be known elsewhere in the same call.
  if (!found.ok && !isOfFrame) return found;
  const call = isOfFrame ? { call: callOf(run, frame) } : {};
  return succeed({ kind: 'value', label, ...call, read: readerOf(run, parsed.value, isOfFrame, frame) });
}

function packetBytes(label: string, from: string, to: string): Outcome<Place> {
  const [first, last] = [Number(from), Number(to)];
  if (last < first || last >= MAX_PACKET)
    return fail('history/packet', `${label} is no range of bytes.`, 'Write packet[FIRST..LAST].');
  return succeed(packetPlace(label, first, last - first + 1));
}

/** Of a map that could not be followed the steps of the run show nothing. */
function followed({ maps, recording }: OpenedRun, place: Place): Outcome<Place> {
  if (place.kind !== 'memory' || place.root.kind !== 'entry') return succeed(place);
  const { map } = place.root;
  const lost = maps.lost.find((one) => one.map === map);
  if (!lost) return succeed(place);
  const name = recording.maps.find(({ handle }) => handle === map)?.name ?? 'The map';
  return fail('history/lost', `${name} could not be followed through the run: ${lost.reason}.`, '');
}

/** An entry can be watched before it is there. */
function withMissingEntries(scope: Scope): Scope {
  return {
    ...scope,
    lookup(map, key) {
      const found = scope.lookup(map, key);
      if (!found.ok || found.value) return found;
      const length = map.map.valueSize;
      return succeed({ bytes: new Uint8Array(length), known: new Uint8Array(length) });
    },
  };
}

/** Undefined for what is computed or in a register. */
function placeOf(run: OpenedRun, label: string, typed: TypedValue): Place | undefined {
  const { value, entry, section, address } = typed;
  const memory = { kind: 'memory', label, value, length: value.source.bytes.length } as const;
  const handle = section?.handle ?? entry?.map.map.handle;
  const shape = handle === undefined ? undefined : run.maps.shape(handle);
  // The values of all CPUs at once have no one place.
  if (shape && (shape.slots === 1 || entry?.cpu !== undefined))
    return {
      ...memory,
      root: { kind: 'entry', map: shape.handle, key: entry?.key ?? new Uint8Array(4), slot: entry?.cpu ?? 0 },
    };
  if (address === undefined) return undefined;
  const { data, end } = run.timeline.machine.packet ?? {};
  if (data !== undefined && address >= data && address < (end ?? data + BigInt(MAX_PACKET)))
    return { ...memory, root: { kind: 'packet', offset: Number(address - data) } };
  const owner = run.maps.entryAt(address + BigInt(value.offset));
  if (owner) {
    const offset = value.offset + Number(address - owner.address);
    return {
      ...memory,
      length: run.maps.shape(owner.map)?.valueSize ?? 0,
      value: { ...value, offset },
      root: { kind: 'entry', map: owner.map, key: owner.key, slot: owner.slot },
    };
  }
  const depth = stackOwner(run, address + BigInt(value.offset));
  const root = { kind: 'address', address, isStack: depth !== undefined } as const;
  return { ...memory, root, ...(depth === undefined ? {} : { call: callAt(run, depth) }) };
}

/** The call whose stack an address lies in, by its depth. */
function stackOwner({ timeline, code }: OpenedRun, address: bigint): number | undefined {
  const views = frameViews(timeline.machine);
  const index = views.findIndex((view) => {
    const top = view.register(10);
    const size = code.stackDepth.get(code.subprogramOf(view.insn)) ?? 0;
    return top !== undefined && address < top && address >= top - BigInt(size);
  });
  return index < 0 ? undefined : timeline.machine.frames.length - index;
}

function callAt(run: OpenedRun, depth: number): Call {
  return { ...activationOf(run, depth), depth };
}

function callOf(run: OpenedRun, frame: StepFrame): Call {
  return callAt(run, depthOf(run, frame));
}

/** Calls that had not returned when the frame's function was called: 0 for the program itself. */
export function depthOf({ timeline }: OpenedRun, frame: Pick<StepFrame, 'id'>): number {
  return timeline.machine.frames.length - Math.floor((frame.id - 1) / 256);
}

/** Whether an expression means something else, or nothing, in another function. */
export function speaksOfFrame(run: OpenedRun, expression: Expression, frame: StepFrame): boolean {
  const locals = new Set(run.source.variables(frame.view.insn).map(({ name }) => name));
  const scope = scopeOfRun(run, frame);
  let isOfFrame = false;
  const listening: Scope = {
    ...scope,
    variable(name) {
      isOfFrame ||= locals.has(name);
      return scope.variable(name);
    },
    register(number) {
      isOfFrame = true;
      return scope.register(number);
    },
  };
  evaluate(expression, listening);
  return isOfFrame;
}

/**
 * The same function, called or inlined, wherever the run is within the same call; undefined elsewhere. Of other
 * functions' frames nothing is needed.
 */
export function sameFrame(run: OpenedRun, frame: StepFrame): () => StepFrame | undefined {
  const depth = depthOf(run, frame);
  return () => {
    const index = run.timeline.machine.frames.length - depth;
    return framesOf(momentOf(run)).find(
      (one) =>
        Math.floor((one.id - 1) / 256) === index && one.inlined === frame.inlined && one.name === frame.name,
    );
  };
}

/** An expression's value as text; undefined where it has none, or not all of it is known. */
function readerOf(
  run: OpenedRun,
  expression: Expression,
  isOfFrame: boolean,
  frame: StepFrame,
): () => string | undefined {
  const there = sameFrame(run, frame);
  return () => {
    const present = isOfFrame ? there() : undefined;
    if (isOfFrame && !present) return undefined;
    const found = evaluate(expression, scopeOfRun(run, present));
    if (!found.ok || isMap(found.value) || knownText(found.value) !== undefined) return undefined;
    return format(found.value.value);
  };
}
