/**
 * What a run did to its maps, as far as it can be told from the calls it made and the memory it wrote: the maps as they
 * were before it, changed step by step. Every change can be taken back, as with {@link Memory}.
 */
import { halves } from './memory';
import type { Memory } from './memory';

export interface MapShape {
  handle: number;
  keySize: number;
  /** Bytes of one value: for per-CPU maps, of one CPU's. */
  valueSize: number;
  /** Array maps: an element stays where it is, and an update writes over it. */
  inPlace: boolean;
}

/** A value is at an address from the first look-up that returned it; before, its bytes are kept here. */
interface Element {
  key: Uint8Array;
  value: Uint8Array;
  known: Uint8Array;
  address?: bigint;
}

export interface MapEntry {
  key: Uint8Array;
  value: Uint8Array;
  known: Uint8Array;
}

/** A call that concerns a map, with what its pointer arguments led to when it was made. */
export interface MapCall {
  map: number;
  operation: 'lookup' | 'update' | 'delete';
  key: Uint8Array;
  /** Update only. */
  value?: { bytes: Uint8Array; known: Uint8Array };
}

export class MapModel {
  private readonly elements = new Map<number, Map<string, Element>>();
  private readonly shapes = new Map<number, MapShape>();
  private readonly undo: { map: number; name: string; before: Element | undefined }[] = [];

  constructor(
    private readonly memory: Memory,
    maps: readonly { shape: MapShape; entries: readonly { key: Uint8Array; value: Uint8Array }[] }[],
  ) {
    for (const { shape, entries } of maps) {
      this.shapes.set(shape.handle, shape);
      const elements = entries.map(({ key, value }): [string, Element] => {
        return [nameOf(key), { key, value, known: new Uint8Array(value.length).fill(1) }];
      });
      this.elements.set(shape.handle, new Map(elements));
    }
  }

  shape(map: number): MapShape | undefined {
    return this.shapes.get(map);
  }

  get changes(): number {
    return this.undo.length;
  }

  undoTo(changes: number): void {
    while (this.undo.length > changes) {
      const { map, name, before } = this.undo.pop()!;
      const elements = this.elements.get(map)!;
      if (before) elements.set(name, before);
      else elements.delete(name);
    }
  }

  /** The effect of a call that returned `result`; undefined when the run does not show what it returned. */
  apply({ map, operation, key, value }: MapCall, result: bigint | undefined): void {
    const shape = this.shapes.get(map);
    if (!shape) return;
    const name = nameOf(key);
    const element = this.elements.get(map)!.get(name);
    if (operation === 'lookup') {
      if (result !== undefined && result !== 0n) this.found(shape, key, element, result);
    } else if (result !== undefined && result !== 0n) {
      // The kernel refused it.
    } else if (operation === 'delete') {
      if (!shape.inPlace) this.set(map, name, undefined);
    } else if (value) {
      if (shape.inPlace && element?.address !== undefined) this.write(element.address, value);
      else this.set(map, name, { key, value: value.bytes, known: value.known });
    }
  }

  /** The value of global variables lies at an address from the beginning. */
  place(map: number, key: Uint8Array, address: bigint): void {
    const shape = this.shapes.get(map);
    if (shape) this.found(shape, key, this.elements.get(map)!.get(nameOf(key)), address);
  }

  private found(shape: MapShape, key: Uint8Array, element: Element | undefined, address: bigint): void {
    if (element?.address === address) return;
    const unknown = new Uint8Array(shape.valueSize);
    const { value, known } = element ? this.read(element) : { value: unknown, known: unknown };
    this.write(address, { bytes: value, known });
    this.set(shape.handle, nameOf(key), { key, value, known, address });
  }

  private write(address: bigint, { bytes, known }: { bytes: Uint8Array; known: Uint8Array }): void {
    for (let at = 0; at < bytes.length; at++) {
      const [lo, hi] = halves(address + BigInt(at));
      this.memory.write(lo, hi, 1, bytes[at] as number, 0, known[at] === 1);
    }
  }

  private set(map: number, name: string, element: Element | undefined): void {
    const elements = this.elements.get(map)!;
    this.undo.push({ map, name, before: elements.get(name) });
    if (element) elements.set(name, element);
    else elements.delete(name);
  }

  private read({ key, value, known, address }: Element): MapEntry {
    if (address === undefined) return { key, value, known };
    const there = this.memory.bytes(address, value.length);
    return { key, value: there.bytes, known: there.known };
  }

  /** A map's entries as they are now. */
  entries(map: number): MapEntry[] {
    return [...(this.elements.get(map)?.values() ?? [])].map((element) => this.read(element));
  }

  /** Where an entry's value lies; undefined before the run has shown it. */
  addressOf(map: number, key: Uint8Array): bigint | undefined {
    return this.elements.get(map)?.get(nameOf(key))?.address;
  }

  /** The entry whose value an address lies in. */
  entryAt(address: bigint): { map: number; key: Uint8Array; address: bigint } | undefined {
    for (const [map, elements] of this.elements) {
      const size = BigInt(this.shapes.get(map)?.valueSize ?? 0);
      for (const { key, address: start } of elements.values())
        if (start !== undefined && address >= start && address < start + size)
          return { map, key, address: start };
    }
    return undefined;
  }

  lookup(map: number, key: Uint8Array): MapEntry | undefined {
    const element = this.elements.get(map)?.get(nameOf(key));
    return element && this.read(element);
  }
}

function nameOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
