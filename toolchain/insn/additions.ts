/**
 * Instructions that were added to the instruction set after Linux 5.10, which every kernel here has the rest of
 * (Documentation/bpf/standardization/instruction-set.rst, clang's `-mcpu`).
 */
import type { Insn } from './insn';
import {
  Alu,
  Atomic,
  Class,
  CLASS_BITS,
  Jump,
  Mode,
  MODE_BITS,
  OPERATION_BITS,
  SOURCE_REGISTER,
} from './opcodes';

export type AdditionName =
  | 'atomics'
  | 'acquire-release'
  | 'signed-load'
  | 'signed-move'
  | 'byte-swap'
  | 'signed-division'
  | 'long-jump'
  | 'indirect-jump'
  | 'may-goto'
  | 'address-space-cast';

export interface Addition {
  /** What it does, for a sentence: `a signed division`. */
  what: string;
  /** For lists: `signed division`. */
  plural: string;
  /** The `-mcpu` from which clang emits it; undefined for those that the source asks for by name. */
  cpu?: 'v3' | 'v4';
  /** First Linux release whose verifier knows it. */
  since: string;
}

export const additions: Record<AdditionName, Addition> = {
  atomics: {
    what: 'an atomic operation other than a plain addition',
    plural: 'atomic operations other than add',
    cpu: 'v3',
    since: '5.12',
  },
  'acquire-release': {
    what: 'a load-acquire or store-release',
    plural: 'load-acquire and store-release',
    cpu: 'v4',
    since: '6.15',
  },
  'signed-load': {
    what: 'a sign-extending load',
    plural: 'sign-extending loads',
    cpu: 'v4',
    since: '6.6',
  },
  'signed-move': {
    what: 'a sign-extending move',
    plural: 'sign-extending moves',
    cpu: 'v4',
    since: '6.6',
  },
  'byte-swap': { what: 'an unconditional byte swap', plural: 'byte swaps', cpu: 'v4', since: '6.6' },
  'signed-division': { what: 'a signed division', plural: 'signed division', cpu: 'v4', since: '6.6' },
  'long-jump': {
    what: 'a jump with a 32-bit offset (gotol)',
    plural: 'long jumps',
    cpu: 'v4',
    since: '6.6',
  },
  'indirect-jump': {
    what: 'an indirect jump (gotox), which clang makes of a switch with a jump table',
    plural: 'indirect jumps',
    cpu: 'v4',
    since: '6.19',
  },
  'may-goto': { what: 'a may_goto', plural: 'may_goto', since: '6.9' },
  'address-space-cast': {
    what: 'a cast between address spaces',
    plural: 'casts between address spaces',
    since: '6.9',
  },
};

/** Which addition an instruction is; undefined for those of all kernels. */
export function additionOf({ code, off, imm }: Insn): AdditionName | undefined {
  const kind = code & CLASS_BITS;
  const operation = code & OPERATION_BITS;
  const mode = code & MODE_BITS;
  switch (kind) {
    case Class.ALU:
    case Class.ALU64:
      if ((operation === Alu.DIV || operation === Alu.MOD) && off === 1) return 'signed-division';
      if (operation === Alu.END && kind === Class.ALU64) return 'byte-swap';
      if (operation !== Alu.MOV || !(code & SOURCE_REGISTER)) return undefined;
      // The offset of a move is how many bits are extended.
      if (off === 8 || off === 16 || off === 32) return 'signed-move';
      return off === 1 && kind === Class.ALU64 ? 'address-space-cast' : undefined;
    case Class.JMP32:
      return operation === Jump.JA ? 'long-jump' : undefined;
    case Class.JMP:
      if (operation === Jump.JA && code & SOURCE_REGISTER) return 'indirect-jump';
      return operation === Jump.JCOND ? 'may-goto' : undefined;
    case Class.LDX:
      return mode === Mode.MEMSX ? 'signed-load' : undefined;
    case Class.STX:
      if (mode !== Mode.ATOMIC || imm === Atomic.ADD) return undefined;
      return imm === Atomic.LOAD_ACQUIRE || imm === Atomic.STORE_RELEASE ? 'acquire-release' : 'atomics';
    default:
      return undefined;
  }
}
