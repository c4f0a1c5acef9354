/** Answers requests for maps as the kernel would have at the present step of a replay. */
import { KernelError } from '../../kernel/client/errors';
import type { KernelRequests } from '../../kernel/client/client';
import type { LoadedMap, Method, Params, Results } from '../../kernel/protocol';
import { u32 } from '../recorder/replay/map-entry';
import type { MapEntry } from '../recorder/replay/map-entry';
import type { MapModel } from '../recorder/replay/map-model';

/**
 * Changes what an entry is at the run's beginning, null removing it, and does the run again; who answers for maps from
 * then on.
 */
export type EditEntry = (map: number, key: Uint8Array, value: Uint8Array | null) => Promise<KernelRequests>;

/**
 * Maps that were followed through the run are answered from it; the others are shown as `kernel` has them now.
 * @param edit left out for runs that cannot be done again.
 */
export function replayedKernel(
  kernel: KernelRequests,
  maps: MapModel,
  all: readonly LoadedMap[],
  edit?: EditEntry,
): KernelRequests {
  /** Of the run that was done in place of this one. */
  let successor: KernelRequests | undefined;
  const answers: { [M in Method]?: (params: Params<M>) => Results[M] } = {
    mapLookup: ({ map, key }) => {
      const entry = maps.lookup(map, key);
      return { value: entry ? shown(entry).value : null };
    },
    mapEntries: ({ map, cursor, limit }) => {
      const from = cursor ? u32(cursor) : 0;
      const entries = maps.entries(map, from, limit).map(shown);
      const { stride = 0, slots = 0 } = maps.shape(map) ?? {};
      return {
        keys: Buffer.concat(entries.map(({ key }) => key)),
        values: Buffer.concat(entries.map(({ value }) => value)),
        count: entries.length,
        valueStride: stride * slots,
        ...(entries.length < limit ? {} : { cursor: cursorAt(from + limit) }),
      };
    },
    mapUpdate: () => refuse(),
    mapDelete: () => refuse(),
    mapClose: () => ({}),
  };
  return {
    get hello() {
      return kernel.hello;
    },
    request(method, params, options) {
      if (successor) return successor.request(method, params, options);
      const { map, id } = params as { map?: number; id?: number };
      if (
        edit &&
        map !== undefined &&
        maps.shape(map) &&
        (method === 'mapUpdate' || method === 'mapDelete')
      ) {
        const { key, value = null } = params as { key: Uint8Array; value?: Uint8Array };
        return edit(map, key, value).then((next) => {
          successor = next;
          return { existed: true } as never;
        });
      }
      if (method === 'mapOpenById') {
        const inner = all.find((one) => one.id === id);
        if (inner && maps.shape(inner.handle)) return Promise.resolve(inner as never);
      }
      const answer = answers[method] as ((params: unknown) => unknown) | undefined;
      if (!answer || map === undefined || !maps.shape(map)) return kernel.request(method, params, options);
      return new Promise((resolve) => resolve(answer(params) as never));
    },
  };
}

function cursorAt(entry: number): Uint8Array {
  const cursor = new Uint8Array(4);
  new DataView(cursor.buffer).setUint32(0, entry, true);
  return cursor;
}

/** Bytes that are not known cannot be told from zeros in an answer. */
function shown(entry: MapEntry): MapEntry {
  if (!entry.known.includes(0)) return entry;
  throw new KernelError({
    code: 'unsupported',
    operation: 'look up',
    message: 'a helper has written to it here, and the run does not show what',
  });
}

function refuse(): never {
  throw new KernelError({
    code: 'unsupported',
    operation: 'set',
    message: 'this is the map as it was at a step of a recorded run that cannot be done again here',
    hint: 'Launch the program (F5) to run it with other maps.',
  });
}
