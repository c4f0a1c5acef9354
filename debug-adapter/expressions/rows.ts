/** The row of an evaluated expression: one that can be opened, and set where the value is kept by the kernel. */
import { valueAt } from '../../toolchain/btf/value';
import type { KnownMemory } from '../stepping/known-memory';
import { shownNode, type Tree } from '../stepping/shown';
import type { VariableContext } from '../variables/context';
import { cpuHome, entryHome, entryNode } from '../variables/entry';
import { sectionHome } from '../variables/globals';
import { mapNode } from '../variables/maps';
import type { VariableNode } from '../variables/node';
import { rootValue, valueNode, type Home } from '../variables/values';
import { knownText } from './known-text';
import { isMap } from './scope';
import type { Evaluated, Scope, TypedValue } from './scope';
import type { Expression } from './syntax';

/** @param memory where pointers are followed to; undefined without a moment. */
export async function rowOf(
  context: VariableContext,
  scope: Scope,
  expression: Expression,
  evaluated: Evaluated,
  memory: KnownMemory | undefined,
): Promise<VariableNode> {
  if (isMap(evaluated)) return mapNode(context, evaluated.map);
  const { entry, value } = evaluated;
  if (entry?.map.map.type === 'bloom_filter') {
    const said = value.source.bytes[0] ? 'perhaps in the filter' : 'not in the filter';
    return { path: `expression/${expression.text}`, name: expression.text, value: said };
  }
  const home = knownText(evaluated) === undefined ? homeOf(context, evaluated) : undefined;
  if (entry && home && entry.cpu === undefined && value.path === '')
    return entryNode(context, entry.map, { key: entry.key, value: value.source.bytes });
  const kept = home && valueAt(rootValue(home, '', value.source.bytes), value.path);
  if (home && kept) {
    const row = valueNode(home, kept);
    // A section's variables have no expression but their names.
    return evaluated.section
      ? { ...row, evaluateName: value.path.replace(/^\./, ''), name: expression.text }
      : row;
  }
  return shownRow(scope, expression, evaluated, memory);
}

/** Where the kernel keeps the value, if it does. */
function homeOf(context: VariableContext, { entry, section }: TypedValue): Home | undefined {
  if (section) return sectionHome(context, section);
  if (!entry) return undefined;
  const home = entryHome(context, entry.map, entry.key);
  return entry.cpu === undefined ? home : cpuHome(home, entry.map.map, entry.cpu);
}

function shownRow(
  scope: Scope,
  { text }: Expression,
  typed: TypedValue,
  memory: KnownMemory | undefined,
): VariableNode {
  const { value, known, address } = typed;
  const { offset, size, bitfield, hint } = value;
  const isPostfix = /^[\w$.[\]]+(->[\w$.[\]]+)*$/.test(text);
  const tree: Tree = {
    path: `expression/${text}`,
    types: value.typeId === 0 ? undefined : scope.types,
    type: value.typeId,
    expression: isPostfix ? text : `(${text})`,
    bytes: value.source.bytes.subarray(offset, offset + size),
    known: known.subarray(offset, offset + size),
    ...(memory ? { memory } : {}),
    ...(address === undefined ? {} : { address: address + BigInt(offset) }),
    ...(bitfield ? { bitfield: { ...bitfield, bitOffset: bitfield.bitOffset - offset * 8 } } : {}),
  };
  // The nearest name tells an address from a number.
  return { ...shownNode(tree, hint || text), name: text };
}
