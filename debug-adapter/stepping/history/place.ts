/** Something that a run can write to and that its history is asked of, and its value at whichever step the run is at. */
import { decodeBytes } from '../../../toolchain/btf/value';
import type { Value } from '../../../toolchain/btf/value';
import { format } from '../../../toolchain/btf/format';
import { knownText } from '../../expressions/known-text';
import type { OpenedRun } from '../../recorder/open-run';
import { frameViews } from '../frame-view';
import { NOT_SHOWN } from '../shown';
import type { Shown } from '../shown';
import type { Activation } from '../targets';

/** A call of a function: its steps, and how many calls had not returned when it was made. */
export type Call = Activation & { depth: number };

interface Common {
  /** As somebody wrote it: `sum.rounds`, `counts[17]`, `packet[12..13]`, `$r3`. */
  readonly label: string;
  /** The call beyond which the place is something else: absent for what lives as long as the run. */
  readonly call?: Call;
}

/** Bytes in memory: at an address that stays, within the packet, or of a map's entry. */
export interface MemoryPlace extends Common {
  readonly kind: 'memory';
  readonly root:
    | { kind: 'address'; address: bigint; isStack: boolean }
    | { kind: 'packet'; offset: number }
    | { kind: 'entry'; map: number; key: Uint8Array; slot: number };
  /** Bytes of the root. */
  readonly length: number;
  /** Type and place of what is meant within the root. */
  readonly value: Value;
}

export interface RegisterPlace extends Common {
  readonly kind: 'register';
  readonly register: number;
  readonly call: Call;
}

/** What has no address, or another one from line to line: its value is looked at from statement to statement. */
export interface ValuePlace extends Common {
  readonly kind: 'value';
  /** At the present step; undefined where it has none. */
  read(): string | undefined;
}

export type Place = MemoryPlace | RegisterPlace | ValuePlace;

/** Bytes of the packet. */
export function packetPlace(label: string, offset: number, length: number): MemoryPlace {
  const value = decodeBytes(new Uint8Array(length), { name: label });
  return { kind: 'memory', label, root: { kind: 'packet', offset }, length, value };
}

/** Address of a place's root at the present step; undefined while it has none. */
export function rootAddress({ timeline, maps }: OpenedRun, { root }: MemoryPlace): bigint | undefined {
  if (root.kind === 'address') return root.address;
  if (root.kind === 'entry') return maps.valueAddress(root.map, root.key, root.slot);
  const { data } = timeline.machine.packet ?? {};
  return data === undefined ? undefined : data + BigInt(root.offset);
}

/** The root's bytes at the present step; null for an entry that its map has not. */
export function rootBytes(run: OpenedRun, place: MemoryPlace): Shown | null {
  const { root, length } = place;
  if (root.kind === 'entry') {
    const entry = run.maps.lookup(root.map, root.key);
    if (!entry) return null;
    const from = root.slot * (run.maps.shape(root.map)?.stride ?? 0);
    return {
      bytes: entry.value.subarray(from, from + length),
      known: entry.known.subarray(from, from + length),
    };
  }
  const address = rootAddress(run, place);
  if (address === undefined) return { bytes: new Uint8Array(length), known: new Uint8Array(length) };
  return run.timeline.machine.memory.bytes(address, length);
}

/** A place's value at the present step, as the Variables view writes it. */
export function textOf(run: OpenedRun, place: Place): string {
  if (place.kind === 'value') return place.read() ?? NOT_SHOWN;
  if (place.kind === 'register') return registerText(run, place);
  const shown = rootBytes(run, place);
  if (shown === null) return 'no entry';
  const { bytes, known } = shown;
  const value = { ...place.value, source: { ...place.value.source, bytes } };
  return knownText({ value, known }) ?? format(value);
}

function registerText({ timeline }: OpenedRun, { register, call }: RegisterPlace): string {
  const { machine } = timeline;
  const view = frameViews(machine)[machine.frames.length - call.depth];
  const content = view?.register(register);
  if (content === undefined) return 'nothing that the program may read';
  const signed = BigInt.asIntN(64, content);
  const isSmall = signed <= 0xffff_ffffn && signed >= -0xffff_ffffn;
  return `0x${content.toString(16)}${isSmall ? ` (${signed})` : ''}`;
}
