/** Instructions in the kernel's assembly, as the verifier's log writes them (kernel/bpf/disasm.c). */
import {
  isAtomic,
  isCall,
  isExit,
  isGoto,
  isJump,
  isKfuncCall,
  isMayGoto,
  isPacketLoad,
  isSubprogramCall,
  jumpDistance,
} from './effects';
import { helperName } from './helper-names';
import type { Insn } from './insn';
import { Alu, Atomic, Class, Jump, LD_IMM64, Mode, Pseudo, SOURCE_REGISTER, accessSize } from './opcodes';

const ALU_OPERATORS: Record<number, string> = {
  [Alu.ADD]: '+=',
  [Alu.SUB]: '-=',
  [Alu.MUL]: '*=',
  [Alu.DIV]: '/=',
  [Alu.OR]: '|=',
  [Alu.AND]: '&=',
  [Alu.LSH]: '<<=',
  [Alu.RSH]: '>>=',
  [Alu.MOD]: '%=',
  [Alu.XOR]: '^=',
  [Alu.MOV]: '=',
  [Alu.ARSH]: 's>>=',
};
const JUMP_OPERATORS: Record<number, string> = {
  [Jump.JEQ]: '==',
  [Jump.JGT]: '>',
  [Jump.JGE]: '>=',
  [Jump.JSET]: '&',
  [Jump.JNE]: '!=',
  [Jump.JSGT]: 's>',
  [Jump.JSGE]: 's>=',
  [Jump.JLT]: '<',
  [Jump.JLE]: '<=',
  [Jump.JSLT]: 's<',
  [Jump.JSLE]: 's<=',
};
const ATOMIC_NAMES: Record<number, string> = {
  [Atomic.ADD]: 'add',
  [Atomic.OR]: 'or',
  [Atomic.AND]: 'and',
  [Atomic.XOR]: 'xor',
};

/** One instruction; opcodes of no known form are given in hexadecimal. */
export function disassemble(insn: Insn): string {
  const { code, dst, src, off, imm } = insn;
  switch (code & 7) {
    case Class.ALU:
    case Class.ALU64:
      return arithmetic(insn);
    case Class.LD:
      if (code === LD_IMM64) return `r${dst} = ${immediate(insn)}`;
      if (isPacketLoad(insn)) {
        const index = (code & 0xe0) === Mode.IND ? `r${src} + ${imm}` : `${imm}`;
        return `r0 = *(u${accessSize(code) * 8} *)skb[${index}]`;
      }
      return unknown(code);
    case Class.LDX: {
      const sign = (code & 0xe0) === Mode.MEMSX ? 's' : 'u';
      return `r${dst} = *(${sign}${accessSize(code) * 8} *)(r${src} ${signed(off)})`;
    }
    case Class.ST:
      return `${memory(insn)} = ${imm}`;
    case Class.STX:
      return isAtomic(insn) ? atomic(insn) : `${memory(insn)} = r${src}`;
    default:
      return flow(insn);
  }
}

function arithmetic({ code, dst, src, off, imm }: Insn): string {
  const register = (code & 7) === Class.ALU ? 'w' : 'r';
  const operation = code & 0xf0;
  if (operation === Alu.NEG) return `${register}${dst} = -${register}${dst}`;
  if (operation === Alu.END) {
    if ((code & 7) === Class.ALU64) return `r${dst} = bswap${imm} r${dst}`;
    return `r${dst} = ${code & SOURCE_REGISTER ? 'be' : 'le'}${imm} r${dst}`;
  }
  const operator = ALU_OPERATORS[operation];
  if (!operator) return unknown(code);
  const isSignedDivision = (operation === Alu.DIV || operation === Alu.MOD) && off === 1;
  const cast = operation === Alu.MOV && off > 1 ? `(s${off})` : '';
  const operand = code & SOURCE_REGISTER ? `${cast}${register}${src}` : `${imm}`;
  return `${register}${dst} ${isSignedDivision ? 's' : ''}${operator} ${operand}`;
}

function immediate({ src, imm, high }: Insn): string {
  switch (src) {
    case Pseudo.NUMBER:
      return `0x${((BigInt(high >>> 0) << 32n) | BigInt(imm >>> 0)).toString(16)}`;
    case Pseudo.MAP:
      return `map[${imm}]`;
    case Pseudo.MAP_VALUE:
      return `map[${imm}][0]+${high}`;
    case Pseudo.BTF_ID:
      return `btf_id[${imm}]`;
    default:
      return `func[${imm}]`;
  }
}

function memory({ code, dst, off }: Insn): string {
  return `*(u${accessSize(code) * 8} *)(r${dst} ${signed(off)})`;
}

function atomic({ code, dst, src, off, imm }: Insn): string {
  const size = accessSize(code) * 8;
  const place = `(u${size} *)(r${dst} ${signed(off)})`;
  const wide = size === 64 ? '64' : '';
  if (imm === Atomic.LOAD_ACQUIRE) return `r${dst} = load_acquire((u${size} *)(r${src} ${signed(off)}))`;
  if (imm === Atomic.STORE_RELEASE) return `store_release(${place}, r${src})`;
  if (imm === Atomic.CMPXCHG) return `r0 = atomic${wide}_cmpxchg(${place}, r0, r${src})`;
  if (imm === Atomic.XCHG) return `r${src} = atomic${wide}_xchg(${place}, r${src})`;
  const name = ATOMIC_NAMES[imm & 0xf0];
  if (!name) return unknown(code);
  if (imm & Atomic.FETCH) return `r${src} = atomic${wide}_fetch_${name}(${place}, r${src})`;
  return `lock *${place} ${{ add: '+=', or: '|=', and: '&=', xor: '^=' }[name]} r${src}`;
}

function flow(insn: Insn): string {
  const { code, dst, src, imm } = insn;
  if (isExit(insn)) return 'exit';
  if (isCall(insn)) {
    if (isSubprogramCall(insn)) return `call pc${signed(imm).replace(' ', '')}`;
    return isKfuncCall(insn) ? `call kernel-function#${imm}` : `call ${helperName(imm)}#${imm}`;
  }
  if (!isJump(insn)) return unknown(code);
  const target = `goto pc${signed(jumpDistance(insn)).replace(' ', '')}`;
  if (isMayGoto(insn)) return `may_${target}`;
  if (isGoto(insn)) return target;
  const register = (code & 7) === Class.JMP32 ? 'w' : 'r';
  const operator = JUMP_OPERATORS[code & 0xf0];
  if (!operator) return unknown(code);
  const operand = code & SOURCE_REGISTER ? `${register}${src}` : `0x${(imm >>> 0).toString(16)}`;
  return `if ${register}${dst} ${operator} ${operand} ${target}`;
}

function signed(number: number): string {
  return number < 0 ? `-${-number}` : `+${number}`;
}

function unknown(code: number): string {
  return `(opcode 0x${code.toString(16).padStart(2, '0')})`;
}
