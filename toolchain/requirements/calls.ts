/** Who calls whom in an object, and which helpers and kfuncs each function calls. */
import { relocationsOf, type ElfRelocation, type ElfSymbol } from '../elf/elf';
import type { BpfObject, ObjectProgram } from '../elf/object';

/** `BPF_JMP | BPF_CALL` and `BPF_LD | BPF_IMM | BPF_DW`, include/uapi/linux/bpf.h. */
const CALL = 0x85;
const LOAD_IMMEDIATE_64 = 0x18;
/** `BPF_PSEUDO_CALL`: source register of a call to a function of the program's own. */
const PSEUDO_CALL = 1;

export interface Calls {
  /** The program itself and every function it calls or passes as a callback, each once. */
  reachableFrom(program: ObjectProgram): ObjectProgram[];
  /** Numbers of the helpers that a function calls itself. */
  helpers(code: ObjectProgram): number[];
  /** Names of the kernel functions it calls itself, without weak ones. */
  kfuncs(code: ObjectProgram): string[];
}

interface Called {
  helpers: Set<number>;
  kfuncs: Set<string>;
  functions: Set<ObjectProgram>;
}

export function callsOf(object: BpfObject): Calls {
  const functions = [...object.programs, ...object.subprograms];
  const called = new Map<ObjectProgram, Called>();
  const look = (code: ObjectProgram): Called => {
    const known = called.get(code) ?? scan(object, functions, code);
    called.set(code, known);
    return known;
  };
  return {
    reachableFrom(program) {
      const reached = new Set([program]);
      // A set hands out what is added to it while it is walked.
      for (const code of reached) for (const next of look(code).functions) reached.add(next);
      return [...reached];
    },
    helpers: (code) => [...look(code).helpers],
    kfuncs: (code) => [...look(code).kfuncs],
  };
}

function scan({ elf }: BpfObject, functions: ObjectProgram[], code: ObjectProgram): Called {
  const called: Called = { helpers: new Set(), kfuncs: new Set(), functions: new Set() };
  const section = elf.sections.find(({ name }) => name === code.section);
  if (!section) return called;
  const view = new DataView(section.data.buffer, section.data.byteOffset, section.data.byteLength);
  const relocations = new Map(relocationsOf(elf, section.index).map((one) => [one.offset, one]));
  const symbolOf = (relocation: ElfRelocation | undefined): ElfSymbol | undefined =>
    relocation && elf.symbols[relocation.symbol];
  const addFunction = (where: string | undefined, insn: number) => {
    const found = functions.find(
      (one) => one.section === where && insn >= one.firstInsn && insn < one.firstInsn + one.insnCount,
    );
    if (found) called.functions.add(found);
  };
  const last = Math.min(code.firstInsn + code.insnCount, Math.floor(view.byteLength / 8));
  for (let insn = code.firstInsn; insn < last; insn++) {
    const opcode = view.getUint8(insn * 8);
    if (opcode !== CALL && opcode !== LOAD_IMMEDIATE_64) continue;
    const registers = view.getUint8(insn * 8 + 1);
    const source = elf.littleEndian ? registers >> 4 : registers & 0xf;
    const immediate = view.getInt32(insn * 8 + 4, elf.littleEndian);
    const symbol = symbolOf(relocations.get(insn * 8));
    if (symbol && symbol.section === 0) {
      if (opcode === CALL && symbol.binding !== 'weak') called.kfuncs.add(symbol.name);
    } else if (symbol) {
      // An address has its offset in bytes, a call counts instructions from the one after it.
      const offset = opcode === CALL ? immediate + 1 : Math.floor(immediate / 8);
      addFunction(elf.sections[symbol.section]?.name, Math.floor(symbol.value / 8) + offset);
    } else if (opcode === CALL && source === PSEUDO_CALL) {
      addFunction(code.section, insn + immediate + 1);
    } else if (opcode === CALL && source === 0) {
      called.helpers.add(immediate);
    }
    // The second half of a 64-bit immediate is no instruction.
    if (opcode === LOAD_IMMEDIATE_64) insn++;
  }
  return called;
}
