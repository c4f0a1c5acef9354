/** The contents of an object's maps as they change, a line an entry. */
import type { KernelClient } from '../kernel/client/client';
import type { LoadedMap } from '../kernel/protocol';
import type { LoadedObject } from '../debug-adapter/runner/load';
import type { Btf } from '../toolchain/btf/btf';
import type { Io } from './io';
import { codecFor, type MapCodec } from './map-codec';

/** Entries of one map that are looked at; more scroll by unread. */
const MOST_ENTRIES = 1000;

/** Map types that have entries to walk through and mean something to a reader. */
const WATCHABLE = new Set([
  'hash',
  'array',
  'percpu_hash',
  'percpu_array',
  'lru_hash',
  'lru_percpu_hash',
  'lpm_trie',
]);

interface Watched {
  map: LoadedMap;
  codec: MapCodec;
  /** Bytes of each entry's value at the last look, by key, both as hex. */
  last: Map<string, string>;
}

/** Prints entries that are new or have changed since the last call. */
export function watchMaps(loaded: LoadedObject, io: Io): { refresh(): Promise<void> } {
  const btf: Btf | undefined = loaded.file.object.btf;
  const cpus = loaded.kernel.hello.kernel.possibleCpus;
  const watched: Watched[] = loaded.maps
    .filter((map) => WATCHABLE.has(map.type) && map.name !== '.rodata')
    .map((map) => ({ map, codec: codecFor(btf, map, cpus), last: new Map() }));
  return {
    async refresh() {
      for (const each of watched) await printChanges(loaded.kernel, each, io);
    },
  };
}

/** Prints every entry once. */
export async function showMaps(loaded: LoadedObject, io: Io): Promise<void> {
  await watchMaps(loaded, io).refresh();
}

async function printChanges(client: KernelClient, watched: Watched, io: Io): Promise<void> {
  const { map, codec, last } = watched;
  const page = await client.request('mapEntries', { map: map.handle, limit: MOST_ENTRIES });
  for (let index = 0; index < page.count; index++) {
    const key = page.keys.subarray(index * map.keySize, (index + 1) * map.keySize);
    const value = page.values.subarray(index * page.valueStride, (index + 1) * page.valueStride);
    const [keyHex, valueHex] = [Buffer.from(key).toString('hex'), Buffer.from(value).toString('hex')];
    if (last.get(keyHex) === valueHex) continue;
    // An array's entries are all there from the start; those still zero are not news.
    const isNews = last.has(keyHex) || !map.type.endsWith('array') || /[^0]/.test(valueHex);
    last.set(keyHex, valueHex);
    if (!isNews) continue;
    if (io.json) io.outJson({ type: 'map', map: map.name, key: codec.key(key), value: codec.value(value) });
    else io.out(`${map.name}[${codec.keyText(key)}] = ${codec.valueText(value)}\n`);
  }
  if (page.cursor && !last.has('more')) {
    last.set('more', '');
    io.err(`bpf-studio: ${map.name} has more than ${MOST_ENTRIES} entries; bpf-studio maps dump shows all\n`);
  }
}
