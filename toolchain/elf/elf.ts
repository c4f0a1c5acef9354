/**
 * A reader of relocatable ELF64 files, as far as BPF objects need it: sections, symbols, REL relocations.
 * Layout: the System V ABI's ELF-64 object file format. Nothing here trusts the file: every offset is checked
 * against the file's size before it is followed, and whatever does not fit is a problem in words.
 */
import { fail, succeed } from '../problem';
import type { Outcome } from '../problem';

export const EM_BPF = 247;
export const SectionType = {
  Null: 0,
  Progbits: 1,
  Symtab: 2,
  Strtab: 3,
  Rela: 4,
  Nobits: 8,
  Rel: 9,
} as const;
export const SectionFlag = { Write: 0x1, Alloc: 0x2, Exec: 0x4 } as const;

export interface ElfSection {
  index: number;
  name: string;
  /** `sh_type`, see {@link SectionType}. */
  type: number;
  flags: number;
  /** Bytes in memory; a `.bss` section has a size but no `data`. */
  size: number;
  link: number;
  info: number;
  entrySize: number;
  /** A view into the file, empty for SHT_NOBITS. */
  data: Uint8Array;
}

export interface ElfSymbol {
  index: number;
  name: string;
  /** Offset in bytes from the start of its section. */
  value: number;
  size: number;
  /** Section header index; 0 for undefined symbols. */
  section: number;
  type: 'notype' | 'object' | 'func' | 'section' | 'file' | 'other';
  binding: 'local' | 'global' | 'weak' | 'other';
}

export interface ElfRelocation {
  /** Bytes from the start of the section that is relocated. */
  offset: number;
  /** `R_BPF_*`. */
  type: number;
  /** Index into {@link ElfFile.symbols}. */
  symbol: number;
}

export interface ElfFile {
  littleEndian: boolean;
  /** `e_machine`; {@link EM_BPF} for BPF. */
  machine: number;
  sections: ElfSection[];
  symbols: ElfSymbol[];
}

const HEADER_SIZE = 64;
const SECTION_HEADER_SIZE = 64;
const SYMBOL_SIZE = 24;
const REL_SIZE = 16;

/** Machines that clang compiles for by mistake, by `e_machine`. */
const machineNames: Record<number, string> = {
  3: 'x86 (32 bit)',
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC 64',
  22: 's390x',
  40: 'ARM',
  62: 'x86-64',
  183: 'AArch64',
  243: 'RISC-V',
  258: 'LoongArch',
};

const recompile = 'Compile it again: clang -O2 -g -target bpf -c FILE.bpf.c -o FILE.o';

/** Reads an ELF64 file of any machine. Problems: `elf/empty`, `elf/not-elf`, `elf/32-bit`, `elf/truncated`, `elf/corrupt`. */
export function readElf(bytes: Uint8Array): Outcome<ElfFile> {
  if (bytes.length === 0) return fail('elf/empty', 'The file is empty, so it is no object file.', recompile);
  if (!(bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46)) {
    const hint = 'Name a .bpf.c source, or its object: clang -O2 -g -target bpf -c FILE.bpf.c -o FILE.o';
    return fail('elf/not-elf', `This is ${describeForeign(bytes)}, not an ELF object file.`, hint);
  }
  if (bytes.length < HEADER_SIZE) return truncated(`its header needs 64 bytes and it has ${bytes.length}`);
  if (bytes[4] === 1) {
    return fail('elf/32-bit', 'This is a 32-bit ELF file; BPF objects are 64-bit.', recompile);
  }
  if (bytes[4] !== 2 || (bytes[5] !== 1 && bytes[5] !== 2)) {
    return corrupt(
      `its class is ${bytes[4]} and its data encoding is ${bytes[5]}, which ELF does not define`,
    );
  }
  const littleEndian = bytes[5] === 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u16 = (at: number) => view.getUint16(at, littleEndian);
  const machine = u16(18);

  const tableOffset = smallU64(view, 40, littleEndian);
  if (tableOffset === 0) return corrupt('it has no section headers');
  const headerSize = u16(58);
  if (headerSize !== SECTION_HEADER_SIZE)
    return corrupt(`its section headers have ${headerSize} bytes, not 64`);
  if (tableOffset + SECTION_HEADER_SIZE > bytes.length)
    return truncated('its section headers lie beyond its end');
  // More than 65,279 sections: the counts live in the first section header.
  const count = u16(60) || smallU64(view, tableOffset + 32, littleEndian);
  const namesIndex = u16(62) === 0xffff ? view.getUint32(tableOffset + 40, littleEndian) : u16(62);
  if (tableOffset + count * SECTION_HEADER_SIZE > bytes.length) {
    return truncated(`its ${count} section headers lie beyond its end`);
  }

  const sections: ElfSection[] = [];
  const nameOffsets: number[] = [];
  for (let index = 0; index < count; index++) {
    const at = tableOffset + index * SECTION_HEADER_SIZE;
    const type = view.getUint32(at + 4, littleEndian);
    const offset = smallU64(view, at + 24, littleEndian);
    const size = smallU64(view, at + 32, littleEndian);
    const stored = type === SectionType.Nobits || type === SectionType.Null ? 0 : size;
    if (offset + stored > bytes.length) {
      return truncated(
        `section ${index} ends at byte ${offset + stored} and the file at byte ${bytes.length}`,
      );
    }
    nameOffsets.push(view.getUint32(at, littleEndian));
    sections.push({
      index,
      name: '',
      type,
      flags: smallU64(view, at + 8, littleEndian),
      size,
      link: view.getUint32(at + 40, littleEndian),
      info: view.getUint32(at + 44, littleEndian),
      entrySize: smallU64(view, at + 56, littleEndian),
      data: bytes.subarray(stored ? offset : 0, stored ? offset + stored : 0),
    });
  }
  const names = sections[namesIndex]?.data;
  if (!names) return corrupt(`section ${namesIndex}, which should hold the section names, does not exist`);
  for (const section of sections) section.name = stringAt(names, nameOffsets[section.index] ?? 0);

  return succeed({ littleEndian, machine, sections, symbols: readSymbols(sections, littleEndian) });
}

