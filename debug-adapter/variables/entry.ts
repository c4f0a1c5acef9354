/** One entry of a map as a row: key as name, value as a tree, one child a CPU for per-CPU maps. */
import type { LoadedMap } from '../../kernel/protocol';
import { format, integerOf } from '../../toolchain/btf/format';
import { cannotSet } from '../errors';
import type { VariableContext } from './context';
import type { Entry } from './entries';
import { keyExpression, keyText } from './keys';
import { isPerCpu, whyReadOnly } from './map-kinds';
import { innerMapNode, type TypedMap } from './maps';
import type { VariableNode } from './node';
import { stackNode } from './stacks';
import { littleEndian, rootNode, rootValue, type Home } from './values';
import { hexText } from '../../toolchain/packet/hexdump';

export async function entryNode(
  context: VariableContext,
  typed: TypedMap,
  entry: Entry,
): Promise<VariableNode> {
  const { map, btf, keyType } = typed;
  const name = `[${keyText(map.type, btf, keyType, entry.key)}]`;
  const unreadable = context.index(map).unreadable;
  const home = entryHome(context, typed, entry.key);
  if (unreadable !== undefined) return { path: home.path, name, value: `not readable: ${unreadable}` };
  const node = await valueRow(context, typed, home, name, entry);
  return withKey(typed, home, node, entry.key);
}

function valueRow(
  context: VariableContext,
  typed: TypedMap,
  home: Home,
  name: string,
  entry: Entry,
): VariableNode | Promise<VariableNode> {
  switch (typed.map.type) {
    case 'array_of_maps':
    case 'hash_of_maps':
      return innerMapRow(context, home, name, Number(littleEndian(entry.value)));
    case 'prog_array':
      return programRow(context, home, name, Number(littleEndian(entry.value)));
    case 'stack_trace':
      return stackNode(context, typed.map, home, name, entry.value);
    case 'sockmap':
    case 'sockhash':
    case 'reuseport_sockarray':
      return {
        ...rootNode(home, name, entry.value),
        value: `socket with cookie ${littleEndian(entry.value)}`,
      };
    case 'devmap':
    case 'devmap_hash':
      return fieldsRow(home, name, entry.value, ['ifindex', 'program id']);
    case 'cpumap':
      return fieldsRow(home, name, entry.value, ['qsize', 'program id']);
    default:
      return isPerCpu(typed.map)
        ? perCpuRow(context, home, typed.map, name, entry.value)
        : rootNode(home, name, entry.value);
  }
}

/** A structured key cannot be read off the row's name alone, so it opens too. */
function withKey(typed: TypedMap, home: Home, node: VariableNode, key: Uint8Array): VariableNode {
  const { btf, keyType } = typed;
  const kind = btf && keyType !== 0 ? btf.resolve(keyType).kind : undefined;
  if (kind !== 'struct' && kind !== 'union') return node;
  const keyHome: Home = {
    path: `${home.path}/key`,
    btf,
    type: keyType,
    read: async () => key,
    readOnly: 'a key cannot be changed; delete the entry and add another',
  };
  const { children } = node;
  return {
    ...node,
    children: async (start, count) => {
      const rows = [
        rootNode(keyHome, '(key)', key),
        ...(children ? await children() : [{ ...node, name: '(value)', path: `${node.path}/value` }]),
      ];
      return rows.slice(start ?? 0, count === undefined ? undefined : (start ?? 0) + count);
    },
  };
}

/** Where the value of a key lives. */
export function entryHome(context: VariableContext, typed: TypedMap, key: Uint8Array): Home {
  const { map, btf, keyType, valueType } = typed;
  const readOnly = whyReadOnly(map);
  return {
    path: `${typed.path}/${hexText(key)}`,
    ...(typed.expression === undefined
      ? {}
      : { expression: `${typed.expression}[${keyExpression(btf, keyType, key)}]` }),
    btf,
    type: valueType,
    epoch: context.epoch,
    read: async () =>
      (await context.kernel.request('mapLookup', { map: map.handle, key })).value ?? undefined,
    ...(readOnly === undefined
      ? {
          write: async (value: Uint8Array) => {
            // An entry that the program deleted meanwhile is not brought back by an edit of its value.
            await context.kernel.request('mapUpdate', { map: map.handle, key, value, flags: 'exist' });
          },
        }
      : { readOnly }),
  };
}

