/** Instructions as the verifier writes them (kernel/bpf/disasm.c), taken apart. */

export type Instruction =
  /** `r1 = r2`, `w1 = w2`, `r1 = (s8)r2`: `bits` is how much of the source is taken. */
  | { kind: 'move'; to: number; from: number; bits: number; signed: boolean }
  /** `r1 = 5`, and 64-bit constants, maps and functions among them, as printed. */
  | { kind: 'constant'; to: number; value: bigint | undefined; wide: boolean }
  /** `r1 += r2`, `w1 &= 7`, `r1 = -r1`, `r1 = be16 r1`; operator without the equals sign. */
  | { kind: 'arithmetic'; to: number; operator: string; operand: Operand | undefined; bits: 32 | 64 }
  | { kind: 'load'; to: number; base: number; offset: number; size: number; signed: boolean }
  | { kind: 'store'; base: number; offset: number; size: number; value: Operand | undefined }
  /** `to` is the register that gets the old value. */
  | { kind: 'atomic'; base: number; offset: number; size: number; to: number | undefined }
  | { kind: 'branch'; left: number; operator: string; right: Operand; bits: 32 | 64; target: number }
  | { kind: 'goto' }
  /** A helper or kfunc by its name; a function of the program's own has none. */
  | { kind: 'call'; name: string | undefined }
  | { kind: 'exit' }
  | { kind: 'other'; to: number | undefined };

export type Operand = { register: number } | { constant: bigint };

const sizes: Record<string, number> = { '8': 1, '16': 2, '32': 4, '64': 8 };

/** Decodes an instruction's text; `insn` is its index, for the targets of jumps. Total. */
export function decode(text: string, insn: number): Instruction {
  switch (text[0]) {
    case 'i': {
      const match = /^if ([rw])(\d+) (\S+) (\S+) goto pc([+-]\d+)/.exec(text);
      const right = match && operand(match[4] as string);
      if (!match || !right) break;
      return {
        kind: 'branch',
        left: Number(match[2]),
        operator: match[3] as string,
        right,
        bits: match[1] === 'w' ? 32 : 64,
        target: insn + 1 + Number(match[5]),
      };
    }
    case 'c': {
      const match = /^call (\S+)/.exec(text);
      if (!match) break;
      const name = match[1] as string;
      return { kind: 'call', name: /^pc[+-]/.test(name) ? undefined : name.replace(/#-?\d+$/, '') };
    }
    case 'e':
      if (text === 'exit') return { kind: 'exit' };
      break;
    case 'g':
      return { kind: 'goto' };
    case '*': {
      const match = /^\*\(u(\d+) \*\)\(r(\d+) ?([+-]\d+)\) = (\S+)$/.exec(text);
      if (!match) break;
      const [, bits, base, offset, value] = match as unknown as [string, string, string, string, string];
      return {
        kind: 'store',
        base: Number(base),
        offset: Number(offset),
        size: sizes[bits] ?? 8,
        value: operand(value),
      };
    }
    case 'l': {
      const match = /^lock \*\(u(\d+) \*\)\(r(\d+) ?([+-]\d+)\)/.exec(text);
      if (!match) break;
      return atomic(match[1], match[2], match[3], undefined);
    }
    default:
      return assignment(text);
  }
  return { kind: 'other', to: undefined };
}

function assignment(text: string): Instruction {
  const match = /^([rw])(\d+) (\S*=) (.*)$/.exec(text);
  if (!match) return { kind: 'other', to: undefined };
  const [, letter, number, sign, right] = match as unknown as [string, string, string, string, string];
  const to = Number(number);
  const bits = letter === 'w' ? 32 : 64;
  if (sign !== '=') {
    return { kind: 'arithmetic', to, operator: sign.slice(0, -1), operand: operand(right), bits };
  }
  const move = /^(?:\((s)(\d+)\))?([rw])(\d+)$/.exec(right);
  if (move) {
    const taken = move[2] ? Number(move[2]) : bits;
    return { kind: 'move', to, from: Number(move[4]), bits: Math.min(taken, bits), signed: move[1] === 's' };
  }
  const load = /^\*\(([us])(\d+) \*\)\(r(\d+) ?([+-]\d+)\)$/.exec(right);
  if (load) {
    const [, sign_, width, base, offset] = load as unknown as [string, string, string, string, string];
    return {
      kind: 'load',
      to,
      base: Number(base),
      offset: Number(offset),
      size: sizes[width] ?? 8,
      signed: sign_ === 's',
    };
  }
  const fetched = /^(?:atomic\w*|load_acquire)\(\(u(\d+) \*\)\(r(\d+) ?([+-]\d+)\)/.exec(right);
  if (fetched) return atomic(fetched[1], fetched[2], fetched[3], to);
  const changed = /^(-|be\d\d|le\d\d|bswap\d\d) ?[rw]\d+$/.exec(right);
  if (changed) {
    const operator = changed[1] === '-' ? 'neg' : (changed[1] as string);
    return { kind: 'arithmetic', to, operator, operand: undefined, bits };
  }
  const value = operand(right);
  if (value && 'constant' in value) {
    return { kind: 'constant', to, value: value.constant, wide: /^0x[0-9a-f]{9,}$/.test(right) };
  }
  return /^(map|func|<)/.test(right)
    ? { kind: 'constant', to, value: undefined, wide: true }
    : { kind: 'other', to };
}

function atomic(bits?: string, base?: string, offset?: string, to?: number): Instruction {
  return { kind: 'atomic', base: Number(base), offset: Number(offset), size: sizes[bits ?? ''] ?? 8, to };
}

function operand(text: string): Operand | undefined {
  const register = /^[rw](\d+)$/.exec(text);
  if (register) return { register: Number(register[1]) };
  if (!/^-?(?:0x[0-9a-f]{1,16}|\d{1,20})$/.test(text)) return undefined;
  return { constant: text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text) };
}
