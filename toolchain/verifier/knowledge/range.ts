/** What the verifier knows of a number, as a range of a C variable's type. */
import type { Bounds, Tnum } from '../value';

/** All values from `min` to `max` that agree with `bits`. */
export interface Range {
  min: bigint;
  max: bigint;
  /** The variable's bits, of its width. */
  bits: Tnum;
  /** Bits of the variable: 8, 16, 32, 64. */
  width: number;
  isSigned: boolean;
}

/** Least and greatest number of a type. */
export function limitsOf({ width, isSigned }: Pick<Range, 'width' | 'isSigned'>): {
  min: bigint;
  max: bigint;
} {
  const all = 1n << BigInt(width);
  return isSigned ? { min: -all / 2n, max: all / 2n - 1n } : { min: 0n, max: all - 1n };
}

/**
 * The range of a variable that lies in the lower `width` bits of a register. What the signed, the unsigned and the
 * bit-wise knowledge say of it is taken together, as all three are true.
 */
export function rangeOf(bounds: Bounds, width: number, isSigned: boolean): Range {
  const low = (1n << BigInt(width)) - 1n;
  const bits = { value: bounds.bits.value & low, mask: bounds.bits.mask & low };
  const type = limitsOf({ width, isSigned });
  const candidates = [fromBits(bits, width, isSigned)];
  const views: [bigint, bigint][] = [
    [bounds.smin, bounds.smax],
    [bounds.umin, bounds.umax],
  ];
  if (width <= 32) views.push([bounds.smin32, bounds.smax32], [bounds.umin32, bounds.umax32]);
  for (const [min, max] of views) candidates.push(truncated(min, max, width, isSigned));
  const range = { ...type, bits, width, isSigned };
  for (const one of candidates) {
    if (one.min > range.min) range.min = one.min;
    if (one.max < range.max) range.max = one.max;
  }
  // Knowledge that contradicts itself is of code that cannot be reached; then only the type holds.
  return range.min <= range.max ? range : { ...range, ...type };
}

/** What the lower bits of the numbers from `min` to `max` are, read as a type: all of it when they wrap around. */
function truncated(min: bigint, max: bigint, width: number, isSigned: boolean): { min: bigint; max: bigint } {
  const type = limitsOf({ width, isSigned });
  if (max - min > type.max - type.min) return type;
  const wrap = (number: bigint) => (isSigned ? BigInt.asIntN(width, number) : BigInt.asUintN(width, number));
  const [first, last] = [wrap(min), wrap(max)];
  return first <= last ? { min: first, max: last } : type;
}

function fromBits({ value, mask }: Tnum, width: number, isSigned: boolean): { min: bigint; max: bigint } {
  const sign = 1n << BigInt(width - 1);
  if (!isSigned || !((value | mask) & sign)) return { min: value, max: value | mask };
  if (value & sign) return { min: BigInt.asIntN(width, value), max: BigInt.asIntN(width, value | mask) };
  return { min: BigInt.asIntN(width, value | sign), max: (value | mask) & ~sign };
}

/** Everything that either range allows. */
export function joinRanges(a: Range, b: Range): Range {
  const differing = a.bits.value ^ b.bits.value;
  const mask = a.bits.mask | b.bits.mask | differing;
  return {
    ...a,
    min: a.min < b.min ? a.min : b.min,
    max: a.max > b.max ? a.max : b.max,
    bits: { value: a.bits.value & ~mask, mask },
  };
}

/** `= 5`, `∈ [0, 1500]`, `∈ [0, 60], multiple of 4`; undefined where every value of the type is possible. */
export function spellRange(range: Range): string | undefined {
  const { min, max, bits } = range;
  if (min === max) return `= ${spellNumber(min)}`;
  const type = limitsOf(range);
  const step = stepOf(bits);
  if (min === type.min && max === type.max) return step && `${step}, otherwise any value`;
  return `∈ [${spellNumber(min)}, ${spellNumber(max)}]${step ? `, ${step}` : ''}`;
}

/** `multiple of 4`, from the lowest bits that are known. */
function stepOf({ value, mask }: Tnum): string | undefined {
  if (mask === 0n || mask & 1n) return undefined;
  const step = mask & -mask;
  const rest = value & (step - 1n);
  return rest === 0n ? `multiple of ${step}` : `multiple of ${step} plus ${rest}`;
}

/** Decimal, but for masks and flags beyond 16 bits, which people know in hexadecimal. */
export function spellNumber(number: bigint): string {
  const isMask = number >= 0x10000n && ((number & (number + 1n)) === 0n || (number & 0xffn) === 0n);
  return isMask ? `0x${number.toString(16)}` : number.toString();
}
