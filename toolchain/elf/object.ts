/** What a BPF object file offers without its source: programs, maps, license, BTF. */
import { fail, succeed } from '../problem';
import type { Outcome, Problem } from '../problem';
import { parseBtf } from '../btf/parse';
import { parseBtfExt } from '../btf/ext';
import type { BtfExt } from '../btf/ext';
import type { Btf } from '../btf/btf';
import { SectionFlag, SectionType, findSection, readBpfElf, stringAt } from './elf';
import type { ElfFile, ElfSymbol } from './elf';
import { placeVariables } from './datasec';
import { mapsOf } from './maps';
import type { ObjectMap } from './maps';

export interface ObjectProgram {
  /** C function name. */
  name: string;
  /** ELF section, the argument of `SEC()`. */
  section: string;
  /** First instruction within the section, and how many follow. */
  firstInsn: number;
  insnCount: number;
}

export interface BpfObject {
  elf: ElfFile;
  programs: ObjectProgram[];
  /** Functions in `.text`: subprograms that programs call. */
  subprograms: ObjectProgram[];
  maps: ObjectMap[];
  license?: string;
  btf?: Btf;
  ext?: BtfExt;
  /** What is missing or odd but does not keep the object from being read: no BTF, no debug info, no programs. */
  problems: Problem[];
}

const withDebugInfo = 'Compile it with -g: clang -O2 -g -target bpf -c FILE.bpf.c -o FILE.o';

/** Reads an object file; fails only when it is no BPF object at all. */
export function readBpfObject(bytes: Uint8Array): Outcome<BpfObject> {
  const outcome = readBpfElf(bytes);
  if (!outcome.ok) return outcome;
  const elf = outcome.value;
  const functions = functionsOf(elf);
  const object: BpfObject = {
    elf,
    programs: functions.filter((one) => one.section !== '.text'),
    subprograms: functions.filter((one) => one.section === '.text'),
    maps: [],
    problems: [],
  };
  const license = findSection(elf, 'license');
  if (license) object.license = stringAt(license.data, 0);
  readTypes(object);
  object.maps = mapsOf(object.btf, elf);
  if (object.programs.length === 0) {
    const message = 'The object contains no BPF program: no function stands in a section of its own.';
    const hint = 'Mark a function with SEC("…"), for example SEC("xdp").';
    object.problems.push(fail('elf/no-programs', message, hint).problem);
  }
  if (!elf.littleEndian) {
    const message = 'The object was compiled for a big-endian machine (-target bpfeb).';
    const hint = 'For a little-endian machine compile with -target bpf or -target bpfel.';
    object.problems.push(fail('elf/big-endian', message, hint).problem);
  }
  return succeed(object);
}

function readTypes(object: BpfObject) {
  const section = findSection(object.elf, '.BTF');
  if (!section) {
    const message =
      'The object has no BTF, so the kernel cannot tell types, source lines or map layouts, and CO-RE does not work.';
    object.problems.push(fail('elf/no-btf', message, withDebugInfo).problem);
    return;
  }
  // A copy, because the offsets of global variables are put into it.
  const data = section.data.slice();
  const btf = parseBtf(data);
  if (!btf.ok) {
    object.problems.push(btf.problem);
    return;
  }
  placeVariables(btf.value, data, object.elf);
  object.btf = btf.value;
  const extSection = findSection(object.elf, '.BTF.ext');
  const ext = extSection && parseBtfExt(extSection.data, btf.value);
  if (ext && !ext.ok) object.problems.push(ext.problem);
  if (ext?.ok) object.ext = ext.value;
  if (!extSection || (ext?.ok && ext.value.lines.size === 0)) {
    const message = 'The object has no line information, so findings cannot be placed in the source.';
    object.problems.push(fail('elf/no-lines', message, withDebugInfo).problem);
  }
}

function functionsOf(elf: ElfFile): ObjectProgram[] {
  const isFunction = (symbol: ElfSymbol) => {
    const section = symbol.type === 'func' && symbol.size > 0 ? elf.sections[symbol.section] : undefined;
    return section?.type === SectionType.Progbits && (section.flags & SectionFlag.Exec) !== 0;
  };
  return elf.symbols
    .filter(isFunction)
    .sort((a, b) => a.section - b.section || a.value - b.value)
    .map((symbol) => ({
      name: symbol.name,
      section: elf.sections[symbol.section]?.name ?? '',
      firstInsn: Math.floor(symbol.value / 8),
      insnCount: Math.floor(symbol.size / 8),
    }));
}
