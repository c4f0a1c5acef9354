import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KernelClient } from '../client/client';
import type { LoadedMap } from '../protocol';
import type { Loaded } from './testing';
import { Compiler, load, openTestKernel } from './testing';

let kernel: Awaited<ReturnType<typeof openTestKernel>>;
let client: KernelClient;
let maps: Loaded;
let cpus: number;

const OBJECT = `
#define MAP(name, kind, k, v, n) struct { __uint(type, BPF_MAP_TYPE_##kind); __uint(max_entries, n); __type(key, k); __type(value, v); } name SEC(".maps")
MAP(hash, HASH, u64, u64, 4096);
MAP(array, ARRAY, u32, u64, 5);
MAP(percpuarray, PERCPU_ARRAY, u32, u32, 2);
MAP(percpuhash, PERCPU_HASH, u32, u32, 8);
MAP(lru, LRU_HASH, u32, u32, 64);
struct { __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(max_entries, 8); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, u64); __type(value, u32); } lpm SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_QUEUE); __uint(max_entries, 2); __type(value, u32); } queue SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_STACK); __uint(max_entries, 2); __type(value, u32); } stack SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_BLOOM_FILTER); __uint(max_entries, 8); __type(value, u32); } bloom SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_TASK_STORAGE); __uint(map_flags, BPF_F_NO_PREALLOC); __type(key, int); __type(value, u64); } task SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_SOCKMAP); __uint(max_entries, 4); __type(key, u32); __type(value, u32); } socks SEC(".maps");
struct inner { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, u32); __type(value, u32); } inner SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 4); __type(key, u32); __array(values, struct inner); } outer SEC(".maps") = { .values = { [2] = &inner } };
const volatile u32 limit = 3;
u32 counter = 11;
SEC("xdp") int mapprog(struct xdp_md *c) {
  u64 key = counter++;
  bpf_map_update_elem(&hash, &key, &key, 0);
  return limit;
}
`;

beforeAll(async () => {
  kernel = await openTestKernel();
  ({ client } = kernel);
  cpus = client.hello.kernel.possibleCpus;
  const compiler = await Compiler.create(client);
  maps = await load(client, await compiler.compile(OBJECT), { globals: { '.rodata': u32(9) } });
});
afterAll(() => kernel.dispose());

function u32(...values: number[]): Uint8Array {
  return Buffer.from(Uint32Array.from(values).buffer);
}
function u64(...values: bigint[]): Uint8Array {
  return Buffer.from(BigUint64Array.from(values).buffer);
}
function numbers(bytes: Uint8Array | null | undefined): number[] {
  if (!bytes) throw new Error('no value');
  const view = Buffer.from(bytes);
  return Array.from({ length: view.length / 4 }, (_, i) => view.readUInt32LE(i * 4));
}

async function readAll(map: LoadedMap, limit: number) {
  const keys: number[] = [];
  const pages: number[] = [];
  let cursor: Uint8Array | undefined;
  let last: Awaited<ReturnType<typeof page>>;
  const page = () => client.request('mapEntries', { map: map.handle, limit, ...(cursor ? { cursor } : {}) });
  do {
    last = await page();
    pages.push(last.count);
    for (let i = 0; i < last.count; i++) {
      keys.push(Buffer.from(last.keys).readUInt32LE(i * map.keySize));
    }
    cursor = last.cursor;
  } while (cursor);
  return { keys: keys.sort((a, b) => a - b), pages };
}

