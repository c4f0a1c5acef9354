/** Arithmetic as the kernel's JIT does it, on registers in two halves. Source: instruction-set.rst. */
import { Alu, Class, Jump, SOURCE_REGISTER } from '../../../toolchain/insn/opcodes';
import { halves, joined } from './memory';

/** Halves of R0 to R10, and at index 11 those of an immediate. */
export interface RegisterFile {
  lo: Int32Array;
  hi: Int32Array;
}
const IMMEDIATE = 11;
export const REGISTER_FILE_SIZE = 12;

/** Runs one instruction of class ALU or ALU64. */
export function runAlu(
  file: RegisterFile,
  code: number,
  dst: number,
  src: number,
  off: number,
  imm: number,
): void {
  const operand = code & SOURCE_REGISTER ? src : IMMEDIATE;
  if (operand === IMMEDIATE) {
    file.lo[IMMEDIATE] = imm;
    file.hi[IMMEDIATE] = imm >> 31;
  }
  const operation = code & 0xf0;
  if (operation === Alu.END) {
    swap(file, dst, imm, (code & 7) === Class.ALU64 || (code & SOURCE_REGISTER) !== 0);
  } else if ((code & 7) === Class.ALU64) {
    alu64(file, operation, dst, operand, off);
  } else {
    file.lo[dst] = alu32(operation, file.lo[dst] as number, file.lo[operand] as number, off);
    file.hi[dst] = 0;
  }
}

function alu32(operation: number, a: number, b: number, off: number): number {
  switch (operation) {
    case Alu.ADD:
      return (a + b) | 0;
    case Alu.SUB:
      return (a - b) | 0;
    case Alu.MUL:
      return Math.imul(a, b);
    case Alu.DIV:
      if (b === 0) return 0;
      return off === 1 ? (a / b) | 0 : ((a >>> 0) / (b >>> 0)) >>> 0;
    case Alu.MOD:
      if (b === 0) return a;
      return off === 1 ? (a % b) | 0 : (a >>> 0) % (b >>> 0);
    case Alu.OR:
      return a | b;
    case Alu.AND:
      return a & b;
    case Alu.XOR:
      return a ^ b;
    case Alu.LSH:
      return a << (b & 31);
    case Alu.RSH:
      return a >>> (b & 31);
    case Alu.ARSH:
      return a >> (b & 31);
    case Alu.NEG:
      return -a | 0;
    default:
      // MOV; with an offset the low bits are sign-extended.
      return off === 8 ? (b << 24) >> 24 : off === 16 ? (b << 16) >> 16 : b;
  }
}

function alu64({ lo, hi }: RegisterFile, operation: number, dst: number, operand: number, off: number): void {
  const a = lo[dst] as number;
  const aHi = hi[dst] as number;
  const b = lo[operand] as number;
  const bHi = hi[operand] as number;
  switch (operation) {
    case Alu.ADD: {
      const sum = (a >>> 0) + (b >>> 0);
      lo[dst] = sum;
      hi[dst] = aHi + bHi + (sum > 0xffff_ffff ? 1 : 0);
      return;
    }
    case Alu.SUB:
      lo[dst] = a - b;
      hi[dst] = aHi - bHi - (a >>> 0 < b >>> 0 ? 1 : 0);
      return;
    case Alu.OR:
      lo[dst] = a | b;
      hi[dst] = aHi | bHi;
      return;
    case Alu.AND:
      lo[dst] = a & b;
      hi[dst] = aHi & bHi;
      return;
    case Alu.XOR:
      lo[dst] = a ^ b;
      hi[dst] = aHi ^ bHi;
      return;
    case Alu.MOV:
      if (off === 0) {
        lo[dst] = b;
        hi[dst] = bHi;
      } else {
        lo[dst] = off === 32 ? b : (b << (32 - off)) >> (32 - off);
        hi[dst] = (lo[dst] as number) >> 31;
      }
      return;
    case Alu.NEG:
      lo[dst] = -a;
      hi[dst] = a === 0 ? -aHi : ~aHi;
      return;
    case Alu.LSH: {
      const count = b & 63;
      if (count >= 32) {
        hi[dst] = a << (count - 32);
        lo[dst] = 0;
      } else if (count > 0) {
        hi[dst] = (aHi << count) | (a >>> (32 - count));
        lo[dst] = a << count;
      }
      return;
    }
    case Alu.RSH:
    case Alu.ARSH: {
      const count = b & 63;
      const sign = operation === Alu.ARSH ? aHi >> 31 : 0;
      if (count >= 32) {
        lo[dst] = operation === Alu.ARSH ? aHi >> (count - 32) : aHi >>> (count - 32);
        hi[dst] = sign;
      } else if (count > 0) {
        lo[dst] = (a >>> count) | (aHi << (32 - count));
        hi[dst] = operation === Alu.ARSH ? aHi >> count : aHi >>> count;
      }
      return;
    }
    case Alu.MUL:
      multiply(lo, hi, dst, b, bHi);
      return;
    default: {
      const value = divide(operation, joined(a, aHi), joined(b, bHi), off === 1);
      [lo[dst], hi[dst]] = halves(value);
    }
  }
}

