/** Instructions that were added to the instruction set after Linux 5.10, which every kernel here has the rest of. */
import type { BpfObject, ObjectProgram } from '../elf/object';

/** Fields of `struct bpf_insn`; Documentation/bpf/standardization/instruction-set.rst. */
interface Instruction {
  opcode: number;
  offset: number;
  immediate: number;
}

const LOAD_IMMEDIATE_64 = 0x18;
const isAlu = ({ opcode }: Instruction) => (opcode & 7) === 4 || (opcode & 7) === 7;
const isAtomic = ({ opcode }: Instruction) => (opcode & 0xe7) === 0xc3;

/** What they are called, and how they are told from those that share their opcode. */
const additions: { name: string; is(insn: Instruction): boolean }[] = [
  // BPF_ATOMIC with more than BPF_ADD: BPF_FETCH, BPF_XCHG, BPF_CMPXCHG, and, or, xor.
  {
    name: 'atomic operations other than add (-mcpu=v3)',
    is: (insn) => isAtomic(insn) && insn.immediate !== 0 && insn.immediate < 0x100,
  },
  {
    name: 'load-acquire and store-release (-mcpu=v4)',
    is: (insn) => isAtomic(insn) && (insn.immediate === 0x100 || insn.immediate === 0x110),
  },
  { name: 'sign-extending loads (-mcpu=v4)', is: ({ opcode }) => (opcode & 0xe7) === 0x81 },
  {
    name: 'sign-extending moves (-mcpu=v4)',
    is: (insn) => isAlu(insn) && (insn.opcode & 0xf8) === 0xb8 && [8, 16, 32].includes(insn.offset),
  },
  // BPF_END in the class of 64-bit arithmetic.
  { name: 'byte swaps (-mcpu=v4)', is: ({ opcode }) => opcode === 0xd7 },
  {
    name: 'signed division (-mcpu=v4)',
    is: (insn) => isAlu(insn) && [0x30, 0x90].includes(insn.opcode & 0xf0) && insn.offset === 1,
  },
  { name: 'long jumps (-mcpu=v4)', is: ({ opcode }) => opcode === 0x06 },
  { name: 'may_goto', is: ({ opcode }) => opcode === 0xe5 },
  { name: 'casts between address spaces', is: ({ opcode, offset }) => opcode === 0xbf && offset === 1 },
];

/** Names of the additions that a function uses itself. */
export function additionsIn({ elf }: BpfObject, code: ObjectProgram): string[] {
  const section = elf.sections.find(({ name }) => name === code.section);
  if (!section) return [];
  const view = new DataView(section.data.buffer, section.data.byteOffset, section.data.byteLength);
  const found = new Set<string>();
  const last = Math.min(code.firstInsn + code.insnCount, Math.floor(view.byteLength / 8));
  for (let at = code.firstInsn; at < last; at++) {
    const insn: Instruction = {
      opcode: view.getUint8(at * 8),
      offset: view.getInt16(at * 8 + 2, elf.littleEndian),
      immediate: view.getInt32(at * 8 + 4, elf.littleEndian),
    };
    for (const { name, is } of additions) if (is(insn)) found.add(name);
    // The second half of a 64-bit immediate is no instruction.
    if (insn.opcode === LOAD_IMMEDIATE_64) at++;
  }
  return [...found];
}
