/** What a type of map decides about following one through a run. */
import type { LoadedMap } from '../../../kernel/protocol';

export interface MapShape {
  handle: number;
  type: string;
  keySize: number;
  /** Bytes of one value as the program sees it. */
  valueSize: number;
  maxEntries: number;
  /** Values of an entry: one for each possible CPU in per-CPU maps, else one. */
  slots: number;
  /** Bytes from one of them to the next, as user space reads them. */
  stride: number;
}

/** Maps whose elements a run reaches by a look-up and changes by update, delete and writes to where they lie. */
const FOLLOWED = new Set([
  'hash',
  'lru_hash',
  'array',
  'lpm_trie',
  'percpu_hash',
  'lru_percpu_hash',
  'percpu_array',
  'array_of_maps',
  'hash_of_maps',
]);

export function isFollowedType(type: string): boolean {
  return FOLLOWED.has(type);
}
export function holdsMaps(type: string): boolean {
  return type === 'array_of_maps' || type === 'hash_of_maps';
}
export function isPerCpuType(type: string): boolean {
  return type.includes('percpu_');
}

/** @param possibleCpus of the kernel that has the map. */
export function shapeOf(map: LoadedMap, possibleCpus: number): MapShape {
  const { handle, type, keySize, valueSize, maxEntries } = map;
  const perCpu = isPerCpuType(type);
  return {
    handle,
    type,
    keySize,
    valueSize,
    maxEntries,
    slots: perCpu ? possibleCpus : 1,
    // The kernel rounds values up to 8 bytes when it copies one of each CPU (bpf_percpu_hash_copy).
    stride: perCpu ? Math.ceil(valueSize / 8) * 8 : valueSize,
  };
}

/** Every index exists, and a value stays where it is. */
export function isArray({ type }: MapShape): boolean {
  return type === 'array' || type === 'percpu_array' || type === 'array_of_maps';
}

/** Elements lie behind one another from the first on, `round_up(value_size, 8)` apart (array_map_alloc). */
export function isContiguous({ type }: MapShape): boolean {
  return type === 'array';
}
export function elementDistance({ valueSize }: MapShape): number {
  return Math.ceil(valueSize / 8) * 8;
}

/** The kernel may take elements out by itself, to make room. */
export function evicts({ type }: MapShape): boolean {
  return type.startsWith('lru_');
}

/** An update of an element that is there writes over it, instead of putting another in its place. */
export function updatesInPlace(shape: MapShape): boolean {
  return isArray(shape) || isPerCpuType(shape.type);
}

/** What distinguishes entries: the key's bytes, of a trie without those behind its prefix (struct bpf_lpm_trie_key). */
export function identityOf({ type }: MapShape, key: Uint8Array): string {
  if (type !== 'lpm_trie') return latin1(key);
  const prefix = prefixOf(key);
  const kept = new Uint8Array(key);
  for (let bit = prefix; bit < (key.length - 4) * 8; bit++) {
    kept[4 + (bit >> 3)] = (kept[4 + (bit >> 3)] as number) & ~(0x80 >> (bit & 7));
  }
  return latin1(kept);
}

/** Bits that a trie's key is about: a u32 in the order of the machine's bytes, which is little endian where this runs. */
export function prefixOf(key: Uint8Array): number {
  if (key.length < 4) return 0;
  return new DataView(key.buffer, key.byteOffset, key.byteLength).getUint32(0, true);
}

/** Whether a trie's entry is found by a key: the entry's whole prefix is the key's beginning. */
export function coversKey(entry: Uint8Array, key: Uint8Array): boolean {
  const bits = prefixOf(entry);
  if (bits > prefixOf(key)) return false;
  for (let bit = 0; bit < bits; bit++) {
    const at = 4 + (bit >> 3);
    if ((((entry[at] as number) ^ (key[at] as number)) & (0x80 >> (bit & 7))) !== 0) return false;
  }
  return true;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
