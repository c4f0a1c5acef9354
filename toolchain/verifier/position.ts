import type { Range } from '../diagnostic';
import type { Btf } from '../btf/btf';
import { lineAt, parseLineInfo } from '../btf/ext';
import type { LineInfo } from '../btf/ext';
import { expressionAround, spanOf } from './span';

export interface SourceSpan {
  /** Absolute path of the file. */
  path: string;
  range: Range;
  /** The whole source line, as the compiler saw it. */
  text: string;
  /** One-based, as the compiler says it; 0 for none. */
  column: number;
  /** The expression at that place, which may begin before it: `eth->h_proto` where the column points at the member. */
  expression: string;
}

/** From instructions of a loaded program to places in its source. */
export interface SourcePositions {
  /** Where an instruction comes from; undefined when the object has no line information for it. */
  at(insn: number): SourceSpan | undefined;
  /**
   * The first position from an instruction on whose source line has a word, else the last one before it. The
   * compiler gives relocated constants no line of their own.
   */
  withWord(word: string, insn: number): SourceSpan | undefined;
  /** The place of a file (its name without directories) and one-based line, as the kernel's own report gives it. */
  atLine(file: string, line: number, column: number): SourceSpan | undefined;
  /** The line on which a variable is declared, as the compiler's debug information has it; it may have no instruction. */
  declared(file: string, line: number): SourceSpan;
  /** The first position of the program. */
  first(): SourceSpan | undefined;
}

/** File name as the object's BTF has it → absolute path of the file the user knows. */
export type MapPath = (file: string) => string;

/**
 * @param lineInfo `struct bpf_line_info[]` of the program as loaded, see ProgramVerdict.lineInfo.
 */
export function sourcePositions(
  lineInfo: Uint8Array | readonly LineInfo[],
  btf: Btf | undefined,
  mapPath: MapPath,
): SourcePositions {
  const lines = lineInfo instanceof Uint8Array ? parseLineInfo(lineInfo) : lineInfo;
  // A long log comes to the same few places a hundred thousand times.
  const known = new Map<LineInfo, SourceSpan | undefined>();
  const span = (line: LineInfo | undefined): SourceSpan | undefined => {
    if (!line) return undefined;
    if (!known.has(line)) known.set(line, read(line));
    return known.get(line);
  };
  const read = (line: LineInfo): SourceSpan | undefined => {
    if (!btf || line.line === 0) return undefined;
    const file = btf.string(line.fileOffset);
    if (!file) return undefined;
    const text = btf.string(line.textOffset);
    return {
      path: mapPath(file),
      range: spanOf(text, line.line - 1, line.column),
      text,
      column: line.column,
      expression: expressionAround(text, line.column),
    };
  };
  return {
    at: (insn) => span(lineAt(lines, insn)),
    withWord(word, insn) {
      if (!btf || !/^\w+$/.test(word)) return undefined;
      const pattern = new RegExp(`\\b${word}\\b`);
      const has = (line: LineInfo) => pattern.test(btf.string(line.textOffset));
      const found = lines.find((line) => line.insn >= insn && has(line)) ?? lines.findLast(has);
      const at = span(found);
      const column = at && pattern.exec(at.text);
      if (!at || !column) return undefined;
      const { line } = at.range.start;
      const range = {
        start: { line, character: column.index },
        end: { line, character: column.index + word.length },
      };
      return {
        ...at,
        range,
        column: column.index + 1,
        expression: expressionAround(at.text, column.index + 1),
      };
    },
    atLine(file, line, column) {
      const here = lines.filter(
        (one) => one.line === line && btf && baseName(btf.string(one.fileOffset)) === baseName(file),
      );
      return span(here.find((one) => one.column === column) ?? here[0]);
    },
    declared(file, line) {
      const found = span(
        lines.find(
          (one) => one.line === line && btf && mapPath(btf.string(one.fileOffset)) === mapPath(file),
        ),
      );
      const start = { line: line - 1, character: 0 };
      if (!found)
        return { path: mapPath(file), range: { start, end: start }, text: '', column: 0, expression: '' };
      return { ...found, range: spanOf(found.text, line - 1, 0), column: 0, expression: '' };
    },
    first: () => span(lines.find((line) => line.line > 0)),
  };
}

function baseName(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1);
}
