/** The Maps scope: every map of the object, each opening into its entries. */
import { KernelError } from '../../kernel/client/errors';
import type { LoadedMap } from '../../kernel/protocol';
import { typeName } from '../../toolchain/btf/spell';
import type { Btf } from '../../toolchain/btf/btf';
import { describeKernelError } from '../errors';
import type { VariableContext } from './context';
import type { Entry } from './entries';
import { entryNode } from './entry';
import { shapeOf, whyHidden, whyUnreadable } from './map-kinds';
import { note, PAGE, rangeNodes, type VariableNode } from './node';
import { rootNode } from './values';

/** A map with the types of its keys and values. */
export interface TypedMap {
  map: LoadedMap;
  btf: Btf | undefined;
  keyType: number;
  valueType: number;
  path: string;
  /** Expression of the map; inner maps have none. */
  expression?: string;
}

export function userMaps(context: VariableContext): LoadedMap[] {
  return context.loaded.maps.filter((map) => !map.globals);
}

export function mapNodes(context: VariableContext): Promise<VariableNode[]> {
  return Promise.all(userMaps(context).map((map) => mapNode(context, typedMap(context, map))));
}

/**
 * Types come from the definition in the object: to the kernel libbpf does not pass on those of maps that it would
 * refuse with types, such as maps of maps.
 */
export function typedMap(context: VariableContext, map: LoadedMap): TypedMap {
  return mapTypes(map, context.loaded.file.object);
}

/** @param object that defines the map. */
export function mapTypes(
  map: LoadedMap,
  object: {
    btf?: Btf | undefined;
    maps: readonly { name: string; keyTypeId: number; valueTypeId: number }[];
  },
): TypedMap {
  const defined = object.maps.find((candidate) => candidate.name === map.name);
  return {
    map,
    btf: object.btf,
    keyType: defined?.keyTypeId || map.keyTypeId,
    valueType: defined?.valueTypeId || map.valueTypeId,
    path: `maps/${map.name}`,
    expression: map.name,
  };
}

/** A map that is another one's value, opened by its id. */
export async function innerMapNode(
  context: VariableContext,
  id: number,
  path: string,
): Promise<VariableNode> {
  const map = await context.innerMap(id);
  const btf = await context.btfOf(map);
  const node = await mapNode(context, { map, btf, keyType: map.keyTypeId, valueType: map.valueTypeId, path });
  return { ...node, name: map.name === '' ? `map ${id}` : map.name };
}

export async function mapNode(context: VariableContext, typed: TypedMap): Promise<VariableNode> {
  const { map, path } = typed;
  const base = {
    path,
    name: map.name,
    type: describeType(typed),
    ...(typed.expression === undefined ? {} : { evaluateName: typed.expression }),
  };
  const unlisted = whyHidden(map) ?? whyUnreadable(map);
  if (unlisted !== undefined)
    return {
      ...base,
      value: `${map.type}: ${unlisted}`,
      children: async () => [note(path, 'not listed', unlisted)],
    };
  try {
    switch (shapeOf(map)) {
      case 'array':
        return arrayNode(context, typed, base);
      case 'queue':
        return await queueNode(context, typed, base);
      default:
        return await keyedNode(context, typed, base);
    }
  } catch (error) {
    // One map that cannot be read must not hide the others.
    if (!(error instanceof KernelError) || error.code === 'hostGone') throw error;
    return { ...base, value: `${map.type}: ${describeKernelError(error)}` };
  }
}

type Base = Pick<VariableNode, 'path' | 'name' | 'type' | 'evaluateName'>;

function arrayNode(context: VariableContext, typed: TypedMap, base: Base): VariableNode {
  const { map } = typed;
  const page = async (start: number, count: number) => {
    const entries = await context.index(map).page(start, count);
    return Promise.all(entries.map((entry) => entryNode(context, typed, entry)));
  };
  return {
    ...base,
    value: `${map.type}, ${plural(map.maxEntries, 'element')}`,
    ...(map.maxEntries > PAGE ? { indexed: map.maxEntries } : {}),
    children: (start, count) => pageOrRanges(base.path, map.maxEntries, page, start, count),
  };
}

async function keyedNode(context: VariableContext, typed: TypedMap, base: Base): Promise<VariableNode> {
  const { map } = typed;
  const index = context.index(map);
  const count = await index.glance();
  const shown =
    count === undefined
      ? `more than ${(index.length - 1).toLocaleString('en')} entries`
      : plural(count, 'entry');
  const page = async (start: number, many: number) => {
    const entries: Entry[] = await index.page(start, many);
    return Promise.all(entries.map((entry) => entryNode(context, typed, entry)));
  };
  return {
    ...base,
    value: `${map.type}, ${shown} of at most ${map.maxEntries.toLocaleString('en')}${index.unreadable === undefined ? '' : `; ${index.unreadable}`}`,
    ...(count !== undefined && count > PAGE ? { indexed: count } : {}),
    children: async (start, many) => {
      if (start !== undefined && many !== undefined) return page(start, many);
      const { count: total, complete } = await index.all();
      const rows = await pageOrRanges(base.path, total, page, start, many);
      if (complete) return rows;
      const more = `only the first ${total.toLocaleString('en')} entries are listed; evaluate ${map.name}[KEY] for others`;
      return [...rows, note(base.path, '…', more)];
    },
  };
}

async function queueNode(context: VariableContext, typed: TypedMap, base: Base): Promise<VariableNode> {
  const { map } = typed;
  const read = () => context.head(map);
  const head = await read();
  const rest = 'only the element that a pop would return can be seen; looking further would take it out';
  const home = {
    path: `${base.path}/head`,
    btf: typed.btf,
    type: typed.valueType,
    read,
    readOnly: 'elements of a queue or stack are only pushed and popped',
  };
  return {
    ...base,
    value: `${map.type}, ${head ? 'not empty' : 'empty'}, at most ${plural(map.maxEntries, 'element')}`,
    children: async () => {
      const now = await read();
      return now
        ? [rootNode(home, 'head', now), note(base.path, 'rest', rest)]
        : [note(base.path, 'head', 'empty')];
    },
  };
}

function pageOrRanges(
  path: string,
  total: number,
  page: (start: number, count: number) => Promise<VariableNode[]>,
  start: number | undefined,
  count: number | undefined,
): Promise<VariableNode[]> {
  if (start === undefined && count === undefined && total > PAGE)
    return Promise.resolve(rangeNodes(path, total, page));
  const from = start ?? 0;
  return page(from, Math.min(count ?? total, Math.max(0, total - from)));
}

/** `hash<__u32, struct stats>`, as a container of its type would be written. */
function describeType({ map, btf, keyType, valueType }: TypedMap): string {
  const name = (type: number, size: number) => (btf && type !== 0 ? typeName(btf, type) : `${size} bytes`);
  if (map.keySize === 0 && map.valueSize === 0) return map.type;
  if (map.keySize === 0) return `${map.type}<${name(valueType, map.valueSize)}>`;
  return `${map.type}<${name(keyType, map.keySize)}, ${name(valueType, map.valueSize)}>`;
}

function plural(count: number, noun: string): string {
  const many = noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${count.toLocaleString('en')} ${count === 1 ? noun : many}`;
}
