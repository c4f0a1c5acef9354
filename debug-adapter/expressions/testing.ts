/** Random expressions of C, for comparing the evaluator with compilers. */

export const INTEGER_TYPES = [
  'char',
  'signed char',
  'unsigned char',
  'short',
  'unsigned short',
  'int',
  'unsigned int',
  'long',
  'unsigned long',
  'long long',
  'unsigned long long',
  '_Bool',
];

export function generator(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Numbers at the edges of types are where conversions differ. */
export function interesting(random: (below: number) => number): bigint {
  const edges = [
    0n,
    1n,
    -1n,
    127n,
    128n,
    255n,
    256n,
    32767n,
    65535n,
    65536n,
    2n ** 31n - 1n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 32n,
    2n ** 63n - 1n,
    2n ** 63n,
  ];
  if (random(2)) return edges[random(edges.length)] as bigint;
  return (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32));
}

const BINARY = ['+', '-', '*', '/', '%', '<<', '>>', '&', '|', '^'];

export interface ExpressionOptions {
  /** Operators nested in one another, at most. */
  depth: number;
  /** Variables. */
  names: readonly string[];
  /** Operators between two numbers. */
  operators?: readonly string[];
}

/** A C expression over integers. */
export function randomExpression(random: (below: number) => number, options: ExpressionOptions): string {
  const { depth, names, operators = BINARY } = options;
  const inner = () => randomExpression(random, { ...options, depth: depth - 1 });
  const one = (from: readonly string[]) => from[random(from.length)] as string;
  if (depth === 0 || random(6) === 0) return one(random(4) ? names : CONSTANTS);
  switch (random(8)) {
    case 0:
      return `(${inner()} ? ${inner()} : ${inner()})`;
    case 1:
      return `(${one(['-', '~', '!', '+'])}${inner()})`;
    case 2:
      return `((${one(INTEGER_TYPES)})${inner()})`;
    case 3:
      return `(${inner()} ${one(['&&', '||'])} ${inner()})`;
    case 4:
      return `(${inner()} ${one(['==', '!=', '<', '>', '<=', '>='])} ${inner()})`;
    default:
      return `(${inner()} ${one(operators)} ${inner()})`;
  }
}

const CONSTANTS = [
  '0',
  '1',
  '7u',
  '31',
  '63L',
  '0x80000000',
  '2147483648',
  '0xffffffffffffffff',
  "'z'",
  '010',
  '5ULL',
];
