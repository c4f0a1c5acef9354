/** Doing a run again with something changed: from the same maps, with another packet, context or map entry. */
import type { KernelClient } from '../../kernel/client/client';
import type { LoadedMap } from '../../kernel/protocol';
import { hexText } from '../../toolchain/packet/hexdump';
import { cannotSet } from '../errors';
import type { Recording } from '../recorder/recording';
import type { InputChange } from '../stepping/inputs';
import { whyReadOnly } from '../variables/map-kinds';
import type { RunInput } from './run';

export function withChange(input: RunInput, { packet, context }: InputChange): RunInput {
  if (context && typeof input.context === 'string')
    throw cannotSet(
      'The context was given as hex text, which has no fields to set; change "context" in the launch configuration.',
    );
  const fields = typeof input.context === 'object' ? input.context : {};
  return {
    ...input,
    ...(packet ? { packet: hexText(packet) } : {}),
    ...(context ? { context: { ...fields, ...context } } : {}),
  };
}

/**
 * Puts the maps that were followed through a run back to what they held before it, but for what is changed. The others
 * stay as they are: user space cannot write them, or cannot tell what was in them.
 */
export async function restoreMaps(
  kernel: KernelClient,
  { snapshots, maps }: Recording,
  changed: InputChange['entry'],
): Promise<void> {
  for (const { map: handle, entries } of snapshots) {
    const map = maps.find((candidate) => candidate.handle === handle);
    if (!map || whyReadOnly(map) !== undefined) continue;
    const wanted = new Map(entries.map((entry) => [hexText(entry.key), entry]));
    if (changed?.map === handle) {
      const { key, value } = changed;
      if (value) wanted.set(hexText(key), { key, value });
      else wanted.delete(hexText(key));
    }
    await restoreMap(kernel, map, wanted);
  }
}

/** Writes what differs: most of a large map does not. */
async function restoreMap(
  kernel: KernelClient,
  { handle: map, keySize, type }: LoadedMap,
  wanted: Map<string, { key: Uint8Array; value: Uint8Array }>,
): Promise<void> {
  const missing = new Map(wanted);
  const extra: Uint8Array[] = [];
  let cursor: Uint8Array | undefined;
  do {
    const page = await kernel.request('mapEntries', { map, limit: 4096, ...(cursor ? { cursor } : {}) });
    for (let index = 0; index < page.count; index++) {
      const key = page.keys.slice(index * keySize, (index + 1) * keySize);
      const value = page.values.subarray(index * page.valueStride, (index + 1) * page.valueStride);
      const entry = wanted.get(hexText(key));
      if (!entry) extra.push(key);
      else if (Buffer.compare(entry.value, value) === 0) missing.delete(hexText(key));
    }
    cursor = page.cursor;
  } while (cursor);
  // An element of an array cannot be taken away, and all of them are wanted.
  if (!type.endsWith('array')) for (const key of extra) await kernel.request('mapDelete', { map, key });
  for (const { key, value } of missing.values())
    await kernel.request('mapUpdate', { map, key, value, flags: 'any' });
}
