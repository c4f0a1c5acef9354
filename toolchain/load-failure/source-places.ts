/** Where in the source an object's own records point: symbols through ELF relocations, instructions through lines. */
import { lineAt } from '../btf/ext';
import type { LineInfo } from '../btf/ext';
import { relocationsOf } from '../elf/elf';
import type { BpfObject } from '../elf/object';
import { sourcePositions } from '../verifier/position';
import type { MapPath, SourceSpan } from '../verifier/position';
import { INSN_SIZE } from '../insn/opcodes';
import { CALL } from '../insn/opcodes';

/** The place of an instruction of an ELF section; with `word`, that word on its line where it stands there. */
export function placeInSection(
  object: BpfObject,
  section: string,
  insn: number,
  mapPath: MapPath,
  word?: string,
): SourceSpan | undefined {
  const positions = sourcePositions(object.ext?.lines.get(section) ?? [], object.btf, mapPath);
  const at = positions.at(insn);
  return (word !== undefined && at && wordIn(at, word)) || at;
}

/** The first use of a symbol that the object does not define, within the program where it is used there. */
export function placeOfSymbol(
  object: BpfObject,
  symbol: string,
  program: string,
  mapPath: MapPath,
): SourceSpan | undefined {
  const home = object.programs.find(({ name }) => name === program)?.section;
  const sections = [...object.elf.sections].sort((a, b) => Number(b.name === home) - Number(a.name === home));
  for (const section of sections) {
    for (const { offset, symbol: index } of relocationsOf(object.elf, section.index)) {
      if (object.elf.symbols[index]?.name !== symbol) continue;
      const at = placeInSection(object, section.name, Math.floor(offset / INSN_SIZE), mapPath, symbol);
      if (at) return at;
    }
  }
  return undefined;
}

/** The first call of the program to a symbol that the object does not define: a kernel function. */
export function firstKernelCall(
  object: BpfObject,
  program: string,
  mapPath: MapPath,
): { name: string; at: SourceSpan | undefined } | undefined {
  const own = object.programs.find(({ name }) => name === program);
  const section = own && object.elf.sections.find(({ name }) => name === own.section);
  if (!section) return undefined;
  for (const { offset, symbol } of relocationsOf(object.elf, section.index)) {
    const insn = Math.floor(offset / INSN_SIZE) - own.firstInsn;
    const called = object.elf.symbols[symbol];
    const isCall = insn >= 0 && insn < own.insnCount && section.data[offset] === CALL;
    if (!isCall || called?.section !== 0) continue;
    const { name } = called;
    return { name, at: placeInSection(object, section.name, own.firstInsn + insn, mapPath, name) };
  }
  return undefined;
}

/** A span narrowed to the last occurrence of a word, dots allowed, on its line; undefined when it is not there. */
export function wordIn(at: SourceSpan, word: string): SourceSpan | undefined {
  if (!/^[\w.]+$/.test(word)) return undefined;
  const found = [...at.text.matchAll(new RegExp(`\\b${word.replaceAll('.', '\\.')}\\b`, 'g'))];
  // The one the column points at or before, else the first.
  const index = (found.find((match) => match.index + word.length >= at.column - 1) ?? found[0])?.index;
  if (index === undefined) return undefined;
  const { line } = at.range.start;
  return {
    ...at,
    range: { start: { line, character: index }, end: { line, character: index + word.length } },
    column: index + 1,
    expression: word,
  };
}

/**
 * Instruction of the loaded program → section and instruction in the object. libbpf appends the subprograms that a
 * program calls to it; a loaded line record that equals one of the object's says by how much.
 */
export function objectInstructions(
  object: BpfObject,
  loaded: readonly LineInfo[],
  insn: number,
): { section: string; insn: number }[] {
  const record = lineAt(loaded, insn);
  if (!record) return [];
  const found: { section: string; insn: number }[] = [];
  for (const [section, lines] of object.ext?.lines ?? []) {
    for (const line of lines) {
      const same =
        line.fileOffset === record.fileOffset &&
        line.textOffset === record.textOffset &&
        line.line === record.line &&
        line.column === record.column;
      if (same) found.push({ section, insn: line.insn + insn - record.insn });
    }
  }
  return found;
}
