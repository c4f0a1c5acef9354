/** Which of the instructions that not every kernel has a function uses. */
import type { BpfObject, ObjectProgram } from '../elf/object';
import { additionOf, additions } from '../insn/additions';
import { decodeInsns } from '../insn/insn';
import { INSN_SIZE } from '../insn/opcodes';

/** Names of the additions that a function uses itself, e.g. `signed division (-mcpu=v4)`. */
export function additionsIn({ elf }: BpfObject, code: ObjectProgram): string[] {
  const section = elf.sections.find(({ name }) => name === code.section);
  if (!section) return [];
  const { firstInsn, insnCount } = code;
  const bytes = section.data.subarray(firstInsn * INSN_SIZE, (firstInsn + insnCount) * INSN_SIZE);
  const found = new Set<string>();
  for (const insn of decodeInsns(bytes, elf.littleEndian)) {
    const name = insn && additionOf(insn);
    if (!name) continue;
    const { plural, cpu } = additions[name];
    found.add(cpu ? `${plural} (-mcpu=${cpu})` : plural);
  }
  return [...found];
}
