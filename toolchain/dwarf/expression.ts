/** DWARF expressions: where a variable lives, or what computes its value. */
import { Op } from './constants';
import { Cursor } from './cursor';

/**
 * A place in the terms of BPF. Offsets from the frame pointer are R10's: clang counts them from the frame's lower
 * end, {@link ExpressionContext.frameSize} below R10.
 */
export type Location =
  /** The value is in the register. */
  | { kind: 'register'; register: number }
  /** The value is `register + offset`; the variable itself is nowhere. */
  | { kind: 'value'; register: number; offset: number }
  /** The variable lies in memory at R10 + offset. */
  | { kind: 'stack'; offset: number }
  /** The variable lies in memory at another register + offset. */
  | { kind: 'memory'; register: number; offset: number }
  | { kind: 'constant'; value: bigint }
  /** The variable is scattered; sizes in bits, and a piece may be optimised out. */
  | { kind: 'pieces'; pieces: { bits: number; location: Location }[] }
  /** Anything else: {@link evaluate} computes it. */
  | { kind: 'computed'; expression: Uint8Array }
  | { kind: 'optimised-out' };

export interface ExpressionContext {
  littleEndian: boolean;
  /** Bytes of stack of the function, by which offsets from the frame pointer are shifted. */
  frameSize: number;
}

export const FRAME_POINTER = 10;

/** A machine's state as far as an expression may ask for it; undefined is what nobody knows. */
export interface Machine {
  register(number: number): bigint | undefined;
  memory(address: bigint, size: number): bigint | undefined;
}

interface Operation {
  op: number;
  /** First operand; -1n where there is none. */
  operand: bigint;
  second: bigint;
  bytes: Uint8Array;
}

/** What an expression says of the variable's place, simplified to a register or slot where it is no more than that. */
export function describeLocation(expression: Uint8Array, context: ExpressionContext): Location {
  const operations = readOperations(expression, context.littleEndian);
  if (!operations) return { kind: 'computed', expression };
  if (operations.some(({ op }) => op === Op.Piece || op === Op.BitPiece)) return pieces(operations, context);
  return simple(operations, context) ?? { kind: 'computed', expression };
}

function simple(operations: Operation[], { frameSize }: ExpressionContext): Location | undefined {
  const isValue = operations.at(-1)?.op === Op.StackValue;
  const rest = (isValue ? operations.slice(0, -1) : operations).filter((one) => !keepsValue(one));
  const [first, ...more] = rest;
  if (!first) return { kind: 'optimised-out' };
  if (first.op === Op.ImplicitValue && more.length === 0) {
    return first.bytes.length <= 8 ? { kind: 'constant', value: littleInteger(first.bytes) } : undefined;
  }
  const register = registerOf(first);
  if (register !== undefined) return more.length === 0 ? { kind: 'register', register } : undefined;
  const constant = constantOf(first);
  if (constant !== undefined)
    return more.length === 0 && isValue ? { kind: 'constant', value: constant } : undefined;
  const base = baseRegister(first);
  if (base === undefined) return undefined;
  let offset = Number(first.op === Op.Bregx ? first.second : first.operand);
  if (base === FRAME_POINTER) offset -= frameSize;
  for (const { op, operand } of more) {
    if (op !== Op.PlusUconst) return undefined;
    offset += Number(operand);
  }
  if (isValue) return { kind: 'value', register: base, offset };
  return base === FRAME_POINTER ? { kind: 'stack', offset } : { kind: 'memory', register: base, offset };
}

/** clang wraps a value into conversions to its own type's width, which a reader of that type makes anyway. */
function keepsValue({ op, operand }: Operation): boolean {
  return op === Op.PlusUconst && operand === 0n;
}

