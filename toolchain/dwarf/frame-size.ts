/** Bytes of stack that a compiled function uses, which clang's frame offsets are counted from. */
import type { ElfFile } from '../elf/elf';
import { relocationsOf } from '../elf/elf';
import { Cursor } from './cursor';
import { addressOf } from './sections';
import type { Address } from './sections';

const INSN_SIZE = 8;
const FRAME_POINTER = 10;

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
  const data = elf.sections[section]?.data ?? new Uint8Array();
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const { littleEndian } = elf;
  let lowest = 0;
  /** Registers that hold R10 and a constant at this point of the code, as far as it is straight. */
  const copies = new Map<number, number>();
  for (let at = from; at + INSN_SIZE <= Math.min(to, data.length); at += INSN_SIZE) {
    const code = view.getUint8(at);
    const registers = view.getUint8(at + 1);
    const dst = littleEndian ? registers & 15 : registers >> 4;
    const src = littleEndian ? registers >> 4 : registers & 15;
    const offset = view.getInt16(at + 2, littleEndian);
    const immediate = view.getInt32(at + 4, littleEndian);
    const kind = code & 7;
    if (kind === 1 && src === FRAME_POINTER) lowest = Math.min(lowest, offset);
    else if ((kind === 2 || kind === 3) && dst === FRAME_POINTER) lowest = Math.min(lowest, offset);
    else if (code === 0xbf && src === FRAME_POINTER) copies.set(dst, 0);
    else if (code === 0x07 && copies.has(dst)) {
      const sum = (copies.get(dst) ?? 0) + immediate;
      copies.set(dst, sum);
      lowest = Math.min(lowest, sum);
    } else if (kind === 4 || kind === 7 || kind === 1) copies.delete(dst);
  }
  return Math.ceil((0 - lowest) / 8) * 8;
}