describe('elements', () => {
  test('update, look up, delete', async () => {
    const map = maps.map('lru').handle;
    expect(await client.request('mapLookup', { map, key: u32(1) })).toEqual({ value: null });
    await client.request('mapUpdate', { map, key: u32(1), value: u32(10), flags: 'noexist' });
    expect(numbers((await client.request('mapLookup', { map, key: u32(1) })).value)).toEqual([10]);
    await expect(
      client.request('mapUpdate', { map, key: u32(1), value: u32(10), flags: 'noexist' }),
    ).rejects.toMatchObject({ errno: 'EEXIST', operation: 'BPF_MAP_UPDATE_ELEM' });
    expect(await client.request('mapDelete', { map, key: u32(1) })).toEqual({ existed: true });
    expect(await client.request('mapDelete', { map, key: u32(1) })).toEqual({ existed: false });
  });

  test('a key of the wrong size is refused in words, not passed to the kernel', async () => {
    const request = client.request('mapLookup', { map: maps.map('hash').handle, key: u32(1) });
    await expect(request).rejects.toMatchObject({
      code: 'badRequest',
      message: 'a key of map hash (hash) has 8 bytes; 4 were given',
    });
  });

  test('per-CPU values come and go as one value for each possible CPU', async () => {
    const map = maps.map('percpuarray').handle;
    const value = Buffer.concat(Array.from({ length: cpus }, (_, cpu) => u32(100 + cpu, 0)));
    await client.request('mapUpdate', { map, key: u32(1), value, flags: 'any' });
    const read = numbers((await client.request('mapLookup', { map, key: u32(1) })).value);
    expect(read.filter((_, i) => i % 2 === 0)).toEqual(Array.from({ length: cpus }, (_, cpu) => 100 + cpu));
  });

  test('global variables: set before load, read and written while loaded, constants frozen', async () => {
    const rodata = maps.map('.rodata');
    expect(rodata).toMatchObject({ globals: true, frozen: true });
    expect(numbers((await client.request('mapLookup', { map: rodata.handle, key: u32(0) })).value)).toEqual([
      9,
    ]);
    await expect(
      client.request('mapUpdate', { map: rodata.handle, key: u32(0), value: u32(1), flags: 'any' }),
    ).rejects.toMatchObject({ errno: 'EPERM' });
    const data = maps.map('.data').handle;
    await client.request('mapUpdate', { map: data, key: u32(0), value: u32(77), flags: 'any' });
    const run = {
      program: maps.program('mapprog').handle,
      data: new Uint8Array(64),
      dataOutSize: 0,
      contextOutSize: 0,
    };
    expect((await client.request('testRun', run)).returnValue).toBe(9);
    expect(numbers((await client.request('mapLookup', { map: data, key: u32(0) })).value)).toEqual([78]);
    expect(
      (await client.request('mapLookup', { map: maps.map('hash').handle, key: u64(77n) })).value,
    ).not.toBeNull();
  });
});

