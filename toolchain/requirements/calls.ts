/** Who calls whom in an object, and which helpers and kfuncs each function calls. */
import { relocationsOf, type ElfRelocation, type ElfSymbol } from '../elf/elf';
import type { BpfObject, ObjectProgram } from '../elf/object';
import { decodeInsns } from '../insn/insn';
import { CALL, CallKind, INSN_SIZE, LD_IMM64 } from '../insn/opcodes';

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
  const relocations = new Map(relocationsOf(elf, section.index).map((one) => [one.offset, one]));
  const symbolOf = (relocation: ElfRelocation | undefined): ElfSymbol | undefined =>
    relocation && elf.symbols[relocation.symbol];
  const addFunction = (where: string | undefined, insn: number) => {
    const found = functions.find(
      (one) => one.section === where && insn >= one.firstInsn && insn < one.firstInsn + one.insnCount,
    );
    if (found) called.functions.add(found);
  };
  const { firstInsn, insnCount } = code;
  const bytes = section.data.subarray(firstInsn * INSN_SIZE, (firstInsn + insnCount) * INSN_SIZE);
  for (const [index, insn] of decodeInsns(bytes, elf.littleEndian).entries()) {
    if (insn?.code !== CALL && insn?.code !== LD_IMM64) continue;
    const at = firstInsn + index;
    const isCall = insn.code === CALL;
    const symbol = symbolOf(relocations.get(at * INSN_SIZE));
    if (symbol && symbol.section === 0) {
      if (isCall && symbol.binding !== 'weak') called.kfuncs.add(symbol.name);
    } else if (symbol) {
      // An address has its offset in bytes, a call counts instructions from the one after it.
      const offset = isCall ? insn.imm + 1 : Math.floor(insn.imm / INSN_SIZE);
      addFunction(elf.sections[symbol.section]?.name, Math.floor(symbol.value / INSN_SIZE) + offset);
    } else if (isCall && insn.src === CallKind.SUBPROGRAM) {
      addFunction(code.section, at + insn.imm + 1);
    } else if (isCall && insn.src === CallKind.HELPER) {
      called.helpers.add(insn.imm);
    }
  }
  return called;
}
