/**
 * Expressions of hover, watch and the console: a map or global variable, then `[key]`, `.member`, `->member` and
 * `[index]` in any order, e.g. `counts[3].packets`, `flows[{saddr = 10.0.0.1}]`, `per_cpu[0].cpu1`.
 */
import { encode } from '../../toolchain/btf/encode';
import { parseIpv4, parseIpv6 } from '../../toolchain/btf/text';
import { parseHex } from '../../toolchain/packet/hex';
import { cannotEvaluate } from '../errors';
import type { VariableContext } from './context';
import { entryNode } from './entry';
import { globalNodes } from './globals';
import { mapNode, typedMap, userMaps, type TypedMap } from './maps';
import type { VariableNode } from './node';
import { valueStride, whyHidden } from './map-kinds';

type Step = { kind: 'member'; name: string } | { kind: 'index'; text: string };

/** @param near variables of the function that is looked at, which come before maps and globals of their name. */
export async function evaluate(
  context: VariableContext,
  expression: string,
  near: readonly VariableNode[] = [],
): Promise<VariableNode> {
  const { root, steps } = parse(expression.trim().replace(/^\((.*)\)$/s, '$1'));
  const local = near.find((node) => (node.evaluateName ?? node.name) === root);
  if (local) return follow(local, steps);
  const map = userMaps(context).find((candidate) => candidate.name === root);
  if (map) {
    const typed = typedMap(context, map);
    const [first, ...rest] = steps;
    if (!first) return mapNode(context, typed);
    if (first.kind !== 'index') throw cannotEvaluate(`${root} is a map; write ${root}[KEY] for an entry.`);
    return follow(await entryOf(context, typed, first.text), rest);
  }
  const globals = await globalNodes(context);
  const variable = globals.find((node) => node.name === root);
  if (!variable) {
    const names = [...userMaps(context).map(({ name }) => name), ...globals.map(({ name }) => name)];
    throw cannotEvaluate(
      `There is no map or global variable "${root}"; there are ${names.join(', ') || 'none'}.`,
    );
  }
  return follow(variable, steps);
}

function parse(expression: string): { root: string; steps: Step[] } {
  const root = /^[$A-Za-z_]\w*/.exec(expression)?.[0];
  if (root === undefined) throw unreadable(expression, 0);
  const steps: Step[] = [];
  let at = root.length;
  while (at < expression.length) {
    const member = /^\s*(?:\.|->)\s*(<\d+>|[A-Za-z_]\w*)/.exec(expression.slice(at));
    const open = /^\s*\[/.exec(expression.slice(at));
    if (member) {
      steps.push({ kind: 'member', name: member[1]! });
      at += member[0].length;
    } else if (open) {
      const start = at + open[0].length;
      const end = closing(expression, start);
      if (end === undefined) throw cannotEvaluate(`"${expression}" lacks a closing bracket.`);
      steps.push({ kind: 'index', text: expression.slice(start, end).trim() });
      at = end + 1;
    } else if (/^\s*$/.test(expression.slice(at))) break;
    else throw unreadable(expression, at);
  }
  return { root, steps };
}

function unreadable(expression: string, at: number) {
  const rest = expression.slice(at, at + 24);
  return cannotEvaluate(
    `"${rest}" cannot be evaluated: write a map or global variable with members and indexes, such as counts[3].packets.`,
  );
}

/** Position of the bracket that closes the one before `start`, quoted text and nested brackets passed over. */
function closing(text: string, start: number): number | undefined {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const character = text[at]!;
    if (character === '"') {
      const quoted = /^"(?:[^"\\]|\\.)*"/s.exec(text.slice(at));
      if (!quoted) return undefined;
      at += quoted[0].length - 1;
    } else if ('[{('.includes(character)) depth++;
    else if ('}])'.includes(character)) {
      if (depth === 0) return character === ']' ? at : undefined;
      depth--;
    }
  }
  return undefined;
}

