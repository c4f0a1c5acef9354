/** What expressions speak of at a moment of a run: variables of a frame, registers and memory, then globals and maps. */
import { decode } from '../../toolchain/btf/value';
import { fail, succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';
import { numberOf } from '../stepping/locals';
import { innermostOf } from '../stepping/moment';
import type { Moment, StepFrame } from '../stepping/moment';
import { localsOf, readLocal } from '../stepping/local-rows';
import { packetLayers } from '../stepping/packet-rows';
import type { DwarfVariable } from '../../toolchain/dwarf/dwarf';
import type { MapScope } from './map-scope';
import type { Scope, TypedValue, Variable } from './scope';
import { typesOf } from './types';
import type { TypeSpace } from './types';

/**
 * @param frame whose variables are meant; the innermost if it is left out.
 * @param maps globals and maps; without them, as for a snapshot, expressions that name one are refused.
 */
export function scopeAt(
  moment: Moment,
  frame: StepFrame | undefined = innermostOf(moment),
  maps?: MapScope,
): Scope {
  const types = typesOf(moment);
  const view = frame?.view ?? moment.views[0];
  const locals = frame ? localsOf(moment, frame) : [];
  const local = (variable: DwarfVariable): Variable => {
    const type = types.numberOf(moment.types, variable.type) ?? 0;
    return {
      type,
      number: () => numberOf(variable, types.sizeOf(type), frame!.view),
      read: () => readTyped(moment, frame!, variable),
    };
  };
  return {
    types,
    variable: (name) => {
      const variable = locals.find((one) => one.name === name);
      return variable ? local(variable) : maps?.global(name);
    },
    register: (number) => view?.register(number),
    memory: (address, length) =>
      view?.memory(address, length) ?? { bytes: new Uint8Array(length), known: new Uint8Array(length) },
    number: view?.number,
    packet: () => packetLayers(moment),
    map: (name) => maps?.map(name),
    lookup: (map, key) =>
      maps?.lookup(map, key) ??
      fail('expression/no-maps', `${map.map.name} is not known here: a snapshot has no maps.`, ''),
    names: () => [...locals.map(({ name }) => name), ...(maps?.names() ?? [])],
  };
}

/** Without a moment: maps and globals as they are now, and nothing that belongs to a run. */
export function presentScope(types: TypeSpace, maps: MapScope): Scope {
  const nothing = (length: number) => ({ bytes: new Uint8Array(length), known: new Uint8Array(length) });
  return {
    types,
    variable: (name) => maps.global(name),
    register: () => undefined,
    memory: (_, length) => nothing(length),
    map: (name) => maps.map(name),
    lookup: (map, key) => maps.lookup(map, key),
    names: () => maps.names(),
  };
}

function readTyped(moment: Moment, frame: StepFrame, variable: DwarfVariable): Outcome<TypedValue> {
  const types = typesOf(moment);
  const found = readLocal(moment, frame, variable);
  if (!found) return isNowhere(moment, frame, variable);
  const { bytes, known, address } = found;
  const type = types.numberOf(moment.types, variable.type) ?? 0;
  const value = decode(types, type, bytes, { name: variable.name });
  return succeed({ value, known, ...(address === undefined ? {} : { address }) });
}

function isNowhere(moment: Moment, frame: StepFrame, variable: DwarfVariable): Outcome<never> {
  const { name, location } = variable;
  const last = moment.lastKnown?.(frame, [variable]).get(variable);
  const line = last?.line || undefined;
  const when = line === undefined ? '' : `; last known at line ${line}`;
  // It may live in a register that a call has used for something else.
  const why = location.kind === 'optimised-out' ? 'is optimised out here' : 'is not known here';
  return fail(
    'expression/optimised-out',
    `\`${name}\` ${why}${when}.`,
    line !== undefined ? 'Step back to that line to evaluate it.' : 'Step to a line that uses it.',
  );
}
