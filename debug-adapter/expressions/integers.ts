/**
 * Integers of C as BPF's compiler has them, in 32 and 64 bits: promotions, the conversions of two operands to one type,
 * and what each operator makes of them (C11 6.3.1 and 6.5). Signed overflow wraps, as the machine's does.
 */
import type { ArithmeticOperator, ComparisonOperator } from './syntax';

/** `value` is within the range that `size` bytes, signed or not, have. */
export interface Integer {
  value: bigint;
  size: 4 | 8;
  signed: boolean;
}

export const TRUE: Integer = { value: 1n, size: 4, signed: true };
export const FALSE: Integer = { value: 0n, size: 4, signed: true };

/** Bits taken as a number of a type: how every conversion between integers ends. */
export function wrap(value: bigint, bits: number, signed: boolean): bigint {
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

export function convertTo(value: bigint, size: 4 | 8, signed: boolean): Integer {
  return { value: wrap(value, size * 8, signed), size, signed };
}

/**
 * The integer promotions: what an int can hold becomes an int.
 * @param bits of the type, or of the bit-field.
 */
export function promote(value: bigint, bits: number, signed: boolean): Integer {
  if (bits < 32) return { value, size: 4, signed: true };
  return { value, size: bits === 32 ? 4 : 8, signed };
}

/** The usual arithmetic conversions: the wider type wins, and of two as wide the unsigned one. */
export function unify(left: Integer, right: Integer): [Integer, Integer] {
  const size = Math.max(left.size, right.size) as 4 | 8;
  const signed = [left, right].every((one) => one.size < size || one.signed);
  return [convertTo(left.value, size, signed), convertTo(right.value, size, signed)];
}

/** The result, or in words why C gives it none. */
export function arithmetic(
  operator: ArithmeticOperator,
  left: Integer,
  right: Integer,
): Integer | { undefined: string } {
  if (operator === '<<' || operator === '>>') return shift(operator, left, right);
  const [a, b] = unify(left, right);
  const result = (value: bigint) => convertTo(value, a.size, a.signed);
  switch (operator) {
    case '+':
      return result(a.value + b.value);
    case '-':
      return result(a.value - b.value);
    case '*':
      return result(a.value * b.value);
    case '&':
      return result(a.value & b.value);
    case '|':
      return result(a.value | b.value);
    case '^':
      return result(a.value ^ b.value);
    default:
      if (b.value === 0n) return { undefined: 'it divides by zero' };
      // Both of BigInt's round towards zero, as C's do.
      return result(operator === '/' ? a.value / b.value : a.value % b.value);
  }
}

/** The result has the promoted type of the left operand. */
function shift(operator: '<<' | '>>', left: Integer, right: Integer): Integer | { undefined: string } {
  const bits = left.size * 8;
  if (right.value < 0n || right.value >= BigInt(bits))
    return { undefined: `it shifts ${bits} bits by ${right.value}` };
  const shifted = operator === '<<' ? left.value << right.value : left.value >> right.value;
  return convertTo(shifted, left.size, left.signed);
}

export function compare(operator: ComparisonOperator, left: Integer, right: Integer): Integer {
  const [{ value: a }, { value: b }] = unify(left, right);
  const holds = {
    '==': a === b,
    '!=': a !== b,
    '<': a < b,
    '>': a > b,
    '<=': a <= b,
    '>=': a >= b,
  }[operator];
  return holds ? TRUE : FALSE;
}
