/** Requests about maps: single elements, pages of elements, queues and stacks. */
import type { Addon, MapPage, Operation } from '../../addon/addon';
import { isAddonError } from '../../addon/addon';
import type { LoadedMap } from '../../protocol';
import { failure } from '../errors';
import { whyNotIterable } from '../map-types';
import type { Handlers, HeldMap } from '../session';

type MapHandlers = Pick<
  Handlers,
  | 'mapOpenById'
  | 'mapClose'
  | 'mapInfo'
  | 'mapLookup'
  | 'mapUpdate'
  | 'mapDelete'
  | 'mapEntries'
  | 'mapPeek'
  | 'mapPush'
  | 'mapPop'
>;

const NO_KEY = new Uint8Array(0);
/** BPF_ANY, BPF_NOEXIST, BPF_EXIST. */
const UPDATE_FLAGS = { any: 0, noexist: 1, exist: 2 } as const;

export const mapHandlers: MapHandlers = {
  async mapOpenById(session, { id }) {
    const { addon } = session.host;
    const fd = await addon.mapOpenById(null, id);
    const loaded = { ...(await mapDescriptionById(addon, fd)), handle: session.newHandle() };
    session.maps.set(loaded.handle, { ...loaded, fd, owned: true });
    return loaded;
  },

  async mapClose(session, { map }) {
    const held = session.map(map);
    if (!held.owned) {
      throw failure(
        'badRequest',
        'mapClose',
        `map ${held.name} belongs to its object; close the object instead`,
      );
    }
    session.maps.delete(map);
    session.host.addon.closeFd(held.fd);
    return {};
  },

  async mapInfo(session, { map }) {
    const {
      fd,
      owned: _owned,
      object: _object,
      memory: _memory,
      readAhead: _ahead,
      ...held
    } = session.map(map);
    const { frozen } = await session.host.addon.mapInfo(null, fd);
    return { ...held, frozen };
  },

  async mapLookup(session, { map, key, flags }, operation) {
    const held = session.map(map);
    checkSize(held, 'key', key, held.keySize);
    const value = await session.host.addon.mapLookup(
      operation,
      held.fd,
      key,
      valueBytes(session.host.addon, held),
      flags,
    );
    return { value };
  },

  async mapUpdate(session, { map, key, value, flags }, operation) {
    const held = session.map(map);
    checkSize(held, 'key', key, held.keySize);
    checkSize(held, 'value', value, valueBytes(session.host.addon, held));
    await session.host.addon.mapUpdate(operation, held.fd, key, value, UPDATE_FLAGS[flags]);
    return {};
  },

  async mapDelete(session, { map, key }, operation) {
    const held = session.map(map);
    checkSize(held, 'key', key, held.keySize);
    return { existed: await session.host.addon.mapDelete(operation, held.fd, key) };
  },

  async mapEntries(session, { map, cursor, limit }, operation) {
    const held = session.map(map);
    const { addon } = session.host;
    const reason = whyNotIterable(held.type);
    if (reason) throw failure('unsupported', 'mapEntries', `${held.name}: ${reason}`);
    const stride = valueBytes(addon, held);
    const room = Math.max(1, Math.floor(PAGE_BYTES / (held.keySize + stride)));
    const page = await readAheadPage(addon, held, stride, Math.min(limit, room), cursor, operation);
    return {
      keys: page.keys,
      values: page.values,
      count: page.count,
      valueStride: stride,
      ...(page.cursor ? { cursor: page.cursor } : {}),
      ...(page.unreadable ? { unreadable: unreadableReason(held, page.unreadable) } : {}),
    };
  },

  async mapPeek(session, { map, value }, operation) {
    const held = queue(session.map(map), 'mapPeek');
    const { addon } = session.host;
    if (held.type !== 'bloom_filter')
      return { value: await addon.mapLookup(operation, held.fd, NO_KEY, held.valueSize) };
    if (!value)
      throw failure(
        'badRequest',
        'mapPeek',
        `${held.name} is a bloom filter: it can be asked for a value only`,
      );
    checkSize(held, 'value', value, held.valueSize);
    return { value: await addon.mapLookup(operation, held.fd, NO_KEY, held.valueSize, undefined, value) };
  },

  async mapPush(session, { map, value }, operation) {
    const held = queue(session.map(map), 'mapPush');
    checkSize(held, 'value', value, held.valueSize);
    await session.host.addon.mapUpdate(operation, held.fd, NO_KEY, value, UPDATE_FLAGS.any);
    return {};
  },

  async mapPop(session, { map }, operation) {
    const held = queue(session.map(map), 'mapPop');
    return { value: await session.host.addon.mapLookupAndDelete(operation, held.fd, NO_KEY, held.valueSize) };
  },
};

