/** Maps of a loaded object as JSON values, for assertions. */
import type { KernelClient } from '../../kernel/client/client';
import type { LoadedMap } from '../../kernel/protocol';
import { toJson } from '../../toolchain/btf/format';
import { decode } from '../../toolchain/btf/value';
import { readBpfObject } from '../../toolchain/elf/object';

export interface Entry {
  key: unknown;
  /** Per-CPU maps: the values of all CPUs. */
  values: unknown[];
}

/** Every entry of a map, decoded by the object's BTF. */
export async function readMap(client: KernelClient, object: Uint8Array, map: LoadedMap): Promise<Entry[]> {
  const parsed = readBpfObject(Uint8Array.from(object));
  if (!parsed.ok || !parsed.value.btf) throw new Error('the object has no BTF');
  const { btf } = parsed.value;
  const page = await client.request('mapEntries', { map: map.handle, limit: 10_000 });
  const cpus = map.type.includes('percpu') ? client.hello.kernel.possibleCpus : 1;
  const stride = page.valueStride / cpus;
  return Array.from({ length: page.count }, (_, index) => ({
    key: toJson(
      decode(btf, map.keyTypeId, page.keys.subarray(index * map.keySize, (index + 1) * map.keySize)),
    ),
    values: Array.from({ length: cpus }, (_, cpu) => {
      const start = index * page.valueStride + cpu * stride;
      return toJson(decode(btf, map.valueTypeId, page.values.subarray(start, start + map.valueSize)));
    }),
  }));
}