describe('pages of entries', () => {
  test.each([1, 7, 100, 5000])('every key of a hash once, %i at a time', async (limit) => {
    const map = maps.map('hash');
    const count = 300;
    for (let key = 0; key < count; key++) {
      await client.request('mapUpdate', {
        map: map.handle,
        key: u64(BigInt(key)),
        value: u64(1n),
        flags: 'any',
      });
    }
    const { keys, pages } = await readAll(map, limit);
    expect(keys).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(Math.max(...pages)).toBeLessThanOrEqual(limit);
  });

  test('an array has all its slots', async () => {
    expect((await readAll(maps.map('array'), 2)).keys).toEqual([0, 1, 2, 3, 4]);
  });

  test('per-CPU hashes have the stride that the answer says', async () => {
    const map = maps.map('percpuhash').handle;
    for (const key of [3, 5]) {
      const value = Buffer.concat(Array.from({ length: cpus }, (_, cpu) => u32(key * 10 + cpu, 0)));
      await client.request('mapUpdate', { map, key: u32(key), value, flags: 'any' });
    }
    const page = await client.request('mapEntries', { map, limit: 10 });
    expect(page).toMatchObject({ count: 2, valueStride: 8 * cpus });
    const keys = numbers(page.keys);
    const firsts = [0, 1].map((i) => numbers(page.values.subarray(i * page.valueStride))[0]);
    expect(firsts).toEqual(keys.map((key) => key * 10));
  });

  test('an LPM trie', async () => {
    const map = maps.map('lpm');
    // Key: prefix length in bits, then the address.
    for (const [length, address] of [
      [8, 10],
      [16, 2570],
      [32, 167772161],
    ] as const) {
      await client.request('mapUpdate', {
        map: map.handle,
        key: u32(length, address),
        value: u32(1),
        flags: 'any',
      });
    }
    expect((await readAll(map, 2)).keys).toEqual([8, 16, 32]);
  });

  test('an array of maps lists the inner maps by id, and they can be opened', async () => {
    const page = await client.request('mapEntries', { map: maps.map('outer').handle, limit: 10 });
    expect(numbers(page.keys)).toEqual([2]);
    expect(numbers(page.values)).toEqual([maps.map('inner').id]);
    const inner = await client.request('mapOpenById', { id: numbers(page.values)[0]! });
    expect(inner).toMatchObject({ name: 'inner', type: 'array', valueSize: 4 });
    await client.request('mapClose', { map: inner.handle });
    await expect(client.request('mapInfo', { map: inner.handle })).rejects.toMatchObject({
      code: 'badRequest',
    });
  });

  test.each([
    ['ring', 'a ring buffer has no entries to look up'],
    ['queue', 'peek shows the element that would be popped next'],
    ['bloom', 'a bloom filter keeps only hash bits'],
    ['task', 'looked up only by a pidfd of its task'],
  ])('%s cannot be listed, and says why', async (name, reason) => {
    const request = client.request('mapEntries', { map: maps.map(name).handle, limit: 10 });
    await expect(request).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining(reason),
    });
  });

  test('a sockmap with 4-byte values lists its sockets, if any, and says that their cookies cannot be read', async () => {
    const page = await client.request('mapEntries', { map: maps.map('socks').handle, limit: 10 });
    expect(page.unreadable ?? 'has 8 bytes').toContain('has 8 bytes');
  });

  test('a cursor that is none of the map’s is refused', async () => {
    const request = client.request('mapEntries', {
      map: maps.map('hash').handle,
      limit: 10,
      cursor: new Uint8Array([0, 1, 2]),
    });
    await expect(request).rejects.toMatchObject({
      message: expect.stringContaining('the cursor is not one of this map'),
    });
  });
});

test('task storage is looked up by a pidfd only: a number that is none is an error of the kernel', async () => {
  const request = client.request('mapLookup', { map: maps.map('task').handle, key: u32(4000) });
  await expect(request).rejects.toMatchObject({ errno: 'EBADF' });
});

test('a queue gives first what came first, a stack what came last; both say when they are full', async () => {
  for (const [name, expected] of [
    ['queue', 1],
    ['stack', 2],
  ] as const) {
    const map = maps.map(name).handle;
    expect(await client.request('mapPeek', { map })).toEqual({ value: null });
    for (const value of [1, 2]) await client.request('mapPush', { map, value: u32(value) });
    await expect(client.request('mapPush', { map, value: u32(3) })).rejects.toMatchObject({ errno: 'E2BIG' });
    expect(numbers((await client.request('mapPeek', { map })).value)).toEqual([expected]);
    expect(numbers((await client.request('mapPop', { map })).value)).toEqual([expected]);
    expect(numbers((await client.request('mapPop', { map })).value)).toEqual([3 - expected]);
    expect(await client.request('mapPop', { map })).toEqual({ value: null });
  }
});

test('a bloom filter can be asked for a value', async () => {
  const { handle: map } = maps.map('bloom');
  await client.request('mapPush', { map, value: u32(7) });
  expect(numbers((await client.request('mapPeek', { map, value: u32(7) })).value)).toEqual([7]);
  expect(await client.request('mapPeek', { map, value: u32(0x12345678) })).toEqual({ value: null });
  await expect(client.request('mapPeek', { map })).rejects.toMatchObject({
    message: expect.stringContaining('it can be asked for a value only'),
  });
});

test('a map that is gone cannot be opened', async () => {
  await expect(client.request('mapOpenById', { id: 0xfffffff0 })).rejects.toMatchObject({ errno: 'ENOENT' });
});
