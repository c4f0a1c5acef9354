/** What an instruction does to registers and to the flow of control, apart from what it computes. */
import type { Insn } from './insn';
import { Alu, Atomic, CallKind, Class, Jump, LD_IMM64, Mode, SOURCE_REGISTER } from './opcodes';

/** A set of registers: bit n is Rn. */
export type Registers = number;

export const bit = (register: number): Registers => 1 << register;
/** R1 to R5: arguments of a call, lost by it. */
export const ARGUMENTS: Registers = 0b111110;
/** What a call defines or destroys: R0 to R5. */
export const CALLER_SAVED: Registers = 0b111111;

export function isCall(insn: Insn): boolean {
  return insn.code === (Class.JMP | Jump.CALL);
}
export function isHelperCall(insn: Insn): boolean {
  return isCall(insn) && insn.src === CallKind.HELPER;
}
export function isSubprogramCall(insn: Insn): boolean {
  return isCall(insn) && insn.src === CallKind.SUBPROGRAM;
}
export function isKfuncCall(insn: Insn): boolean {
  return isCall(insn) && insn.src === CallKind.KFUNC;
}
export function isExit(insn: Insn): boolean {
  return insn.code === (Class.JMP | Jump.EXIT);
}
/** BPF_LD_ABS and BPF_LD_IND: loads from a packet that act like a call and may end the program. */
export function isPacketLoad(insn: Insn): boolean {
  const mode = insn.code & 0xe0;
  return (insn.code & 7) === Class.LD && (mode === Mode.ABS || mode === Mode.IND);
}
export function isMayGoto(insn: Insn): boolean {
  return insn.code === (Class.JMP | Jump.JCOND);
}
export function isLoad(insn: Insn): boolean {
  const mode = insn.code & 0xe0;
  return (insn.code & 7) === Class.LDX && (mode === Mode.MEM || mode === Mode.MEMSX);
}
export function isAtomic(insn: Insn): boolean {
  return (insn.code & 7) === Class.STX && (insn.code & 0xe0) === Mode.ATOMIC;
}
/** The register that an atomic instruction returns the memory's former content in, if it does. */
export function atomicResult(insn: Insn): number | undefined {
  if (!isAtomic(insn)) return undefined;
  if (insn.imm === Atomic.LOAD_ACQUIRE) return insn.dst;
  if (insn.imm === Atomic.STORE_RELEASE) return undefined;
  if (insn.imm === Atomic.CMPXCHG) return 0;
  return insn.imm & Atomic.FETCH ? insn.src : undefined;
}

/** Jumps, without calls and exits. */
export function isJump(insn: Insn): boolean {
  const kind = insn.code & 7;
  if (kind !== Class.JMP && kind !== Class.JMP32) return false;
  return !isCall(insn) && !isExit(insn);
}
/** A jump that is always taken. */
export function isGoto(insn: Insn): boolean {
  return isJump(insn) && (insn.code & 0xf0) === Jump.JA;
}

/** How far a jump goes, in slots counted from the instruction after it. */
export function jumpDistance(insn: Insn): number {
  return insn.code === (Class.JMP32 | Jump.JA) ? insn.imm : insn.off;
}

/** Registers that an instruction reads. `calls` tells what a call reads; without it, all argument registers. */
export function reads(insn: Insn, calls: (insn: Insn) => Registers = () => ARGUMENTS): Registers {
  const { code, dst, src } = insn;
  const registerOperand = (code & SOURCE_REGISTER) !== 0;
  switch (code & 7) {
    case Class.LD:
      if (code === LD_IMM64) return 0;
      return bit(6) | ((code & 0xe0) === Mode.IND ? bit(src) : 0);
    case Class.LDX:
      return bit(src);
    case Class.ST:
      return bit(dst);
    case Class.STX:
      if (!isAtomic(insn)) return bit(dst) | bit(src);
      if (insn.imm === Atomic.LOAD_ACQUIRE) return bit(src);
      return bit(dst) | bit(src) | (insn.imm === Atomic.CMPXCHG ? bit(0) : 0);
    case Class.ALU:
    case Class.ALU64: {
      const operation = code & 0xf0;
      if (operation === Alu.MOV) return registerOperand ? bit(src) : 0;
      if (operation === Alu.NEG || operation === Alu.END) return bit(dst);
      return bit(dst) | (registerOperand ? bit(src) : 0);
    }
    default: {
      if (isCall(insn)) return calls(insn);
      if (isExit(insn)) return bit(0);
      if (isGoto(insn) || isMayGoto(insn)) return 0;
      return bit(dst) | (registerOperand ? bit(src) : 0);
    }
  }
}

/** Registers whose content an instruction replaces or destroys. */
export function writes(insn: Insn): Registers {
  switch (insn.code & 7) {
    case Class.LD:
      return insn.code === LD_IMM64 ? bit(insn.dst) : CALLER_SAVED;
    case Class.LDX:
    case Class.ALU:
    case Class.ALU64:
      return bit(insn.dst);
    case Class.STX: {
      const result = atomicResult(insn);
      return result === undefined ? 0 : bit(result);
    }
    case Class.ST:
      return 0;
    default:
      return isCall(insn) ? CALLER_SAVED : 0;
  }
}