async function entryOf(context: VariableContext, typed: TypedMap, text: string): Promise<VariableNode> {
  const { map } = typed;
  if (map.type === 'bloom_filter') return membership(context, typed, text);
  const hidden = whyHidden(map);
  if (hidden !== undefined) throw cannotEvaluate(`${map.name}[…] has no value: ${hidden}.`);
  const key = encodeKey(typed, text);
  const { value } = await context.kernel.request('mapLookup', { map: map.handle, key });
  if (!value) throw cannotEvaluate(`${map.name} has no entry ${text}.`);
  return entryNode(context, typed, { key, value: value.subarray(0, valueStride(map, context.possibleCpus)) });
}

/** What a bloom filter says of a value; it errs on the side of having seen it. */
async function membership(context: VariableContext, typed: TypedMap, text: string): Promise<VariableNode> {
  const { map, valueType, path } = typed;
  const value = encodeAs(typed, valueType, map.valueSize, text);
  const answer = await context.kernel.request('mapPeek', { map: map.handle, value });
  const said = answer.value ? 'perhaps in the filter' : 'not in the filter';
  return { path: `${path}/[${text}]`, name: `[${text}]`, value: said };
}

/** The bytes of a key as somebody wrote it: `3`, `"eth0"`, `10.0.0.0/8`, `{a = 1, b = 2}`, `hex(0a00…)`. */
export function encodeKey(typed: TypedMap, text: string): Uint8Array {
  const prefix = typed.map.type === 'lpm_trie' ? prefixKey(text, typed.map.keySize) : undefined;
  return prefix ?? encodeAs(typed, typed.keyType, typed.map.keySize, text);
}

export function encodeAs({ btf, map }: TypedMap, type: number, size: number, text: string): Uint8Array {
  const hex = /^hex\((.*)\)$/s.exec(text);
  if (hex || !btf || type === 0) {
    const parsed = parseHex(hex ? hex[1]! : text);
    if (parsed.ok && parsed.value.length === size) return parsed.value;
    const given = parsed.ok ? `${parsed.value.length} bytes` : parsed.problems[0]!.message;
    throw cannotEvaluate(
      `"${text}" is not a key or value of ${map.name}: write ${size} bytes as hex (${given}).`,
    );
  }
  const encoded = encode(btf, type, text);
  if (encoded.ok) return encoded.value;
  throw cannotEvaluate(
    `"${text}" does not fit ${map.name}: ${encoded.problem.message} ${encoded.problem.hint}`,
  );
}

function prefixKey(text: string, keySize: number): Uint8Array | undefined {
  const match = /^"?([^/"]+)\/(\d+)"?$/.exec(text);
  const address = match && (parseIpv4(match[1]!) ?? parseIpv6(match[1]!));
  if (!match || address?.length !== keySize - 4) return undefined;
  const key = new Uint8Array(keySize);
  new DataView(key.buffer).setUint32(0, Number(match[2]), true);
  key.set(address, 4);
  return key;
}

async function follow(node: VariableNode, steps: Step[]): Promise<VariableNode> {
  let current = node;
  for (const step of steps) {
    const found =
      step.kind === 'member' ? await memberOf(current, step.name) : await elementOf(current, step.text);
    if (!found) {
      const wanted = step.kind === 'member' ? `member ${step.name}` : `element [${step.text}]`;
      throw cannotEvaluate(`${current.evaluateName ?? current.name} has no ${wanted}.`);
    }
    current = found;
  }
  return current;
}

/** Members of unnamed structs and unions are reached without naming those, as in C. */
async function memberOf(node: VariableNode, name: string): Promise<VariableNode | undefined> {
  let children = (await node.children?.()) ?? [];
  // A pointer opens into what it leads to.
  if (children[0]?.name.startsWith('*')) children = (await children[0].children?.()) ?? [];
  const direct = children.find((child) => child.name === name || child.name.replace(' ', '') === name);
  if (direct) return direct;
  for (const child of children.filter(({ name: unnamed }) => unnamed.startsWith('<'))) {
    const found = await memberOf(child, name);
    if (found) return found;
  }
  return undefined;
}

async function elementOf(node: VariableNode, text: string): Promise<VariableNode | undefined> {
  if (!/^\d+$/.test(text)) throw cannotEvaluate(`[${text}]: an index is a number.`);
  const [element] = (await node.children?.(Number(text), 1)) ?? [];
  return element?.name === `[${text}]` ? element : undefined;
}
