/**
 * What a recorded run was given, as something to change: the run is then done again in the kernel, from maps as they
 * were before it, and gone through to the same place. A value at a step can stand for what was given only as long as
 * the program has not changed it.
 */
import { cannotSet } from '../errors';
import type { OpenedRun } from '../recorder/open-run';

/** One thing that is other than in the run before. */
export interface InputChange {
  packet?: Uint8Array;
  /** Fields of the context by name. */
  context?: Record<string, unknown>;
  /** An entry that a map has at the beginning; a value of null removes it. */
  entry?: { map: number; key: Uint8Array; value: Uint8Array | null };
}

/** Does the run again with a change, and goes to where it was. `what` says in words what was changed. */
export type Rerun = (change: InputChange, what: string) => Promise<void>;

export interface Inputs {
  /** Sets bytes of the packet, `offset` from its first. Throws an AdapterError when they are not the input's any more. */
  setPacket(offset: number, bytes: Uint8Array, what: string): Promise<void>;
  setContext(field: string, value: unknown, what: string): Promise<void>;
}

/** The inputs of a run that can be done again, as of its present step. */
export function inputsOf(run: OpenedRun, rerun: Rerun): Inputs {
  return {
    setPacket: async (offset, bytes, what) => {
      await rerun({ packet: changedPacket(run, offset, bytes, what) }, what);
    },
    setContext: (field, value, what) => rerun({ context: { [field]: value } }, what),
  };
}

function changedPacket(run: OpenedRun, offset: number, bytes: Uint8Array, what: string): Uint8Array {
  const given = run.recording.input.data;
  const { machine } = run.timeline;
  const { data, end } = machine.packet ?? machine.unplacedPacket ?? {};
  if (!given || data === undefined || end === undefined)
    throw cannotSet(`${what} cannot be set: it is not known where the packet is at this step.`);
  if (Number(end - data) !== given.length)
    throw cannotSet(
      `${what} cannot be set here: the program has made the packet longer or shorter before this step. Go back to before that and set it there.`,
    );
  const now = machine.memory.bytes(data + BigInt(offset), bytes.length);
  const isGiven = bytes.every((_, at) => now.known[at] === 1 && now.bytes[at] === given[offset + at]);
  if (!isGiven)
    throw cannotSet(
      `${what} cannot be set here: the program has written these bytes before this step, so that they are not what the run was given. Go back to before that and set it there.`,
    );
  const changed = given.slice();
  changed.set(bytes, offset);
  return changed;
}

/**
 * The value that an entry has to have at the beginning, for it to be `wanted` now. Throws when the program has changed
 * what is to be set.
 */
export function initialValue(
  run: OpenedRun,
  map: number,
  key: Uint8Array,
  wanted: Uint8Array | null,
): Uint8Array | null {
  const { name } = run.recording.maps.find(({ handle }) => handle === map) ?? { name: 'The map' };
  const then = run.recording.snapshots
    .find((snapshot) => snapshot.map === map)
    ?.entries.find((entry) => Buffer.compare(entry.key, key) === 0)?.value;
  const now = run.maps.lookup(map, key);
  const refuse = () =>
    cannotSet(
      `${name} cannot be set here: the program has changed this before this step. Go back to the beginning (Reverse) to change what the run begins with, or on to its end to write to the map as it is now.`,
    );
  if (!now !== !then) throw refuse();
  if (!now || !then) return wanted;
  const isAsGiven = !now.known.includes(0) && Buffer.compare(now.value, then) === 0;
  if (!wanted && !isAsGiven) throw refuse();
  if (!wanted) return null;
  const changed = then.slice();
  for (let at = 0; at < wanted.length; at++) {
    if (now.known[at] === 1 && wanted[at] === now.value[at]) continue;
    if (now.known[at] !== 1 || now.value[at] !== then[at]) throw refuse();
    changed[at] = wanted[at] as number;
  }
  return changed;
}
