/** Addresses of maps and kernel variables in a program, which the kernel tells to programs only. */
import type { Insn } from '../../../toolchain/insn/insn';
import { LD_IMM64, Pseudo } from '../../../toolchain/insn/opcodes';

/** 64-bit immediate loads whose results the kernel tells to programs only, each with where the program has it. */
export interface AddressLoad {
  insn: Insn;
  places: number[];
}

export function addressLoads(insns: readonly (Insn | undefined)[]): AddressLoad[] {
  const found = new Map<string, AddressLoad>();
  insns.forEach((insn, index) => {
    if (insn?.code !== LD_IMM64) return;
    if (insn.src !== Pseudo.MAP && insn.src !== Pseudo.MAP_VALUE && insn.src !== Pseudo.BTF_ID) return;
    const key = `${insn.src} ${insn.imm} ${insn.high}`;
    const known = found.get(key);
    if (known) known.places.push(index);
    else found.set(key, { insn, places: [index] });
  });
  return [...found.values()];
}
