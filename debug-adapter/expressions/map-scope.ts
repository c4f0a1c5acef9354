/** Maps and global variables as expressions speak of them: of a step of a run, or as they were read from the kernel. */
import { childrenOf, decode } from '../../toolchain/btf/value';
import type { Btf } from '../../toolchain/btf/btf';
import { fail, succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';
import type { LoadedMap } from '../../kernel/protocol';
import type { Shown } from '../stepping/shown';
import type { OpenedRun } from '../recorder/open-run';
import { mapTypes } from '../variables/maps';
import type { Scope, Variable } from './scope';
import type { TypeSpace } from './types';

/** The value of a key, null if the map has none; a problem if that is not known. */
export type ReadEntry = (map: LoadedMap, key: Uint8Array) => Outcome<(Shown & { address?: bigint }) | null>;

export interface MapScope extends Pick<Scope, 'map' | 'lookup' | 'names'> {
  global(name: string): Variable | undefined;
  read: ReadEntry;
}

/** Maps of an object, whose entries and sections of globals `read` tells. */
export function mapScope(
  maps: readonly LoadedMap[],
  object: {
    btf?: Btf | undefined;
    maps: readonly { name: string; keyTypeId: number; valueTypeId: number }[];
  },
  types: TypeSpace,
  read: ReadEntry,
): MapScope {
  // Most conditions ask for neither, and one is asked at each of a million steps.
  let found: ReturnType<typeof globalsOf> | undefined;
  const globals = () =>
    (found ??= maps.filter((map) => map.globals).flatMap((map) => globalsOf(map, types, object.btf, read)));
  return {
    map: (name) => {
      const map = maps.find((candidate) => !candidate.globals && candidate.name === name);
      return map && mapTypes(map, object);
    },
    lookup: (typed, key) => read(typed.map, key),
    names: () => [...maps.filter((map) => !map.globals), ...globals()].map(({ name }) => name),
    global: (name) => globals().find((variable) => variable.name === name),
    read,
  };
}

/** Variables of a section, which is a map of one value. */
function globalsOf(
  map: LoadedMap,
  types: TypeSpace,
  btf: Btf | undefined,
  read: ReadEntry,
): (Variable & { name: string })[] {
  const section = btf && map.valueTypeId !== 0 ? btf.resolve(map.valueTypeId) : undefined;
  if (section?.kind !== 'datasec') return [];
  return section.variables.flatMap(({ type: id }, index) => {
    const variable = btf!.type(id);
    if (variable.kind !== 'var') return [];
    const number = types.numberOf(btf, map.valueTypeId);
    const type = types.numberOf(btf, variable.type);
    if (number === undefined || type === undefined) return [];
    const readVariable: Variable['read'] = () => {
      const found = read(map, new Uint8Array(4));
      if (!found.ok) return found;
      if (!found.value)
        return fail('expression/no-section', `${variable.name} is not known: its section has no value.`, '');
      const { bytes, known, address } = found.value;
      const [value] = childrenOf(decode(types, number, bytes), index, 1);
      if (!value) return fail('expression/no-section', `${variable.name} lies beyond its section.`, '');
      return succeed({
        value,
        known,
        section: map,
        ...(address === undefined ? {} : { address }),
      });
    };
    return [{ name: variable.name, type, read: readVariable }];
  });
}

/** Maps as they were at the present step of a run. */
export function mapsOfRun({ recording, object, maps, timeline }: OpenedRun, types: TypeSpace): MapScope {
  return mapScope(recording.maps, object, types, (map, key) => {
    if (!maps.shape(map.handle))
      return fail(
        'expression/not-followed',
        `${map.name} is not followed through a run (${map.type}), so that what it held at this step is not known.`,
        'Watch and the Maps scope show it as the kernel has it now.',
      );
    const lost = maps.lost.find((one) => one.map === map.handle);
    if (lost && timeline.machine.step < timeline.length)
      return fail(
        'expression/not-followed',
        `What ${map.name} held at this step is not known: ${lost.reason}.`,
        'The Maps scope shows it as it was after the run.',
      );
    const entry = maps.lookup(map.handle, key);
    if (!entry) return succeed(null);
    const { value: bytes, known } = entry;
    return succeed({ bytes, known });
  });
}
