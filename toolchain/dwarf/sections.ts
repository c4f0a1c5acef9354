/** The `.debug_*` sections of an object file with their relocations applied. */
import { relocationsOf } from '../elf/elf';
import type { ElfFile, ElfRelocation } from '../elf/elf';
import { Cursor } from './cursor';

export type SectionName =
  | '.debug_info'
  | '.debug_abbrev'
  | '.debug_str'
  | '.debug_str_offsets'
  | '.debug_line'
  | '.debug_line_str'
  | '.debug_addr'
  | '.debug_macro'
  | '.debug_loclists'
  | '.debug_loc'
  | '.debug_rnglists'
  | '.debug_ranges';

/**
 * An address of code: in an object file each section begins at zero, so the section belongs to the address. Both
 * are kept in one number, so that addresses of one section can be compared and added to.
 */
export type Address = number;

const SECTION_SPAN = 2 ** 32;

export function addressOf(section: number, offset: number): Address {
  return section * SECTION_SPAN + offset;
}

/** `R_BPF_64_64` and `R_BPF_64_ABS64`; all others change four bytes. */
const WIDE = new Set([1, 2]);

export class DebugSections {
  readonly littleEndian: boolean;
  private readonly views = new Map<SectionName, DataView>();
  /** Position in a debug section → ELF section that an address there lies in. */
  private readonly targets = new Map<SectionName, Map<number, number>>();
  private readonly byName = new Map<string, number>();

  constructor(private readonly elf: ElfFile) {
    this.littleEndian = elf.littleEndian;
    for (const section of elf.sections) this.byName.set(section.name, section.index);
  }

  has(name: SectionName): boolean {
    return this.byName.has(name);
  }

  /** Index of an ELF section; -1 if there is none of that name. */
  indexOf(name: string): number {
    return this.byName.get(name) ?? -1;
  }

  /** Reads from a position of a section on; an absent section is an empty one. */
  cursor(name: SectionName, at: number, end?: number): Cursor {
    const view = this.view(name);
    return new Cursor(view, this.littleEndian, at, Math.min(end ?? view.byteLength, view.byteLength));
  }

  /** Reads an address of eight bytes, and which section it lies in by its relocation. */
  address(name: SectionName, cursor: Cursor): Address {
    const section = this.sectionsIn(name).get(cursor.at) ?? 0;
    const offset = cursor.u64();
    return addressOf(section, offset < BigInt(SECTION_SPAN) ? Number(offset) : 0);
  }

  /** The NUL-terminated string at an offset; empty where there is none. */
  string(
    name: '.debug_str' | '.debug_line_str' | '.debug_info' | '.debug_line' | '.debug_macro',
    offset: number,
  ): string {
    const view = this.view(name);
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    if (offset >= bytes.length) return '';
    const end = bytes.indexOf(0, offset);
    return decoder.decode(bytes.subarray(offset, end < 0 ? bytes.length : end));
  }

  private view(name: SectionName): DataView {
    let view = this.views.get(name);
    if (!view) {
      const section = this.elf.sections[this.indexOf(name)];
      const data = section ? relocated(section.data, this.elf, section.index) : new Uint8Array();
      view = new DataView(data.buffer, data.byteOffset, data.byteLength);
      this.views.set(name, view);
    }
    return view;
  }

  private sectionsIn(name: SectionName): Map<number, number> {
    let found = this.targets.get(name);
    if (!found) {
      found = new Map();
      for (const { offset, type, symbol } of relocationsOf(this.elf, this.indexOf(name))) {
        if (WIDE.has(type)) found.set(offset, this.elf.symbols[symbol]?.section ?? 0);
      }
      this.targets.set(name, found);
    }
    return found;
  }
}

const decoder = new TextDecoder();

/**
 * REL relocations add the symbol's value to what stands there. Debug sections refer to sections, whose symbols are
 * zero, so the bytes need to be copied only where an object has other symbols in use.
 */
function relocated(data: Uint8Array, elf: ElfFile, section: number): Uint8Array {
  const moving = relocationsOf(elf, section).filter(({ symbol }) => elf.symbols[symbol]?.value);
  if (moving.length === 0) return data;
  const copy = data.slice();
  const view = new DataView(copy.buffer);
  for (const relocation of moving) apply(view, relocation, elf);
  return copy;
}

function apply(view: DataView, { offset, type, symbol }: ElfRelocation, elf: ElfFile) {
  const value = elf.symbols[symbol]?.value ?? 0;
  if (WIDE.has(type)) {
    if (offset + 8 > view.byteLength) return;
    const sum = view.getBigUint64(offset, elf.littleEndian) + BigInt(value);
    view.setBigUint64(offset, BigInt.asUintN(64, sum), elf.littleEndian);
  } else if (offset + 4 <= view.byteLength) {
    view.setUint32(offset, (view.getUint32(offset, elf.littleEndian) + value) >>> 0, elf.littleEndian);
  }
}