function pieces(operations: Operation[], context: ExpressionContext): Location {
  const result: { bits: number; location: Location }[] = [];
  let start = 0;
  for (const [index, { op, operand }] of operations.entries()) {
    if (op !== Op.Piece && op !== Op.BitPiece) continue;
    const part = operations.slice(start, index);
    const location = simple(part, context) ?? { kind: 'optimised-out' as const };
    result.push({ bits: Number(operand) * (op === Op.Piece ? 8 : 1), location });
    start = index + 1;
  }
  return { kind: 'pieces', pieces: result };
}

function registerOf({ op, operand }: Operation): number | undefined {
  if (op >= Op.Reg0 && op < Op.Reg0 + 32) return op - Op.Reg0;
  return op === Op.Regx ? Number(operand) : undefined;
}

function baseRegister({ op, operand }: Operation): number | undefined {
  if (op === Op.Fbreg) return FRAME_POINTER;
  if (op >= Op.Breg0 && op < Op.Breg0 + 32) return op - Op.Breg0;
  return op === Op.Bregx ? Number(operand) : undefined;
}

function constantOf({ op, operand }: Operation): bigint | undefined {
  if (op >= Op.Lit0 && op < Op.Lit0 + 32) return BigInt(op - Op.Lit0);
  return op >= Op.Const1u && op <= Op.Consts ? operand : undefined;
}

/** Operations with their operands; undefined when one is of a kind this reader does not know, or cut off. */
function readOperations(expression: Uint8Array, littleEndian: boolean): Operation[] | undefined {
  const view = new DataView(expression.buffer, expression.byteOffset, expression.byteLength);
  const cursor = new Cursor(view, littleEndian, 0);
  const operations: Operation[] = [];
  while (cursor.more) {
    const op = cursor.u8();
    const read = operands(op, cursor);
    if (!read || cursor.failed) return undefined;
    operations.push({ op, operand: -1n, second: -1n, bytes: nothing, ...read });
  }
  return operations;
}

const nothing = new Uint8Array();

function operands(op: number, cursor: Cursor): Partial<Operation> | undefined {
  if ((op >= Op.Lit0 && op < Op.Lit0 + 32) || (op >= Op.Reg0 && op < Op.Reg0 + 32)) return {};
  if (op >= Op.Breg0 && op < Op.Breg0 + 32) return { operand: cursor.sleb64() };
  switch (op) {
    case Op.Const1u:
    case Op.DerefSize:
      return { operand: BigInt(cursor.u8()) };
    case Op.Const1s:
      return { operand: BigInt.asIntN(8, BigInt(cursor.u8())) };
    case Op.Const2u:
      return { operand: BigInt(cursor.u16()) };
    case Op.Const2s:
      return { operand: BigInt.asIntN(16, BigInt(cursor.u16())) };
    case Op.Const4u:
      return { operand: BigInt(cursor.u32()) };
    case Op.Const4s:
      return { operand: BigInt.asIntN(32, BigInt(cursor.u32())) };
    case Op.Const8u:
    case Op.Addr:
      return { operand: cursor.u64() };
    case Op.Const8s:
      return { operand: BigInt.asIntN(64, cursor.u64()) };
    case Op.Constu:
    case Op.PlusUconst:
    case Op.Regx:
    case Op.Piece:
    case Op.Addrx:
    case Op.Convert:
    case Op.Reinterpret:
      return { operand: cursor.uleb64() };
    case Op.Consts:
    case Op.Fbreg:
      return { operand: cursor.sleb64() };
    case Op.Bregx:
      return { operand: cursor.uleb64(), second: cursor.sleb64() };
    case Op.BitPiece:
      return { operand: cursor.uleb64(), second: cursor.uleb64() };
    case Op.ImplicitValue:
    case Op.EntryValue:
      return { bytes: cursor.bytes(cursor.uleb()) };
    case Op.Deref:
    case Op.Dup:
    case Op.Drop:
    case Op.Over:
    case Op.Swap:
    case Op.StackValue:
      return {};
    default:
      return op >= Op.And && op <= Op.Xor ? {} : undefined;
  }
}

