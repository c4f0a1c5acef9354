/** Arithmetic of pointers: in steps of what they point to. */
import { convertTo } from './integers';
import { integerScalar, promoted, Refused } from './operands';
import type { Scalar } from './operands';
import type { ArithmeticOperator } from './syntax';
import type { TypeNumber, TypeSpace } from './types';

/** Sums and differences of pointers; other operators take none. */
export function computePointer(
  types: TypeSpace,
  text: string,
  operator: ArithmeticOperator,
  left: Scalar,
  right: Scalar,
): Scalar {
  if (left.kind === 'pointer' && right.kind === 'pointer' && operator === '-') {
    const distance = BigInt.asIntN(64, left.address - right.address) / step(types, left.target);
    return integerScalar(types, convertTo(distance, 8, true));
  }
  const [pointer, offset] = left.kind === 'pointer' ? [left, right] : [right, left];
  const isSum = operator === '+' || (operator === '-' && left.kind === 'pointer');
  if (pointer.kind !== 'pointer' || offset.kind === 'pointer' || !isSum)
    throw new Refused(
      `\`${text}\`: C has no ${operator} for a pointer there.`,
      'Cast it first: (__u64)pointer.',
    );
  const bytes = promoted(offset).value * step(types, pointer.target);
  const address = operator === '+' ? pointer.address + bytes : pointer.address - bytes;
  return { ...pointer, address: BigInt.asUintN(64, address) };
}

/** Bytes that a pointer moves by; as GNU C has it, 1 for void. */
function step(types: TypeSpace, target: TypeNumber): bigint {
  return BigInt(types.sizeOf(types.complete(target)) || 1);
}
