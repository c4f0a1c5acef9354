/** The content of maps before and after a run, so that a replay can show them as they were at each step. */
import type { KernelClient } from '../../kernel/client/client';
import { KernelError } from '../../kernel/client/errors';
import type { LoadedMap, Results } from '../../kernel/protocol';
import type { Recording } from './recording';
import { holdsMaps, isFollowedType } from './replay/map-shape';
import type { PlainEntry } from './replay/map-entry';

/** A map with more in it is not followed: its values are shown as they are after the run. */
const MAX_BYTES = 32 * 1024 * 1024;
const MAX_ENTRIES = 256 * 1024;
/** Inner maps beyond that number are not followed. */
const MAX_INNER_MAPS = 256;

/** Errors that are the kernel's answer; others mean that it cannot be asked, or no longer. */
export const REFUSALS: ReadonlySet<KernelError['code']> = new Set(['kernel', 'permission', 'unsupported']);

export interface Snapshot {
  map: LoadedMap;
  entries: PlainEntry[];
}

export interface Snapshots {
  /** The object's maps that are followed, and of those with maps as values these. */
  taken: Snapshot[];
  innerMaps: LoadedMap[];
  /** Closes the inner maps, which were opened for looking at them. */
  close(): Promise<void>;
}

export async function snapshotMaps(
  kernel: KernelClient,
  maps: readonly LoadedMap[],
  signal?: AbortSignal,
): Promise<Snapshots> {
  const snapshots = async (these: readonly LoadedMap[]) => {
    const read: Snapshot[] = [];
    for (const map of these.filter(({ type }) => isFollowedType(type))) {
      const entries = await entriesOf(kernel, map, signal);
      if (entries) read.push({ map, entries });
    }
    return read;
  };
  const taken = await snapshots(maps);
  const ids = new Set(
    taken
      .filter(({ map }) => holdsMaps(map.type))
      .flatMap(({ entries }) => entries.map(({ value }) => idOf(value)))
      .filter((id) => id !== 0 && !maps.some((map) => map.id === id)),
  );
  const innerMaps: LoadedMap[] = [];
  const close = async () => {
    await Promise.all(innerMaps.map(({ handle }) => kernel.request('mapClose', { map: handle })));
  };
  try {
    for (const id of [...ids].slice(0, MAX_INNER_MAPS))
      innerMaps.push(await kernel.request('mapOpenById', { id }, { signal }));
    taken.push(...(await snapshots(innerMaps)));
  } catch (error) {
    await close();
    throw error;
  }
  return { taken, innerMaps, close };
}

/** What maps have become since: every snapshot with the entries that are new or otherwise, and the keys that are gone. */
export async function compareSnapshots(
  kernel: KernelClient,
  { taken }: Snapshots,
  signal?: AbortSignal,
): Promise<Recording['snapshots']> {
  const compared: Recording['snapshots'] = [];
  for (const { map, entries } of taken) {
    const now = await entriesOf(kernel, map, signal);
    if (!now) continue;
    const before = new Map(entries.map(({ key, value }) => [textOf(key), { key, value }]));
    const changed: PlainEntry[] = [];
    for (const entry of now) {
      const former = before.get(textOf(entry.key));
      before.delete(textOf(entry.key));
      if (!former || Buffer.compare(former.value, entry.value) !== 0) changed.push(entry);
    }
    const gone = [...before.values()].map(({ key }) => key);
    compared.push({ map: map.handle, entries, after: { changed, gone } });
  }
  return compared;
}

/** A snapshot's entries after the run. */
export function entriesAfter({ entries, after }: Recording['snapshots'][number]): PlainEntry[] {
  const all = new Map(entries.map((entry) => [textOf(entry.key), entry]));
  for (const key of after.gone) all.delete(textOf(key));
  for (const entry of after.changed) all.set(textOf(entry.key), entry);
  return [...all.values()];
}

/** A map's entries; undefined when there are too many, or when the kernel does not let them be read. */
async function entriesOf(
  kernel: KernelClient,
  { handle: map, keySize, type }: LoadedMap,
  signal: AbortSignal | undefined,
): Promise<PlainEntry[] | undefined> {
  const entries: PlainEntry[] = [];
  let bytes = 0;
  let cursor: Uint8Array | undefined;
  do {
    const request = { map, limit: 4096, ...(cursor ? { cursor } : {}) };
    let page: Results['mapEntries'];
    try {
      page = await kernel.request('mapEntries', request, { signal });
    } catch (error) {
      if (error instanceof KernelError && REFUSALS.has(error.code)) return undefined;
      throw error;
    }
    // An empty place in an array of maps cannot be read, and has no map in it.
    if (page.unreadable !== undefined && !holdsMaps(type)) return undefined;
    bytes += page.count * (keySize + page.valueStride);
    if (bytes > MAX_BYTES || entries.length + page.count > MAX_ENTRIES) return undefined;
    for (let index = 0; index < page.count; index++) {
      const at = index * page.valueStride;
      entries.push({
        key: page.keys.slice(index * keySize, (index + 1) * keySize),
        value: page.values.slice(at, at + page.valueStride),
      });
    }
    cursor = page.cursor;
  } while (cursor);
  return entries;
}

/** To user space a map of maps has ids as values. */
function idOf(value: Uint8Array): number {
  return new DataView(value.buffer, value.byteOffset, value.byteLength).getUint32(0, true);
}

function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
