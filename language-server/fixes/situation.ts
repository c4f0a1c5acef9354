/** From a finding to what fixes are derived from: the function and the expression in the source. */
import type { Parser } from 'web-tree-sitter';
import type { Span } from '../../toolchain/c/outline';
import type { SourceFile } from '../../toolchain/c/source';
import { nodeAt, readTree } from '../../toolchain/c/tree';
import type { Position } from '../../toolchain/diagnostic';
import type { SourceSpan } from '../../toolchain/verifier/position';
import { byteToCharacter } from '../../toolchain/verifier/span';
import { readFunction, type FunctionCode } from './code/function';
import type { Situation, Trouble } from './fix';

/**
 * @param file absolute path of the source; places in headers are not changed from here.
 * @returns undefined when the place is in another file, in no function, or in none the parser can read.
 */
export function situationOf(
  parser: Parser,
  source: SourceFile,
  file: string,
  trouble: Trouble,
): Situation | undefined {
  const offset = offsetOfTrouble(source, file, trouble);
  if (offset === undefined) return undefined;
  const declared = [
    ...source.programs.map(({ name, section, span }) => ({ name, section, span })),
    ...source.functions.map(({ name, span }) => ({ name, section: undefined, span })),
  ];
  const read = new Map<Span, FunctionCode | undefined>();
  const codeOf = ({ name, section, span }: (typeof declared)[number]): FunctionCode | undefined => {
    if (!read.has(span)) {
      const tree = readTree(parser, source, span);
      read.set(span, tree && readFunction(tree, name, section));
    }
    return read.get(span);
  };
  const holding = (at: number): FunctionCode | undefined => {
    const found = declared.find(({ span }) => span.start <= at && at < span.end);
    return found && codeOf(found);
  };
  const code = holding(offset);
  if (!code) return undefined;
  const failure = trouble.by === 'verifier' ? trouble.failure : undefined;
  return {
    source,
    trouble,
    failure,
    program: trouble.by === 'clang' ? undefined : trouble.program,
    // Most fixes need no other function than the one with the failure.
    get functions() {
      return declared.flatMap((one) => codeOf(one) ?? []);
    },
    code,
    node: nodeAt(code.root, offset),
    nodeOf(instruction) {
      const span = instruction === undefined ? undefined : failure?.positions.at(instruction);
      const at = span && offsetOfSpan(source, file, span);
      const around = at === undefined ? undefined : holding(at);
      return around && nodeAt(around.root, at!);
    },
  };
}

function offsetOfTrouble(source: SourceFile, file: string, trouble: Trouble): number | undefined {
  if (trouble.by !== 'verifier') {
    const { path, range } = trouble.diagnostic;
    return path === file ? offsetAt(source, range.start) : undefined;
  }
  const { failure, program } = trouble;
  const span = failure.at ?? failure.programAt;
  if (span) return offsetOfSpan(source, file, span);
  return source.programs.find(({ name }) => name === program.name)?.nameSpan.start;
}

/** Where the compiler's column points, not where the expression around it begins. */
function offsetOfSpan(source: SourceFile, file: string, span: SourceSpan): number | undefined {
  if (span.path !== file) return undefined;
  const { line } = span.range.start;
  const character =
    span.column > 0 ? byteToCharacter(span.text, span.column - 1) : span.range.start.character;
  return offsetAt(source, { line, character });
}

function offsetAt({ tokens, text }: SourceFile, { line, character }: Position): number | undefined {
  const start = tokens.lineStarts[line];
  return start === undefined ? undefined : Math.min(start + character, text.length - 1);
}
