/** Comparisons: of numbers and pointers as in C, and of text and addresses, which C compares by calling functions. */
import type { Evaluator } from './evaluate';
import { compare, FALSE, TRUE } from './integers';
import type { Integer } from './integers';
import { knownBytes, promoted, Refused, scalarOf, typedValue } from './operands';
import type { Operand } from './operands';
import type { ComparisonOperator, ExpressionNode } from './syntax';

export function compareAs(
  evaluator: Evaluator,
  operator: ComparisonOperator,
  left: ExpressionNode,
  right: ExpressionNode,
): Integer {
  const operands = [evaluator.operand(left), evaluator.operand(right)] as const;
  const equal = isText(operands[0])
    ? equalsText(evaluator, operands[1], right, operands[0].bytes)
    : isText(operands[1])
      ? equalsText(evaluator, operands[0], left, operands[1].bytes)
      : equalAddresses(evaluator, operands, left, right);
  if (equal === undefined) {
    const numbers = [left, right].map((node, side) =>
      node.kind === 'name'
        ? evaluator.scalar(node)
        : evaluator.scalarOfOperand(operands[side] as Operand, node),
    );
    return compare(operator, promoted(numbers[0]!), promoted(numbers[1]!));
  }
  if (operator !== '==' && operator !== '!=')
    throw new Refused(`Text and addresses are compared with == and !=, not with ${operator}.`);
  return equal === (operator === '==') ? TRUE : FALSE;
}

function isText(operand: Operand): operand is Extract<Operand, { kind: 'text' }> {
  return operand.kind === 'text';
}

/** An array of characters, or those that a pointer leads to, up to the first NUL. */
function equalsText(
  { scope }: Evaluator,
  operand: Operand,
  node: ExpressionNode,
  expected: Uint8Array,
): boolean {
  if (isText(operand)) return Buffer.compare(operand.bytes, expected) === 0;
  const typed = typedValue(scope, operand);
  const array = typed && scope.types.resolve(typed.value.typeId);
  if (typed && array?.kind === 'array' && scope.types.sizeOf(array.element) === 1) {
    const { value, known } = typed;
    const bytes = value.source.bytes.subarray(value.offset, value.offset + value.size);
    return matches(bytes, known.subarray(value.offset, value.offset + value.size), expected, node);
  }
  const pointer = scalarOf(scope, operand, node);
  if (pointer.kind !== 'pointer' || scope.types.sizeOf(pointer.target) !== 1)
    throw new Refused(
      `\`${node.text}\` is no text.`,
      'An array of char, or a pointer to char, is compared with "…".',
    );
  const { bytes, known } = scope.memory(pointer.address, expected.length + 1);
  return matches(bytes, known, expected, node);
}

/** Unknown bytes matter only where those before them are the same. */
function matches(
  bytes: Uint8Array,
  known: Uint8Array,
  expected: Uint8Array,
  { text }: ExpressionNode,
): boolean {
  for (let at = 0; at <= expected.length; at++) {
    // An array that is full needs no NUL.
    if (at === bytes.length) return at === expected.length;
    if (!known[at])
      throw new Refused({
        code: 'expression/not-known',
        message: `\`${text}\` is known only up to its character ${at} here.`,
        hint: 'Go on to a step behind the line that reads it.',
      });
    if (bytes[at] !== (expected[at] ?? 0)) return false;
  }
  return true;
}

/** Whether two values have the same bytes, if one of them was written as `mac("…")` or `ipv6("…")`. */
function equalAddresses(
  { scope }: Evaluator,
  operands: readonly [Operand, Operand],
  left: ExpressionNode,
  right: ExpressionNode,
): boolean | undefined {
  const isLong = (operand: Operand) =>
    operand.kind === 'value' && operand.typed.isAddress === true && operand.typed.value.size > 4;
  if (!operands.some(isLong)) return undefined;
  const [a, b] = operands.map((operand) => typedValue(scope, operand));
  if (!a || !b) return undefined;
  if (a.value.size !== b.value.size)
    throw new Refused(
      `\`${left.text}\` has ${a.value.size} bytes and \`${right.text}\` ${b.value.size}.`,
      'Compare an address with an array or structure of its size.',
    );
  return Buffer.compare(knownBytes(a, left.text), knownBytes(b, right.text)) === 0;
}