/** What the kernel knows of a map; `handle` is 0 and for the caller to set. */
export async function mapDescriptionById(addon: Addon, fd: number): Promise<LoadedMap> {
  const { vmlinuxValueTypeId, ...info } = await addon.mapInfo(null, fd);
  return {
    ...info,
    valueTypeId: info.valueTypeId || vmlinuxValueTypeId,
    globals: /\.(rodata|data|bss)/.test(info.name),
    structOps: info.type === 'struct_ops',
    handle: 0,
  };
}

/** Bytes that the kernel reads and writes for one key: per-CPU maps have a value rounded up to 8 for each possible CPU. */
export function valueBytes(addon: Addon, map: LoadedMap): number {
  if (/^(percpu_|lru_percpu_)/.test(map.type)) return Math.ceil(map.valueSize / 8) * 8 * addon.possibleCpus;
  return map.valueSize;
}

function checkSize(map: HeldMap, what: 'key' | 'value', bytes: Uint8Array, size: number): void {
  if (bytes.length === size) return;
  throw failure(
    'badRequest',
    `map ${what}`,
    `a ${what} of map ${map.name} (${map.type}) has ${size} bytes; ${bytes.length} were given`,
  );
}

function queue(map: HeldMap, operation: string): HeldMap {
  if (map.type === 'queue' || map.type === 'stack' || map.type === 'bloom_filter') return map;
  throw failure('badRequest', operation, `map ${map.name} is a ${map.type}, not a queue or a stack`);
}

/** Most that one page holds, whatever number of entries was asked for. */
const PAGE_BYTES = 64 * 1024 * 1024;
/** Pages from this many entries on belong to a reading of the whole map. */
const READ_AHEAD_ENTRIES = 4096;
/** How long a page may have waited and still be what the kernel would say now. */
const READ_AHEAD_MS = 100;

/**
 * A page, from the page before if that was read ahead: while the client takes one page, the kernel copies the next.
 * A page that waited longer than {@link READ_AHEAD_MS} is thrown away.
 */
async function readAheadPage(
  addon: Addon,
  map: HeldMap,
  stride: number,
  limit: number,
  cursor: Uint8Array | undefined,
  operation: Operation,
): Promise<MapPage> {
  const ahead = map.readAhead;
  map.readAhead = undefined;
  const fits =
    ahead &&
    cursor &&
    ahead.limit === limit &&
    performance.now() - ahead.startedAt < READ_AHEAD_MS &&
    Buffer.compare(ahead.cursor, cursor) === 0;
  const page = await (fits ? ahead.page : readPage(addon, map, stride, limit, cursor, operation));
  if (page.cursor && limit >= READ_AHEAD_ENTRIES) {
    const next = readPage(addon, map, stride, limit, page.cursor, null);
    // If it is never asked for, nobody needs to know that it failed.
    next.catch(() => {});
    map.readAhead = { cursor: page.cursor, limit, startedAt: performance.now(), page: next };
  }
  return page;
}

/** Map types whose batch lookup this kernel turned out not to have. */
const withoutBatch = new Set<string>();
const NO_BATCH = new Set(['EINVAL', 'ENOTSUPP', 'EOPNOTSUPP', 'EINTR', 'EFAULT']);

async function readPage(
  addon: Addon,
  map: HeldMap,
  stride: number,
  limit: number,
  cursor: Uint8Array | undefined,
  operation: Operation | null,
): Promise<MapPage> {
  const read = { batch: 0, each: 1 } as const;
  const tag = (page: MapPage, how: number): MapPage =>
    page.cursor ? { ...page, cursor: Buffer.concat([Buffer.from([how]), page.cursor]) } : page;
  const how = cursor ? cursor[0] : withoutBatch.has(map.type) ? read.each : read.batch;
  const position = cursor?.subarray(1);
  if (how === read.batch) {
    try {
      return tag(
        await addon.mapReadBatch(operation, map.fd, map.keySize, stride, limit, position),
        read.batch,
      );
    } catch (error) {
      if (cursor || !isAddonError(error) || !NO_BATCH.has(error.code)) throw error;
      withoutBatch.add(map.type);
    }
  }
  return tag(await addon.mapReadEach(operation, map.fd, map.keySize, stride, limit, position), read.each);
}

function unreadableReason(map: HeldMap, errno: string): string {
  if (/^sock/.test(map.type) && map.valueSize !== 8) {
    return `The kernel tells a socket's cookie only for ${map.type} maps whose value has 8 bytes; this one has ${map.valueSize} (${errno}).`;
  }
  if (errno === 'EPERM') return 'The map was made write-only for user space (BPF_F_WRONLY).';
  return `The kernel does not let user space read values of ${map.type} maps (${errno}).`;
}
