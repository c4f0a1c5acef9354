/**
 * Which struct each ring buffer and perf event array carries, read off the source: such maps have no value type, and
 * a type that only local variables use is in no BTF. Layouts are the compiler's own: the source is compiled once more
 * with a declaration that keeps the struct.
 */
import type { Btf } from '../../toolchain/btf/btf';
import { readBpfObject } from '../../toolchain/elf/object';

/** Map name → C types that the source writes into it, e.g. `struct event`. */
export function recordTypesInSource(text: string): Map<string, Set<string>> {
  const source = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, ' ');
  const found = new Map<string, Set<string>>();
  for (const call of source.matchAll(/\bbpf_(ringbuf_reserve|ringbuf_output|perf_event_output)\s*\(/g)) {
    const given = argumentsAt(source, call.index + call[0].length);
    const { map: mapAt, size: sizeAt } = POSITIONS[call[1]!]!;
    const map = /^&\s*(\w+)$/.exec(given[mapAt] ?? '')?.[1];
    if (map === undefined) continue;
    const operand = /^sizeof\s*\(([^()]*)\)$/.exec(given[sizeAt] ?? '')?.[1]?.trim();
    const type = operand === undefined ? undefined : typeOfOperand(source, operand);
    // A write that is not understood makes every record of its map uncertain.
    const types = found.get(map) ?? new Set<string>();
    found.set(map, types.add(type ?? ''));
  }
  for (const [map, types] of found) if (types.has('')) found.delete(map);
  return found;
}

/** Which arguments of the helpers are the map and the record's size. */
const POSITIONS: Record<string, { map: number; size: number }> = {
  ringbuf_reserve: { map: 0, size: 1 },
  ringbuf_output: { map: 0, size: 2 },
  perf_event_output: { map: 1, size: 4 },
};

/** Arguments of the call whose parenthesis opened just before `start`. */
function argumentsAt(source: string, start: number): string[] {
  const given: string[] = [''];
  let depth = 0;
  for (let at = start; at < source.length; at++) {
    const character = source[at]!;
    if (character === ')' && depth === 0) break;
    if ('([{'.includes(character)) depth++;
    if (')]}'.includes(character)) depth--;
    if (character === ',' && depth === 0) given.push('');
    else given[given.length - 1] += character;
  }
  return given.map((text) => text.trim());
}

/** `struct event` and `event_t` stand for themselves, `*e` and `e` for what every declaration of `e` says. */
function typeOfOperand(source: string, operand: string): string | undefined {
  if (/^(struct|union)\s+\w+$/.test(operand)) return operand.replace(/\s+/, ' ');
  const name = /^\*?\s*(\w+)$/.exec(operand)?.[1];
  if (name === undefined) return undefined;
  const declared = new Set<string>();
  for (const [, keyword, type, star] of source.matchAll(
    new RegExp(`\\b(?:(struct|union)\\s+)?(\\w+)\\s*(\\*)?\\s*\\b${name}\\b\\s*(?=[=;,)])`, 'g'),
  )) {
    const isDereferenced = operand.startsWith('*');
    if (/^(return|sizeof|goto|else)$/.test(type!) || (star !== undefined) !== isDereferenced) continue;
    declared.add(keyword === undefined ? type! : `${keyword} ${type}`);
  }
  for (const [, keyword, type] of source.matchAll(declaratorLists(name)))
    declared.add(keyword === undefined ? type! : `${keyword} ${type}`);
  if (declared.size === 1) return [...declared][0];
  return declared.size === 0 && /_t$/.test(name) ? name : undefined;
}

/** `struct event first = {}, *e;`: the name stands behind others of its declaration. */
function declaratorLists(name: string): RegExp {
  return new RegExp(
    `\\b(struct|union)\\s+(\\w+)\\s+[^;(){}]*(?:\\{[^}]*\\})?[^;(){}]*,\\s*\\*?\\s*${name}\\b\\s*[=;,]`,
    'g',
  );
}

/**
 * The types by name from an object that was compiled from `text` with {@link keepTypes} behind it. Types that the
 * compiler did not keep, or that are no structs, are left out.
 */
export function keptTypes(
  object: Uint8Array,
  names: Iterable<string>,
): Map<string, { btf: Btf; type: number }> {
  const types = new Map<string, { btf: Btf; type: number }>();
  const read = readBpfObject(object);
  const btf = read.ok ? read.value.btf : undefined;
  if (!btf) return types;
  for (const [i, name] of [...names].entries()) {
    const variable = btf.find('var', `${KEPT}${i}`);
    const pointer = variable && btf.resolve(variable.type);
    if (pointer?.kind === 'ptr' && btf.resolve(pointer.type).kind === 'struct')
      types.set(name, { btf, type: pointer.type });
  }
  return types;
}

const KEPT = '__bpf_studio_record_';

/** Source text whose object's BTF holds the named types. */
export function keepTypes(text: string, names: Iterable<string>): string {
  return [text, ...[...names].map((name, i) => `${name} *${KEPT}${i} __attribute__((unused));`), ''].join(
    '\n',
  );
}
