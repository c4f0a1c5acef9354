/** Entries of maps through a run: keys and values, and how much of them is known. */
import type { MapShape } from './map-shape';
import type { Shown } from './memory';

/** `value` and `known` have all slots of the entry; see {@link MapShape}. */
export interface Element {
  key: Uint8Array;
  value: Uint8Array;
  known: Uint8Array;
  /**
   * Where the value of a slot lies, from the first look-up on that returned it: its bytes are then those of the
   * memory there.
   */
  addresses: readonly (bigint | undefined)[];
}

/** An entry at a step: 1 in `known` for each byte of the value that the run tells. */
export interface MapEntry {
  key: Uint8Array;
  value: Uint8Array;
  known: Uint8Array;
}
/** An entry as the kernel gave it. */
export interface PlainEntry {
  key: Uint8Array;
  value: Uint8Array;
}

/** The element with one slot's value replaced. */
export function withSlot(
  { stride }: MapShape,
  element: Element,
  slot: number,
  { bytes, known: bytesKnown }: Shown,
): Element {
  const value = copyOf(element.value);
  const known = copyOf(element.known);
  value.set(bytes, slot * stride);
  known.set(bytesKnown, slot * stride);
  return { ...element, value, known };
}

/** `slice` of a Buffer, which is what decoding gives, is no copy. */
export function copyOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** An array's key is its index, the value of a map of maps an id. */
export function u32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0, true);
}

/** What the kernel gave is known. */
export function allKnown({ key, value }: PlainEntry): MapEntry {
  return { key, value, known: new Uint8Array(value.length).fill(1) };
}