/** One child a possible CPU; integers are summed in the row itself, and said to be. */
function perCpuRow(
  context: VariableContext,
  home: Home,
  map: LoadedMap,
  name: string,
  bytes: Uint8Array,
): VariableNode {
  const cpus = Array.from({ length: context.possibleCpus }, (_, cpu) => cpu);
  const homeOf = (cpu: number) => cpuHome(home, map, cpu);
  const values = cpus.map((cpu) => rootValue(homeOf(cpu), '', sliceOf(map, bytes, cpu)));
  const numbers = values.map((value) => (value.kind === 'int' ? integerOf(value) : undefined));
  const sum = numbers.every((number) => number !== undefined)
    ? numbers.reduce<bigint>((total, number) => total + number!, 0n)
    : undefined;
  const list = `{${values
    .slice(0, 16)
    .map((value) => format(value, 40))
    .join(', ')}${values.length > 16 ? ', …' : ''}}`;
  return {
    path: home.path,
    name,
    value: sum === undefined ? list : `sum over CPUs ${sum} ${list}`,
    ...(home.expression === undefined ? {} : { evaluateName: home.expression }),
    children: async (start = 0, count) =>
      cpus
        .slice(start, count === undefined ? undefined : start + count)
        .map((cpu) => rootNode(homeOf(cpu), `cpu ${cpu}`, sliceOf(map, bytes, cpu))),
    memory: home.read,
  };
}

function strideOf({ valueSize }: LoadedMap): number {
  return Math.ceil(valueSize / 8) * 8;
}

function sliceOf(map: LoadedMap, whole: Uint8Array, cpu: number): Uint8Array {
  const from = cpu * strideOf(map);
  return whole.subarray(from, from + map.valueSize);
}

/** Where one CPU's value of a per-CPU map's entry lives; an entry is written with the values of all CPUs. */
export function cpuHome(home: Home, map: LoadedMap, cpu: number): Home {
  const { expression: _, write, ...rest } = home;
  return {
    ...rest,
    path: `${home.path}/cpu${cpu}`,
    ...(home.expression === undefined ? {} : { expression: `${home.expression}.cpu${cpu}` }),
    read: async () => {
      const whole = await home.read();
      return whole && sliceOf(map, whole, cpu);
    },
    ...(write
      ? {
          write: async (part: Uint8Array) => {
            const whole = await home.read();
            if (!whole) throw cannotSet(`cpu ${cpu} cannot be set: its map entry no longer exists.`);
            const changed = whole.slice();
            changed.set(part, cpu * strideOf(map));
            await write(changed);
          },
        }
      : {}),
  };
}

function innerMapRow(context: VariableContext, home: Home, name: string, id: number): VariableNode {
  return {
    path: home.path,
    name,
    value: `map with id ${id}`,
    readOnly: home.readOnly ?? '',
    children: async () => [await innerMapNode(context, id, `${home.path}/map${id}`)],
  };
}

async function programRow(
  context: VariableContext,
  home: Home,
  name: string,
  id: number,
): Promise<VariableNode> {
  const program = await context.programName(id);
  return {
    path: home.path,
    name,
    value: `program ${program ?? 'of no name'} with id ${id}`,
    readOnly: home.readOnly ?? '',
  };
}

/** `struct bpf_devmap_val` and `struct bpf_cpumap_val`: two u32, of which the second came with 5.8 and 5.9. */
function fieldsRow(home: Home, name: string, bytes: Uint8Array, names: string[]): VariableNode {
  const fields = names
    .slice(0, Math.floor(bytes.length / 4))
    .map((field, i) => ({ field, number: littleEndian(bytes.subarray(i * 4, i * 4 + 4)) }));
  return {
    ...rootNode(home, name, bytes),
    value: `{${fields.map(({ field, number }) => `${field} = ${number}`).join(', ')}}`,
  };
}
