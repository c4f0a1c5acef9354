/**
 * What a run did to its maps, as far as it can be told from the calls it made and the memory it wrote: the maps as they
 * were before it, changed step by step. Every change can be taken back, as with {@link Memory}. At the end the maps
 * have to be what the kernel has after the run; one that is not is not shown as it was in between.
 */
import {
  coversKey,
  elementDistance,
  evicts,
  holdsMaps,
  identityOf,
  isContiguous,
  isPerCpuType,
  prefixOf,
  updatesInPlace,
} from './map-shape';
import { allKnown, copyOf, u32, withSlot } from './map-entry';
import type { Element, MapEntry, PlainEntry } from './map-entry';
import type { MapShape } from './map-shape';
import type { Memory, Shown } from './memory';

/** A call that concerns a map, with what its pointer arguments led to when it was made. */
export interface MapCall {
  map: number;
  operation: 'lookup' | 'update' | 'delete';
  key: Uint8Array;
  /** The CPU whose value is meant, in per-CPU maps. */
  cpu: number | undefined;
  /** Update only: one slot's value. */
  value?: Shown;
  /** Update only: BPF_ANY, BPF_NOEXIST, BPF_EXIST, BPF_F_LOCK. */
  flags?: bigint | undefined;
}
const BPF_F_LOCK = 4n;

interface FollowedMap {
  shape: MapShape;
  elements: Map<string, Element>;
  /** Where the first element of an array lies, once a look-up has told. */
  base: bigint | undefined;
  /** Entries after the run, if they were looked at. */
  after: ReadonlyMap<string, PlainEntry> | undefined;
  /** Why the map is not what this model makes of it. */
  lost: string | undefined;
}

type Change = { step: number; map: FollowedMap } & (
  { kind: 'element'; name: string; before: Element | undefined } | { kind: 'base' }
);

export interface MapBefore {
  shape: MapShape;
  entries: readonly PlainEntry[];
  /** Entries after the run; absent when nobody has looked. */
  after?: readonly PlainEntry[] | undefined;
}

export class MapModel {
  private readonly maps = new Map<number, FollowedMap>();
  private readonly undo: Change[] = [];
  /** Entries that have had addresses, by map, for finding them again. Going back does not take them away. */
  private readonly placed = new Map<number, Set<string>>();
  private readonly innerMaps = new Map<bigint, number>();

  /**
   * @param step that is being executed
   * @param mapOfId handle of the map with a kernel id, which is what a map of maps has as values
   */
  constructor(
    private readonly memory: Memory,
    maps: readonly MapBefore[],
    private readonly step: () => number,
    private readonly mapOfId: (id: number) => number | undefined = () => undefined,
  ) {
    for (const { shape, entries, after } of maps) {
      // Never written to: who changes an element makes a copy.
      const known = new Uint8Array(shape.stride * shape.slots).fill(1);
      const elements = entries.map(({ key, value }): [string, Element] => {
        return [identityOf(shape, key), { key, value, known, addresses: [] }];
      });
      this.maps.set(shape.handle, {
        shape,
        elements: new Map(elements),
        base: undefined,
        after: after && new Map(after.map((entry) => [identityOf(shape, entry.key), entry])),
        lost: undefined,
      });
    }
  }

  shape(map: number): MapShape | undefined {
    return this.maps.get(map)?.shape;
  }

  /** Number of changes up to the present step. */
  get changes(): number {
    return this.undo.length;
  }

  /** Takes back what was changed after a step. */
  undoTo(step: number): void {
    while ((this.undo.at(-1)?.step ?? -1) > step) {
      const change = this.undo.pop()!;
      const { map } = change;
      if (change.kind === 'base') map.base = undefined;
      else if (change.before) map.elements.set(change.name, change.before);
      else map.elements.delete(change.name);
    }
  }

  /** The effect of a call that returned `result`; undefined when the run does not show what it returned. */
  apply(call: MapCall, result: bigint | undefined): void {
    const map = this.maps.get(call.map);
    if (!map) return;
    const { shape } = map;
    if (call.operation === 'lookup') {
      this.lookUp(map, call, result);
    } else if (result === undefined) {
      map.lost ??= 'the run does not show whether the kernel did what it was asked to';
    } else if (result !== 0n) {
      // The kernel refused it.
    } else if (call.operation === 'delete') {
      this.set(map, identityOf(shape, call.key), undefined);
    } else {
      this.update(map, call);
    }
  }

  /** From now on a map is shown as it is after the run. */
  lose(handle: number, reason: string): void {
    const map = this.maps.get(handle);
    if (map) map.lost ??= reason;
  }

  /** The map that a pointer means which a look-up in a map of maps has returned. */
  innerMapAt(address: bigint): number | undefined {
    return this.innerMaps.get(address);
  }

