/** The content of maps before a run, so that a replay can show them as they were at each step. */
import type { KernelClient } from '../../kernel/client/client';
import type { LoadedMap } from '../../kernel/protocol';
import type { Recording } from './recording';

/** Maps whose elements a run reaches by a look-up, and whose values are plain bytes of one CPU. */
const FOLLOWED = new Set(['hash', 'lru_hash', 'array', 'lpm_trie']);
/** A larger map is not followed: its values are shown as they are after the run. */
const MAX_BYTES = 32 * 1024 * 1024;

function isFollowed({ type, keySize, valueSize, maxEntries }: LoadedMap): boolean {
  return FOLLOWED.has(type) && maxEntries * (keySize + valueSize) <= MAX_BYTES;
}

export async function snapshotMaps(
  kernel: KernelClient,
  maps: readonly LoadedMap[],
  signal?: AbortSignal,
): Promise<Recording['snapshots']> {
  return Promise.all(
    maps.filter(isFollowed).map(async ({ handle: map, keySize, valueSize }) => {
      const entries: { key: Uint8Array; value: Uint8Array }[] = [];
      let cursor: Uint8Array | undefined;
      do {
        const request = { map, limit: 4096, ...(cursor ? { cursor } : {}) };
        const page = await kernel.request('mapEntries', request, { signal });
        for (let index = 0; index < page.count; index++) {
          const at = index * page.valueStride;
          entries.push({
            key: page.keys.slice(index * keySize, (index + 1) * keySize),
            value: page.values.slice(at, at + valueSize),
          });
        }
        cursor = page.cursor;
      } while (cursor);
      return { map, entries };
    }),
  );
}
