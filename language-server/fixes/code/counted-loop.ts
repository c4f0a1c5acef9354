/** Loops that count from one number to another in steps of one, and leave both alone. */
import type { SourceFile } from '../../../toolchain/c/source';
import { contains, walk, type SyntaxNode } from '../../../toolchain/c/tree';
import {
  assignmentsTo,
  declaredBy,
  isPure,
  signOf,
  usesOf,
  variablesAt,
  type FunctionCode,
  type Variable,
} from './function';

export interface CountedLoop {
  variable: Variable;
  /** Whether the loop declares the variable. */
  isOwn: boolean;
  from: SyntaxNode;
  /** One more than the last value. */
  end: SyntaxNode;
  body: SyntaxNode;
}

/** `for (i = from; i < end; i++) body`, when `i` changes nowhere else, `end` stays as it is, and `i` ends with it. */
export function countedLoop(
  source: SourceFile,
  code: FunctionCode,
  loop: SyntaxNode,
): CountedLoop | undefined {
  const { initializer, condition, update, body } = loop.fields;
  if (loop.type !== 'for_statement' || !initializer || !condition || !update || !body) return undefined;
  const first = startOf(code, loop, initializer);
  if (!first) return undefined;
  const { variable, from, isOwn } = first;
  const { name } = variable;
  const isStep = new RegExp(`^(?:\\+\\+${name}|${name}\\+\\+|${name} \\+= 1)$`).test(update.text);
  const end =
    condition.type === 'binary_expression' &&
    condition.operator === '<' &&
    condition.fields.left?.text === name
      ? condition.fields.right
      : undefined;
  if (!isStep || !end || !isPure(from) || signOf(variable) === undefined) return undefined;
  if (assignmentsTo(code, variable).some((one) => contains(body, one))) return undefined;
  if (!isOwn && usesOf(code, variable).some((use) => use.start >= loop.end)) return undefined;
  return isFixed(source, code, end, loop) ? { variable, isOwn, from, end, body } : undefined;
}

/** The variable a loop counts with, and where it begins. */
function startOf(
  code: FunctionCode,
  loop: SyntaxNode,
  initializer: SyntaxNode,
): Pick<CountedLoop, 'variable' | 'from' | 'isOwn'> | undefined {
  if (initializer.type === 'declaration') {
    const [variable, ...others] = declaredBy(initializer);
    return variable?.value && others.length === 0
      ? { variable, from: variable.value, isOwn: true }
      : undefined;
  }
  const { left, right } = initializer.fields;
  const variable = left && variablesAt(code, loop).get(left.text);
  if (initializer.type !== 'assignment_expression' || initializer.operator !== '=' || !variable || !right)
    return undefined;
  return { variable, from: right, isOwn: false };
}

const PLAIN =
  /^(?:identifier|field_identifier|number_literal|binary_expression|parenthesized_expression|cast_expression|type_descriptor|primitive_type|type_identifier|abstract_pointer_declarator)$/;

/** Whether an expression has the same value in every round: constants, and what the loop cannot change. */
function isFixed(source: SourceFile, code: FunctionCode, end: SyntaxNode, loop: SyntaxNode): boolean {
  const scope = variablesAt(code, loop);
  return [...walk(end)].every((one) => {
    if (one.type === 'sizeof_expression' || isInSizeof(one, end)) return true;
    if (one.type === 'field_expression') return isMemberFixed(one, loop);
    if (one.type !== 'identifier') return PLAIN.test(one.type);
    const local = scope.get(one.text);
    if (!local) return source.variables.every(({ name }) => name !== one.text);
    return (
      !isAddressTaken(code, local) && !assignmentsTo(code, local).some((changed) => contains(loop, changed))
    );
  });
}

/** Whether a loop neither writes to a member of this name nor hands the object on to a call. */
function isMemberFixed(member: SyntaxNode, loop: SyntaxNode): boolean {
  const name = member.fields.field?.text;
  let object: SyntaxNode | undefined = member;
  while (object?.type === 'field_expression') object = object.fields.argument;
  if (object?.type !== 'identifier') return false;
  const { text } = object;
  return [...walk(loop)].every((one) => {
    if (one.type === 'call_expression')
      return !new RegExp(`\\b${text}\\b`).test(one.fields.arguments?.text ?? '');
    if (one.type !== 'field_expression' || one.fields.field?.text !== name) return true;
    const { parent } = one;
    const isWritten = parent?.type === 'assignment_expression' && parent.fields.left === one;
    return !isWritten && parent?.type !== 'update_expression' && parent?.type !== 'pointer_expression';
  });
}

function isInSizeof(node: SyntaxNode, outermost: SyntaxNode): boolean {
  for (let at = node; at !== outermost && at.parent; at = at.parent) {
    if (at.parent.type === 'sizeof_expression') return true;
  }
  return false;
}

export function isAddressTaken(code: FunctionCode, variable: Variable): boolean {
  return usesOf(code, variable).some(
    ({ parent }) => parent?.type === 'pointer_expression' && parent.operator === '&',
  );
}