  /** The value of global variables lies at an address from the beginning. */
  place(handle: number, key: Uint8Array, address: bigint): void {
    const map = this.maps.get(handle);
    const element = map?.elements.get(identityOf(map.shape, key));
    if (map && element) this.found(map, element, 0, address);
  }

  private lookUp(map: FollowedMap, { key, cpu }: MapCall, result: bigint | undefined): void {
    if (result === undefined) return;
    const { shape } = map;
    const element =
      shape.type === 'lpm_trie' ? longestMatch(map, key) : map.elements.get(identityOf(shape, key));
    if (result === 0n) {
      if (!element || isPerCpuType(shape.type)) return;
      if (evicts(shape)) this.set(map, identityOf(shape, key), undefined);
      else map.lost ??= 'the kernel did not find an entry that should be there';
    } else if (!element) {
      map.lost ??= 'the kernel found an entry that somebody else must have put there';
    } else if (holdsMaps(shape.type)) {
      const inner = this.mapOfId(u32(element.value));
      if (inner !== undefined) this.innerMaps.set(result, inner);
    } else {
      const slot = shape.slots === 1 ? 0 : cpu;
      if (slot === undefined || slot >= shape.slots) map.lost ??= 'the CPU that the run was on is not known';
      else this.found(map, element, slot, result);
    }
  }

  private update(map: FollowedMap, { key, value, cpu, flags }: MapCall): void {
    const { shape, elements } = map;
    const slot = shape.slots === 1 ? 0 : cpu;
    if (
      !value ||
      value.known.includes(0) ||
      slot === undefined ||
      slot >= shape.slots ||
      holdsMaps(shape.type)
    ) {
      map.lost ??= 'the run does not show what it put into the map';
      return;
    }
    const name = identityOf(shape, key);
    const before = elements.get(name);
    const inPlace = updatesInPlace(shape) || ((flags ?? 0n) & BPF_F_LOCK) !== 0n;
    if (before && inPlace) {
      const address = this.addressOf(map, before, slot);
      if (address !== undefined) this.memory.writeShown(address, value);
      else this.set(map, name, withSlot(shape, before, slot, value));
      return;
    }
    const size = shape.stride * shape.slots;
    // In a new element of a per-CPU map the values of other CPUs are zero (pcpu_init_value).
    const fresh = { key, value: new Uint8Array(size), known: new Uint8Array(size).fill(1), addresses: [] };
    this.set(map, name, withSlot(shape, fresh, slot, value));
  }

  /** A look-up has returned the address of an element's value. */
  private found(map: FollowedMap, element: Element, slot: number, address: bigint): void {
    const { shape } = map;
    if (element.addresses[slot] === address) return;
    const { value, known } = this.read(map, element);
    const from = slot * shape.stride;
    const end = from + shape.valueSize;
    this.memory.writeShown(address, { bytes: value.subarray(from, end), known: known.subarray(from, end) });
    const addresses = Array.from({ length: shape.slots }, (_, one) =>
      one === slot ? address : element.addresses[one],
    );
    const name = identityOf(shape, element.key);
    this.set(map, name, { ...element, value, known, addresses });
    const names = this.placed.get(shape.handle) ?? new Set();
    this.placed.set(shape.handle, names.add(name));
    if (isContiguous(shape) && map.base === undefined) {
      map.base = address - BigInt(u32(element.key) * elementDistance(shape));
      this.undo.push({ step: this.step(), kind: 'base', map });
    }
  }

  /** The entry among whose value's bytes an address is, as far as look-ups have told where values lie. */
  holderOf(address: bigint): { map: number; key: Uint8Array; offset: number } | undefined {
    for (const [handle, names] of this.placed) {
      const map = this.maps.get(handle);
      if (!map) continue;
      const { valueSize, slots } = map.shape;
      for (const name of names) {
        const element = map.elements.get(name);
        for (let slot = 0; element && slot < slots; slot++) {
          const start = element.addresses[slot];
          if (start === undefined || address < start || address >= start + BigInt(valueSize)) continue;
          return { map: handle, key: element.key, offset: Number(address - start) };
        }
      }
    }
    return undefined;
  }

  private addressOf(
    { shape, base }: FollowedMap,
    { key, addresses }: Element,
    slot: number,
  ): bigint | undefined {
    if (base === undefined) return addresses[slot];
    return base + BigInt(u32(key) * elementDistance(shape));
  }

  private set(map: FollowedMap, name: string, element: Element | undefined): void {
    this.undo.push({ step: this.step(), kind: 'element', map, name, before: map.elements.get(name) });
    if (element) map.elements.set(name, element);
    else map.elements.delete(name);
  }