/** As {@link readElf}, and refuses what was not compiled for BPF (`elf/foreign-machine`). */
export function readBpfElf(bytes: Uint8Array): Outcome<ElfFile> {
  const outcome = readElf(bytes);
  if (!outcome.ok || outcome.value.machine === EM_BPF) return outcome;
  const machine = machineNames[outcome.value.machine] ?? `machine ${outcome.value.machine}`;
  return fail(
    'elf/foreign-machine',
    `This object was compiled for ${machine}, not for BPF.`,
    'Add -target bpf: clang -O2 -g -target bpf -c FILE.bpf.c -o FILE.o',
  );
}

export function findSection(elf: ElfFile, name: string): ElfSection | undefined {
  return elf.sections.find((section) => section.name === name);
}

/** The REL relocations that apply to a section, in file order; entries cut off by the section's end are left out. */
export function relocationsOf(elf: ElfFile, section: number): ElfRelocation[] {
  const relocations: ElfRelocation[] = [];
  for (const { type, info, data } of elf.sections) {
    if (type !== SectionType.Rel || info !== section) continue;
    const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
    for (let at = 0; at + REL_SIZE <= data.length; at += REL_SIZE) {
      const low = view.getUint32(at + 8 + (elf.littleEndian ? 0 : 4), elf.littleEndian);
      const high = view.getUint32(at + 8 + (elf.littleEndian ? 4 : 0), elf.littleEndian);
      relocations.push({ offset: smallU64(view, at, elf.littleEndian), type: low, symbol: high });
    }
  }
  return relocations;
}

function readSymbols(sections: ElfSection[], littleEndian: boolean): ElfSymbol[] {
  const table = sections.find((section) => section.type === SectionType.Symtab);
  const names = table && sections[table.link]?.data;
  if (!table || !names) return [];
  const view = new DataView(table.data.buffer, table.data.byteOffset, table.data.byteLength);
  const symbols: ElfSymbol[] = [];
  for (let at = 0, index = 0; at + SYMBOL_SIZE <= table.data.length; at += SYMBOL_SIZE, index++) {
    const info = view.getUint8(at + 4);
    symbols.push({
      index,
      name: stringAt(names, view.getUint32(at, littleEndian)),
      value: smallU64(view, at + 8, littleEndian),
      size: smallU64(view, at + 16, littleEndian),
      section: view.getUint16(at + 6, littleEndian),
      type: (['notype', 'object', 'func', 'section', 'file'] as const)[info & 0xf] ?? 'other',
      binding: (['local', 'global', 'weak'] as const)[info >> 4] ?? 'other',
    });
  }
  return symbols;
}

/**
 * A u64 as a number. What exceeds 2^53 can be no offset or size within a file that fits in memory; it becomes
 * the largest safe integer, so that the bounds check which follows refuses it.
 */
function smallU64(view: DataView, at: number, littleEndian: boolean): number {
  const value = view.getBigUint64(at, littleEndian);
  return value > 0xffff_ffff_ffffn ? 0xffff_ffff_ffff : Number(value);
}

const decoder = new TextDecoder();

/** The NUL-terminated string at `offset`; empty when the offset lies outside. */
export function stringAt(table: Uint8Array, offset: number): string {
  if (offset < 0 || offset >= table.length) return '';
  const end = table.indexOf(0, offset);
  return decoder.decode(table.subarray(offset, end < 0 ? table.length : end));
}

function truncated(how: string) {
  return fail('elf/truncated', `The object file is cut short: ${how}.`, recompile);
}

function corrupt(how: string) {
  return fail('elf/corrupt', `The object file is damaged: ${how}.`, recompile);
}

/** What a file that is no ELF file looks like, so that the message can name the likely mistake. */
function describeForeign(bytes: Uint8Array): string {
  const is = (...magic: number[]) => magic.every((byte, index) => bytes[index] === byte);
  if (is(0x42, 0x43, 0xc0, 0xde)) return 'LLVM bitcode (clang -emit-llvm, or -flto)';
  if (is(0x21, 0x3c, 0x61, 0x72, 0x63, 0x68, 0x3e)) return 'an archive of object files (.a)';
  if (is(0x1f, 0x8b)) return 'a gzip file';
  if (is(0xcf, 0xfa, 0xed, 0xfe) || is(0xfe, 0xed, 0xfa, 0xcf)) return 'a Mach-O object';
  const head = bytes.subarray(0, 512);
  return head.every((byte) => byte === 9 || byte === 10 || byte === 13 || (byte >= 32 && byte !== 127))
    ? 'a text file'
    : 'a file of unknown format';
}
