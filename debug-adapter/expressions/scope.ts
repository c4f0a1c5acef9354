/** What an expression can speak of. Everything here is synchronous: a step of a run, a snapshot, or what was read before. */
import type { LoadedMap } from '../../kernel/protocol';
import type { Value } from '../../toolchain/btf/value';
import type { DissectedLayer } from '../../toolchain/packet/dissect';
import type { Outcome } from '../../toolchain/problem';
import type { Shown } from '../stepping/shown';
import type { TypedMap } from '../variables/maps';
import type { TypeNumber, TypeSpace } from './types';

/** A value with its type, and where it is. */
export interface TypedValue {
  /** Its type, among {@link Scope.types}, and its place in `source.bytes`, which may hold what is around it too. */
  value: Value;
  /** Which of `source.bytes` are known. */
  known: Uint8Array;
  /** Address of the first of `source.bytes`, for what lies in memory. */
  address?: bigint;
  /** Of a global variable: the map that its section is. */
  section?: LoadedMap;
  /** Of an entry of a map: whose, and which; of a per-CPU map, on which CPU. */
  entry?: { map: TypedMap; key: Uint8Array; cpu?: number };
  /** Written as `mac("…")` or `ipv6("…")`: compared byte by byte, which C's arrays are not. */
  isAddress?: boolean;
}

/** A map by its name alone, for showing. */
export interface WholeMap {
  map: TypedMap;
}

export type Evaluated = TypedValue | WholeMap;

export function isMap(evaluated: Evaluated): evaluated is WholeMap {
  return 'map' in evaluated;
}

/** A variable that is in scope, whether or not its value is known. */
export interface Variable {
  type: TypeNumber;
  /** Of a number or pointer, what {@link read} would give, as an unsigned number: a short cut that may not be there. */
  number?(): bigint | undefined;
  /** A problem says why it has no value here: ``"`ip` is optimised out here; last known at line 14."`` */
  read(): Outcome<TypedValue>;
}

export interface Scope {
  readonly types: TypeSpace;
  /** A local variable of the frame that is looked at, or else a global one; undefined: there is none of that name. */
  variable(name: string): Variable | undefined;
  /** R0 to R10; undefined when nothing is in it that the program may read. */
  register(number: number): bigint | undefined;
  /** What is known of memory of the program's. */
  memory(address: bigint, length: number): Shown;
  /** Up to 8 bytes of that as an unsigned number; undefined unless all are known. A short cut that may not be there. */
  number?: ((address: bigint, size: number) => bigint | undefined) | undefined;
  map(name: string): TypedMap | undefined;
  /** An entry's value as the kernel gives it: for per-CPU maps, one value a CPU. Null: there is none of that key. */
  lookup(map: TypedMap, key: Uint8Array): Outcome<(Shown & { address?: bigint }) | null>;
  /** The packet's layers as far as they are known; undefined when the program has not read where it is. */
  packet?(): DissectedLayer[] | undefined;
  /** Names of variables and maps, for saying which there are. */
  names(): string[];
}
