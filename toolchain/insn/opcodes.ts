/** Numbers of the instruction set: Documentation/bpf/standardization/instruction-set.rst, include/uapi/linux/bpf.h. */

/** Bytes of a slot: of an instruction, and of each half of a 64-bit immediate load. */
export const INSN_SIZE = 8;

/** The low three bits of an opcode. */
export const Class = { LD: 0, LDX: 1, ST: 2, STX: 3, ALU: 4, JMP: 5, JMP32: 6, ALU64: 7 } as const;

/** Masks of the parts of an opcode. */
export const CLASS_BITS = 0x07;
export const OPERATION_BITS = 0xf0;
export const MODE_BITS = 0xe0;

/** The high four bits of an arithmetic opcode. */
export const Alu = {
  ADD: 0x00,
  SUB: 0x10,
  MUL: 0x20,
  DIV: 0x30,
  OR: 0x40,
  AND: 0x50,
  LSH: 0x60,
  RSH: 0x70,
  NEG: 0x80,
  MOD: 0x90,
  XOR: 0xa0,
  MOV: 0xb0,
  ARSH: 0xc0,
  END: 0xd0,
} as const;

/** The high four bits of a jump. */
export const Jump = {
  JA: 0x00,
  JEQ: 0x10,
  JGT: 0x20,
  JGE: 0x30,
  JSET: 0x40,
  JNE: 0x50,
  JSGT: 0x60,
  JSGE: 0x70,
  CALL: 0x80,
  EXIT: 0x90,
  JLT: 0xa0,
  JLE: 0xb0,
  JSLT: 0xc0,
  JSLE: 0xd0,
  /** may_goto: 6.9 and later. */
  JCOND: 0xe0,
} as const;

/** The high three bits of a load or store. */
export const Mode = { IMM: 0x00, ABS: 0x20, IND: 0x40, MEM: 0x60, MEMSX: 0x80, ATOMIC: 0xc0 } as const;

/** The bit of arithmetic and jumps that says "the second operand is a register". */
export const SOURCE_REGISTER = 0x08;

/** Immediates of atomic instructions. */
export const Atomic = {
  ADD: 0x00,
  OR: 0x40,
  AND: 0x50,
  XOR: 0xa0,
  FETCH: 0x01,
  XCHG: 0xe1,
  CMPXCHG: 0xf1,
  LOAD_ACQUIRE: 0x100,
  STORE_RELEASE: 0x110,
} as const;

/** What the source register of a `call` says about its immediate. */
export const CallKind = { HELPER: 0, SUBPROGRAM: 1, KFUNC: 2 } as const;

/** What the source register of a 64-bit immediate load says about its immediate. */
export const Pseudo = {
  NUMBER: 0,
  MAP: 1,
  MAP_VALUE: 2,
  BTF_ID: 3,
  FUNCTION: 4,
  MAP_INDEX: 5,
  MAP_INDEX_VALUE: 6,
} as const;

/** A 64-bit immediate load: `BPF_LD | BPF_IMM | BPF_DW`. */
export const LD_IMM64 = 0x18;
/** Of a helper, a kernel function or a function of the program's own. */
export const CALL = Class.JMP | Jump.CALL;
/** `callx`, which clang emits for a call through a pointer and no kernel takes. */
export const CALL_REGISTER = CALL | SOURCE_REGISTER;
export const EXIT = Class.JMP | Jump.EXIT;
/** Frame pointer, read-only. */
export const R10 = 10;

/** Bytes that a load or store moves. */
export function accessSize(code: number): 1 | 2 | 4 | 8 {
  switch (code & 0x18) {
    case 0x00:
      return 4;
    case 0x08:
      return 2;
    case 0x10:
      return 1;
    default:
      return 8;
  }
}
