/** An unsigned type for a variable that is meant to count or index. */
import { walk, type SyntaxNode } from '../../toolchain/c/tree';
import {
  localVariables,
  signOf,
  usesOf,
  variablesAt,
  type FunctionCode,
  type Variable,
} from './code/function';
import { statementOf } from './code/place';
import type { Candidate, Situation } from './fix';

const UNSIGNED: Record<string, string> = {
  int: '__u32',
  long: '__u64',
  'long int': '__u64',
  'long long': '__u64',
  short: '__u16',
  signed: '__u32',
  __s64: '__u64',
  __s32: '__u32',
  __s16: '__u16',
  s64: 'u64',
  s32: 'u32',
  s16: 'u16',
  int64_t: 'uint64_t',
  int32_t: 'uint32_t',
  int16_t: 'uint16_t',
  ssize_t: 'size_t',
};

export function makeUnsigned({ code, node }: Situation): Candidate[] {
  const statement = statementOf(node);
  if (!statement) return [];
  const scope = variablesAt(code, node);
  const named = new Set(
    [...walk(statement)].filter((one) => one.type === 'identifier').map(({ text }) => text),
  );
  return localVariables(code).flatMap((variable): Candidate[] => {
    const type = variable.declaration.fields.type;
    const better = type && UNSIGNED[type.text.replace(/\s+/g, ' ')];
    if (!better || !named.has(variable.name) || scope.get(variable.name)?.nameNode !== variable.nameNode)
      return [];
    if (signOf(variable) !== 'signed' || mayBeNegative(code, variable)) return [];
    // The type stands before all variables of the declaration.
    if (
      variable.declaration.children.filter(
        (child) => /declarator|identifier/.test(child.type) && child !== type,
      ).length > 1
    )
      return [];
    const edits = [{ start: type.start, end: type.end, text: better }];
    return [{ title: `Declare \`${variable.name}\` as unsigned: \`${better}\``, edits }];
  });
}

/** Whether the function tells negative values from others: then they mean something to it. */
function mayBeNegative(code: FunctionCode, variable: Variable): boolean {
  if (variable.value && isNegativeOrResult(variable.value)) return true;
  return usesOf(code, variable).some((use) => {
    const outer = use.parent;
    if (outer?.type === 'return_statement') return true;
    if (outer?.type === 'update_expression') return outer.text.includes('--');
    if (outer?.type === 'unary_expression') return outer.operator === '-';
    if (outer?.type === 'assignment_expression' && outer.fields.left === use) {
      return (
        outer.operator === '-=' ||
        (outer.fields.right !== undefined && isNegativeOrResult(outer.fields.right))
      );
    }
    if (outer?.type !== 'binary_expression') return false;
    const other = outer.fields.left === use ? outer.fields.right : outer.fields.left;
    const isComparison = /^(?:[<>]=?|[=!]=)$/.test(outer.operator ?? '');
    return (
      isComparison &&
      other !== undefined &&
      /^(?:0|-.*|\(-.*)$/.test(other.text) &&
      outer.operator !== '!=' &&
      outer.operator !== '=='
    );
  });
}

/** A negative number, or the result of a call, whose negative values are errors. */
function isNegativeOrResult(value: SyntaxNode): boolean {
  return value.text.startsWith('-') || [...walk(value)].some((one) => one.type === 'call_expression');
}
