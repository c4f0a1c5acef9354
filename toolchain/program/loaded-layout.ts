/**
 * Which instruction of an object file an instruction of a loaded program is. libbpf puts a program together from its
 * own code and, behind it, the functions of `.text` that it calls, in the order in which it meets the calls.
 */
import { lineAt, parseLineInfo } from '../btf/ext';
import type { LineInfo } from '../btf/ext';
import { relocationsOf } from '../elf/elf';
import type { BpfObject, ObjectProgram } from '../elf/object';
import { decodeInsns } from '../insn/insn';
import { CALL, CallKind, INSN_SIZE, LD_IMM64 } from '../insn/opcodes';

export interface ObjectInsn {
  /** ELF section, and the instruction's index within it. */
  section: string;
  insn: number;
}

export interface LoadedLayout {
  /** Where an instruction of the loaded program stands in the object; undefined where that is not known. */
  at(insn: number): ObjectInsn | undefined;
  /** First instructions of the functions it consists of. */
  functions: ObjectInsn[];
}

interface Block extends ObjectProgram {
  /** Index of its first instruction in the loaded program. */
  at: number;
}

/** The kernel's limit, BPF_COMPLEXITY_LIMIT_SUBPROGS is lower. */
const MAX_BLOCKS = 1024;

/**
 * @param lineInfo The loaded program's, see ProgramVerdict.lineInfo. Where it contradicts the object, nothing is
 * mapped: libbpf has laid the program out in another way than this reader knows.
 */
export function loadedLayout(object: BpfObject, program: string, lineInfo: Uint8Array): LoadedLayout {
  const main = object.programs.find(({ name }) => name === program);
  const lines = parseLineInfo(lineInfo, object.elf.littleEndian);
  const blocks = main ? agreeing(blocksOf(object, main), lines, object) : [];
  return {
    functions: blocks.map(({ section, firstInsn }) => ({ section, insn: firstInsn })),
    at(insn) {
      const block = blocks.find(({ at, insnCount }) => insn >= at && insn < at + insnCount);
      return block && { section: block.section, insn: block.firstInsn + insn - block.at };
    },
  };
}

/** As bpf_object__reloc_code of libbpf: depth first, each function once, appended when its first call is met. */
function blocksOf(object: BpfObject, main: ObjectProgram): Block[] {
  const blocks: Block[] = [{ ...main, at: 0 }];
  let end = main.insnCount;
  const visit = (block: Block) => {
    for (const target of calledBy(object, block)) {
      const known = blocks.some((one) => one.section === '.text' && one.firstInsn === target.firstInsn);
      if (known || blocks.length >= MAX_BLOCKS) continue;
      const added = { ...target, at: end };
      end += target.insnCount;
      blocks.push(added);
      visit(added);
    }
  };
  visit(blocks[0] as Block);
  return blocks;
}

/** Functions of `.text` that a block calls, or takes the address of, in the order of its instructions. */
function calledBy({ elf, subprograms }: BpfObject, block: ObjectProgram): ObjectProgram[] {
  const section = elf.sections.find(({ name }) => name === block.section);
  const text = elf.sections.find(({ name }) => name === '.text');
  if (!section || !text) return [];
  const symbols = new Map(
    relocationsOf(elf, section.index).map(({ offset, symbol }) => [offset, elf.symbols[symbol]]),
  );
  const called: ObjectProgram[] = [];
  const { firstInsn, insnCount } = block;
  const code = section.data.subarray(firstInsn * INSN_SIZE, (firstInsn + insnCount) * INSN_SIZE);
  for (const [index, insn] of decodeInsns(code, elf.littleEndian).entries()) {
    if (insn?.code !== CALL && insn?.code !== LD_IMM64) continue;
    const at = (firstInsn + index) * INSN_SIZE;
    const symbol = symbols.get(at);
    if (symbol && symbol.section !== text.index) continue;
    let target: number;
    if (insn.code === LD_IMM64) {
      if (!symbol) continue;
      target = (symbol.value + insn.imm) / INSN_SIZE;
    } else if (symbol) target = symbol.value / INSN_SIZE + insn.imm + 1;
    else if (insn.src === CallKind.SUBPROGRAM && block.section === '.text')
      target = at / INSN_SIZE + insn.imm + 1;
    else continue;
    const found = subprograms.find(
      (one) => target >= one.firstInsn && target < one.firstInsn + one.insnCount,
    );
    if (found) called.push(found);
  }
  return called;
}

/** The blocks up to the first whose beginning has another line in the loaded program than in the object. */
function agreeing(blocks: Block[], loaded: LineInfo[], object: BpfObject): Block[] {
  const first = blocks.findIndex(({ section, firstInsn, at }) => {
    const here = lineAt(loaded, at);
    const there = lineAt(object.ext?.lines.get(section) ?? [], firstInsn);
    return !here || here.line !== there?.line || here.column !== there.column;
  });
  return first < 0 ? blocks : blocks.slice(0, first);
}
