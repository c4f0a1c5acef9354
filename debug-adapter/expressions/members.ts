/** Members and indexes: of values, of what lies in memory, and of what pointers lead to. */
import { childrenOf, valueAt } from '../../toolchain/btf/value';
import { textValue, type Evaluator } from './evaluate';
import { cpuOperand, entryOperand } from './map-entry';
import { declaredType, findMember, promoted, Refused, typedValue, valueOf } from './operands';
import type { Operand, Scalar } from './operands';
import type { ExpressionNode } from './syntax';
import type { TypeNumber } from './types';

/** `.` and `->` do the same, each for what it is not meant for too: no C is misread by that. */
export function memberOperand(
  evaluator: Evaluator,
  { object, name, text }: Extract<ExpressionNode, { kind: 'member' }>,
): Operand {
  let operand = evaluator.operand(object);
  if (operand.kind === 'map')
    throw new Refused(`${object.text} is a map; write ${object.text}[KEY] for an entry.`);
  const isPointer = evaluator.scope.types.resolve(declaredType(operand)).kind === 'ptr';
  if (isPointer || operand.kind === 'pointer')
    operand = evaluator.dereference(evaluator.scalarOfOperand(operand, object), object);
  if (operand.kind !== 'place') {
    const typed = typedValue(evaluator.scope, operand) ?? textValue(evaluator.scope, operand);
    const cpu = /^cpu(\d+)$/.exec(name);
    const own = cpu && cpuOperand(evaluator, typed, Number(cpu[1]), text);
    if (own) return own;
    const kind = evaluator.scope.types.resolve(typed.value.typeId).kind;
    const found = kind === 'struct' || kind === 'union' ? valueAt(typed.value, `.${name}`) : undefined;
    if (!found) throw noMember(evaluator, object, typed.value.typeId, name);
    return { kind: 'value', typed: { ...typed, value: found } };
  }
  const structure = evaluator.scope.types.complete(operand.type);
  const found = findMember(evaluator.scope.types, structure, name);
  if (!found) throw noMember(evaluator, object, structure, name);
  const address = BigInt.asUintN(64, operand.address + BigInt(found.bitOffset >> 3));
  const bitfield = found.bitSize ? { bitfield: { bitOffset: found.bitOffset & 7, bits: found.bitSize } } : {};
  return { kind: 'place', address, type: found.type, name, ...bitfield };
}

function noMember(
  evaluator: Evaluator,
  { text }: ExpressionNode,
  structure: TypeNumber,
  name: string,
): Refused {
  const type = evaluator.scope.types.resolve(structure);
  const members = type.kind === 'struct' || type.kind === 'union' ? type.members : [];
  const names = members.map((member) => member.name).filter((one) => one !== '');
  const hint =
    names.length > 0
      ? `It has ${names.slice(0, 16).join(', ')}${names.length > 16 ? ', …' : ''}.`
      : 'It is no structure.';
  return new Refused({ code: 'expression/no-member', message: `${text} has no member ${name}.`, hint });
}

export function indexOperand(
  evaluator: Evaluator,
  node: Extract<ExpressionNode, { kind: 'index' }>,
): Operand {
  const { object } = node;
  const operand = evaluator.operand(object);
  if (operand.kind === 'map') return entryOperand(evaluator, operand.map, node.text, node);
  if (!node.index.ok) throw new Refused(node.index.problem);
  const position = evaluator.scalar(node.index.value);
  if (position.kind === 'pointer') throw new Refused(`[${node.key}]: an index is a number.`);
  const at = promoted(position).value;
  const typed = valueOf(evaluator.scope, operand);
  const isArray = typed && evaluator.scope.types.resolve(typed.value.typeId).kind === 'array';
  const inside = isArray && at >= 0n && at < BigInt(typed.value.childCount);
  if (inside) {
    const [element] = childrenOf(typed.value, Number(at), 1);
    if (element) return { kind: 'value', typed: { ...typed, value: element } };
  }
  if (isArray && typed.address === undefined)
    throw new Refused(`${object.text} has no element [${at}]: it has ${typed.value.childCount}.`);
  return evaluator.dereference(elementsOf(evaluator, operand, object), object, at);
}

/** A pointer to the elements of an array or pointer, an array in memory not being read for that. */
function elementsOf(evaluator: Evaluator, operand: Operand, node: ExpressionNode): Scalar {
  if (operand.kind === 'place') {
    const type = evaluator.scope.types.resolve(operand.type);
    if (type.kind === 'array') return { kind: 'pointer', address: operand.address, target: type.element };
  }
  return evaluator.scalarOfOperand(operand, node);
}
