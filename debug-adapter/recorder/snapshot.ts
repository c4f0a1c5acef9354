/** The content of maps before a run, so that a replay can show them as they were at each step. */
import type { KernelClient } from '../../kernel/client/client';
import type { LoadedMap } from '../../kernel/protocol';
import type { MapSnapshot } from './open-run';

/** Maps whose elements a run reaches by a look-up, and whose values are plain bytes of one CPU. */
const FOLLOWED = new Set(['hash', 'lru_hash', 'array', 'lpm_trie']);
/** A larger map is not followed: its values are shown as they are after the run. */
const MAX_BYTES = 32 * 1024 * 1024;

export function isFollowed({ type, keySize, valueSize, maxEntries }: LoadedMap): boolean {
  return FOLLOWED.has(type) && maxEntries * (keySize + valueSize) <= MAX_BYTES;
}

export async function snapshotMaps(
  kernel: KernelClient,
  maps: readonly LoadedMap[],
  signal?: AbortSignal,
): Promise<MapSnapshot[]> {
  return Promise.all(
    maps.filter(isFollowed).map(async (map) => {
      const snapshot: MapSnapshot = { map, entries: [] };
      let cursor: Uint8Array | undefined;
      do {
        const page = await kernel.request(
          'mapEntries',
          { map: map.handle, limit: 4096, ...(cursor ? { cursor } : {}) },
          { signal },
        );
        for (let index = 0; index < page.count; index++) {
          snapshot.entries.push({
            key: page.keys.slice(index * map.keySize, (index + 1) * map.keySize),
            value: page.values.slice(index * page.valueStride, index * page.valueStride + map.valueSize),
          });
        }
        cursor = page.cursor;
      } while (cursor);
      return snapshot;
    }),
  );
}
