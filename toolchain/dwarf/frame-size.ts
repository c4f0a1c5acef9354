/** Bytes of stack that a compiled function uses, which clang's frame offsets are counted from. */
import type { ElfFile } from '../elf/elf';
import { relocationsOf } from '../elf/elf';
import { decodeInsns } from '../insn/insn';
import { Alu, Class, CLASS_BITS, R10, SOURCE_REGISTER } from '../insn/opcodes';
import { Cursor } from './cursor';
import { addressOf } from './sections';
import type { Address } from './sections';

/** `rX = rY` and `rX += constant` in 64 bits. */
const MOVE = Class.ALU64 | Alu.MOV | SOURCE_REGISTER;
const ADD_CONSTANT = Class.ALU64 | Alu.ADD;

/** `.stack_sizes`, which -fstack-size-section writes: an address and a ULEB128 for each function. */
export function readStackSizes(elf: ElfFile): Map<Address, number> {
  const sizes = new Map<Address, number>();
  for (const section of elf.sections) {
    if (section.name !== '.stack_sizes') continue;
    const { data } = section;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    const symbols = new Map(relocationsOf(elf, section.index).map(({ offset, symbol }) => [offset, symbol]));
    const cursor = new Cursor(view, elf.littleEndian, 0);
    while (cursor.more) {
      const symbol = elf.symbols[symbols.get(cursor.at) ?? -1];
      const offset = Number(cursor.u64()) + (symbol?.value ?? 0);
      const size = cursor.uleb();
      if (!cursor.failed && symbol) sizes.set(addressOf(symbol.section, offset), size);
    }
  }
  return sizes;
}

/**
 * The frame's size by the lowest offset from R10 that the code uses, rounded up to the eight bytes that clang
 * aligns frames to. Too small only where the lowest variable is never touched at its beginning.
 */
export function frameSizeOfCode(elf: ElfFile, section: number, from: number, to: number): number {
  const code = elf.sections[section]?.data.subarray(from, to) ?? new Uint8Array();
  let lowest = 0;
  /** Registers that hold R10 and a constant at this point of the code, as far as it is straight. */
  const copies = new Map<number, number>();
  for (const insn of decodeInsns(code, elf.littleEndian)) {
    if (!insn) continue;
    const { code: opcode, dst, src, off, imm } = insn;
    const kind = opcode & CLASS_BITS;
    if (kind === Class.LDX && src === R10) lowest = Math.min(lowest, off);
    else if ((kind === Class.ST || kind === Class.STX) && dst === R10) lowest = Math.min(lowest, off);
    else if (opcode === MOVE && src === R10) copies.set(dst, 0);
    else if (opcode === ADD_CONSTANT && copies.has(dst)) {
      const sum = (copies.get(dst) ?? 0) + imm;
      copies.set(dst, sum);
      lowest = Math.min(lowest, sum);
    } else if (kind === Class.ALU || kind === Class.ALU64 || kind === Class.LDX) copies.delete(dst);
  }
  return Math.ceil((0 - lowest) / 8) * 8;
}