  private read(map: FollowedMap, element: Element): MapEntry {
    const { shape } = map;
    let { value, known } = element;
    for (let slot = 0; slot < shape.slots; slot++) {
      const address = this.addressOf(map, element, slot);
      if (address === undefined) continue;
      const there = this.memory.bytes(address, shape.valueSize);
      // An element that no look-up has returned may have been written in part, by way of its neighbour or a callback.
      const isPlaced = element.addresses[slot] !== undefined;
      if (!isPlaced && !there.known.includes(1)) continue;
      if (value === element.value) [value, known] = [copyOf(value), copyOf(known)];
      const from = slot * shape.stride;
      there.bytes.forEach((byte, at) => {
        if (!isPlaced && there.known[at] !== 1) return;
        value[from + at] = byte;
        known[from + at] = there.known[at] as number;
      });
    }
    return { key: element.key, value, known };
  }

  /**
   * A map's entries as they are now, `count` of them from number `from` on; of a map that could not be followed, as they
   * are after the run. Their order stays as long as the step does.
   */
  entries(handle: number, from = 0, count = Infinity): MapEntry[] {
    const map = this.maps.get(handle);
    if (!map) return [];
    if (map.lost !== undefined && map.after)
      return [...map.after.values()].slice(from, from + count).map(allKnown);
    const wanted: MapEntry[] = [];
    let number = 0;
    for (const element of map.elements.values()) {
      if (wanted.length >= count) break;
      if (number++ >= from) wanted.push(this.read(map, element));
    }
    return wanted;
  }

  /** Another value after each change of which entries there are and where they lie. */
  get version(): unknown {
    return this.undo.at(-1) ?? null;
  }

  /** Where a slot of an entry's value lies; undefined before the run has shown it. */
  valueAddress(handle: number, key: Uint8Array, slot = 0): bigint | undefined {
    const map = this.maps.get(handle);
    const element = map?.elements.get(identityOf(map.shape, key));
    return map && element && this.addressOf(map, element, slot);
  }

  /** The entry, and the slot of its value, that an address lies in; `address` is that slot's. */
  entryAt(address: bigint): { map: number; key: Uint8Array; slot: number; address: bigint } | undefined {
    for (const [handle, map] of this.maps) {
      const size = BigInt(map.shape.valueSize);
      for (const element of map.elements.values()) {
        for (let slot = 0; slot < map.shape.slots; slot++) {
          const start = this.addressOf(map, element, slot);
          if (start !== undefined && address >= start && address < start + size)
            return { map: handle, key: element.key, slot, address: start };
        }
      }
    }
    return undefined;
  }

  lookup(handle: number, key: Uint8Array): MapEntry | undefined {
    const map = this.maps.get(handle);
    if (!map) return undefined;
    const name = identityOf(map.shape, key);
    if (map.lost !== undefined && map.after) {
      const entry = map.after.get(name);
      return entry && allKnown(entry);
    }
    const element = map.elements.get(name);
    return element && this.read(map, element);
  }

  /** Maps that are shown as after the run, and why. */
  get lost(): { map: number; reason: string }[] {
    return [...this.maps].flatMap(([map, { lost }]) => (lost === undefined ? [] : [{ map, reason: lost }]));
  }

  /** To be called when all of the run has been executed: compares with what the kernel has after it. */
  compareWithKernel(): void {
    for (const map of this.maps.values()) {
      if (map.after && map.lost === undefined) map.lost = this.difference(map, map.after);
    }
  }

  /** Values whose place in the kernel's memory is known, as they are there after the run. */
  *valuesAfter(): Generator<{ address: bigint; bytes: Uint8Array }> {
    for (const map of this.maps.values()) {
      const { shape, after, elements } = map;
      for (const [name, element] of elements) {
        const value = after?.get(name)?.value;
        for (let slot = 0; value && slot < shape.slots; slot++) {
          const address = this.addressOf(map, element, slot);
          const from = slot * shape.stride;
          if (address !== undefined) yield { address, bytes: value.subarray(from, from + shape.valueSize) };
        }
      }
    }
  }

  private difference(map: FollowedMap, after: ReadonlyMap<string, PlainEntry>): string | undefined {
    for (const [name, element] of map.elements) {
      const theirs = after.get(name);
      if (!theirs) {
        return evicts(map.shape)
          ? 'the kernel has taken entries out of it to make room, at a step that is not known'
          : 'the kernel does not have an entry after the run that should be there';
      }
      const { value, known } = this.read(map, element);
      if (known.includes(0)) return 'a helper has written to it what the run does not show';
      // Behind the values of a per-CPU map are bytes of no meaning: older kernels copy what is there into them.
      const { stride, valueSize } = map.shape;
      if (value.some((byte, at) => at % stride < valueSize && byte !== theirs.value[at]))
        return 'an entry has another value after the run than it should have';
    }
    if (after.size !== map.elements.size)
      return 'the kernel has entries after the run that should not be there';
    return undefined;
  }
}

function longestMatch({ elements }: FollowedMap, key: Uint8Array): Element | undefined {
  let best: Element | undefined;
  for (const element of elements.values()) {
    if (coversKey(element.key, key) && (!best || prefixOf(element.key) > prefixOf(best.key))) best = element;
  }
  return best;
}
