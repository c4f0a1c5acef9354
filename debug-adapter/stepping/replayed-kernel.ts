/** Answers requests for maps as the kernel would have at the present step of a replay. */
import { KernelError } from '../../kernel/client/errors';
import type { KernelRequests } from '../../kernel/client/client';
import type { Method, Params, Results } from '../../kernel/protocol';
import type { MapModel } from '../recorder/replay/map-model';

/**
 * @param followed whether a map was followed through the run; the others are shown as `kernel` has them now.
 */
export function replayedKernel(
  kernel: KernelRequests,
  maps: MapModel,
  followed: (map: number) => boolean,
): KernelRequests {
  const answers: { [M in Method]?: (params: Params<M>) => Results[M] } = {
    mapLookup: ({ map, key }) => ({ value: maps.lookup(map, key)?.value ?? null }),
    mapEntries: ({ map }) => {
      const entries = maps.entries(map);
      return {
        keys: Buffer.concat(entries.map(({ key }) => key)),
        values: Buffer.concat(entries.map(({ value }) => value)),
        count: entries.length,
        valueStride: maps.shape(map)?.valueSize ?? 0,
      };
    },
    mapUpdate: () => refuse(),
    mapDelete: () => refuse(),
  };
  return {
    get hello() {
      return kernel.hello;
    },
    request(method, params, options) {
      const answer = answers[method] as ((params: unknown) => unknown) | undefined;
      const map = (params as { map?: number }).map;
      if (!answer || map === undefined || !followed(map)) return kernel.request(method, params, options);
      return new Promise((resolve) => resolve(answer(params) as never));
    },
  };
}

function refuse(): never {
  throw new KernelError({
    code: 'unsupported',
    operation: 'set',
    message: 'this is the map as it was at an earlier step of a run that is over',
    hint: 'Go to the end of the run (Continue) to write to the map as it is now.',
  });
}