function littleInteger(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** What an expression comes to on a machine: the variable's value, or the address where it lies. */
export type Evaluated = { kind: 'value'; value: bigint } | { kind: 'address'; address: bigint };

/** An expression needs no more; a longer one is a damaged file. */
const MAX_STACK = 64;

/**
 * Runs an expression on 64-bit values. Undefined when the machine does not know an input, when it asks for the
 * value a register had on entry (which the machine no longer has), or when it is no valid expression.
 * Conversions are left to the reader of the variable's type.
 */
export function evaluate(
  expression: Uint8Array,
  machine: Machine,
  { littleEndian, frameSize }: ExpressionContext,
): Evaluated | undefined {
  const stack: bigint[] = [];
  for (const operation of readOperations(expression, littleEndian) ?? []) {
    const { op } = operation;
    if (op === Op.StackValue) {
      const value = stack.at(-1);
      return value === undefined ? undefined : { kind: 'value', value };
    }
    const register = registerOf(operation);
    if (register !== undefined) {
      const value = machine.register(register);
      return value === undefined ? undefined : { kind: 'value', value };
    }
    const next = push(operation, stack, machine, frameSize);
    if (next === undefined || stack.length >= MAX_STACK) return undefined;
    if (next !== 'done') stack.push(BigInt.asUintN(64, next));
  }
  const address = stack.at(-1);
  return address === undefined ? undefined : { kind: 'address', address };
}

/** The value an operation adds to the stack; `done` for one that only rearranges it. */
function push(
  operation: Operation,
  stack: bigint[],
  machine: Machine,
  frameSize: number,
): bigint | 'done' | undefined {
  const { op, operand } = operation;
  const constant = constantOf(operation);
  if (constant !== undefined) return constant;
  const base = baseRegister(operation);
  if (base !== undefined) {
    const value = machine.register(base);
    const offset =
      (op === Op.Bregx ? operation.second : operand) - BigInt(base === FRAME_POINTER ? frameSize : 0);
    return value === undefined ? undefined : value + offset;
  }
  switch (op) {
    case Op.Convert:
    case Op.Reinterpret:
      return 'done';
    case Op.Dup:
      return stack.at(-1);
    case Op.Over:
      return stack.at(-2);
    case Op.Drop:
      return stack.pop() === undefined ? undefined : 'done';
    case Op.Swap: {
      const [top, below] = [stack.pop(), stack.pop()];
      if (top === undefined || below === undefined) return undefined;
      stack.push(top);
      return below;
    }
    case Op.PlusUconst:
    case Op.Neg:
    case Op.Not:
    case Op.Deref:
    case Op.DerefSize: {
      const value = stack.pop();
      if (value === undefined) return undefined;
      if (op === Op.PlusUconst) return value + operand;
      if (op === Op.Neg) return -value;
      if (op === Op.Not) return ~value;
      return machine.memory(value, op === Op.Deref ? 8 : Number(operand));
    }
    default: {
      const [right, left] = [stack.pop(), stack.pop()];
      return right === undefined || left === undefined ? undefined : binary(op, left, right);
    }
  }
}

function binary(op: number, left: bigint, right: bigint): bigint | undefined {
  const signed = (value: bigint) => BigInt.asIntN(64, value);
  // A shift by 64 or more leaves nothing; the shift count must stay one that a BigInt can hold.
  const count = right > 64n ? 64n : right;
  switch (op) {
    case Op.And:
      return left & right;
    case Op.Or:
      return left | right;
    case Op.Xor:
      return left ^ right;
    case Op.Plus:
      return left + right;
    case Op.Minus:
      return left - right;
    case Op.Mul:
      return left * right;
    case Op.Div:
      return right === 0n ? undefined : signed(left) / signed(right);
    case Op.Mod:
      return right === 0n ? undefined : left % right;
    case Op.Shl:
      return left << count;
    case Op.Shr:
      return left >> count;
    case Op.Shra:
      return signed(left) >> count;
    default:
      return undefined;
  }
}