/** The low 64 bits of a product, from 16-bit pieces of the low halves. */
function multiply(lo: Int32Array, hi: Int32Array, dst: number, b: number, bHi: number): void {
  const a = lo[dst] as number;
  const aHi = hi[dst] as number;
  const a0 = a & 0xffff;
  const a1 = a >>> 16;
  const b0 = b & 0xffff;
  const b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carry = a0 * b1 + (middle & 0xffff);
  const high = a1 * b1 + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000);
  lo[dst] = Math.imul(a, b);
  hi[dst] = (high | 0) + Math.imul(aHi, b) + Math.imul(a, bHi);
}

function divide(operation: number, a: bigint, b: bigint, signed: boolean): bigint {
  if (b === 0n) return operation === Alu.DIV ? 0n : a;
  const left = signed ? BigInt.asIntN(64, a) : a;
  const right = signed ? BigInt.asIntN(64, b) : b;
  return operation === Alu.DIV ? left / right : left % right;
}

/** Byte order conversion to a width; what it leaves out is zero. */
function swap({ lo, hi }: RegisterFile, dst: number, bits: number, reverse: boolean): void {
  const a = lo[dst] as number;
  const aHi = hi[dst] as number;
  if (bits === 64) {
    if (!reverse) return;
    lo[dst] = swap32(aHi);
    hi[dst] = swap32(a);
    return;
  }
  if (bits === 32) lo[dst] = reverse ? swap32(a) : a;
  else lo[dst] = (reverse ? swap32(a) >>> 16 : a) & 0xffff;
  hi[dst] = 0;
}

function swap32(value: number): number {
  return (
    ((value & 0xff) << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | ((value >>> 24) & 0xff)
  );
}

/** Whether a conditional jump is taken. */
export function isTaken(file: RegisterFile, code: number, dst: number, src: number, imm: number): boolean {
  const operand = code & SOURCE_REGISTER ? src : IMMEDIATE;
  if (operand === IMMEDIATE) {
    file.lo[IMMEDIATE] = imm;
    file.hi[IMMEDIATE] = imm >> 31;
  }
  const narrow = (code & 7) === Class.JMP32;
  const a = file.lo[dst] as number;
  const b = file.lo[operand] as number;
  const aHi = narrow ? 0 : (file.hi[dst] as number);
  const bHi = narrow ? 0 : (file.hi[operand] as number);
  switch (code & 0xf0) {
    case Jump.JEQ:
      return a === b && aHi === bHi;
    case Jump.JNE:
      return a !== b || aHi !== bHi;
    case Jump.JSET:
      return (a & b) !== 0 || (aHi & bHi) !== 0;
    case Jump.JGT:
      return below(b, bHi, a, aHi);
    case Jump.JGE:
      return !below(a, aHi, b, bHi);
    case Jump.JLT:
      return below(a, aHi, b, bHi);
    case Jump.JLE:
      return !below(b, bHi, a, aHi);
    case Jump.JSGT:
      return narrow ? b < a : less(b, bHi, a, aHi);
    case Jump.JSGE:
      return narrow ? a >= b : !less(a, aHi, b, bHi);
    case Jump.JSLT:
      return narrow ? a < b : less(a, aHi, b, bHi);
    default:
      return narrow ? a <= b : !less(b, bHi, a, aHi);
  }
}

function below(a: number, aHi: number, b: number, bHi: number): boolean {
  return aHi === bHi ? a >>> 0 < b >>> 0 : aHi >>> 0 < bHi >>> 0;
}
function less(a: number, aHi: number, b: number, bHi: number): boolean {
  return aHi === bHi ? a >>> 0 < b >>> 0 : aHi < bHi;
}
