import type { Location, Position } from 'vscode-languageserver';
import type { Span } from '../../toolchain/c/outline';
import { positionAt, type SourceFile } from '../../toolchain/c/source';
import { Kind } from '../../toolchain/c/tokens';

/** Where the program, map, function, type or variable under the cursor is defined in this file. */
export function definition(source: SourceFile, uri: string, position: Position): Location | undefined {
  const word = wordAt(source, position);
  if (!word) return undefined;
  const found = declarationOf(source, word.text);
  if (!found) return undefined;
  const { start, end } = found.nameSpan;
  return { uri, range: { start: positionAt(source, start), end: positionAt(source, end) } };
}

/** What the file declares under a name, programs and maps first. */
export function declarationOf(source: SourceFile, name: string) {
  for (const list of [source.programs, source.maps, source.functions, source.types, source.variables]) {
    const found = list.find((declaration) => declaration.name === name);
    if (found) return found;
  }
  return undefined;
}

/** The identifier or string literal at a position. */
export function wordAt(
  source: SourceFile,
  { line, character }: Position,
): { text: string; kind: number; span: Span } | undefined {
  const { tokens, text } = source;
  const lineStart = tokens.lineStarts[line];
  if (lineStart === undefined) return undefined;
  const offset = lineStart + character;
  let low = 0;
  let high = tokens.count - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (tokens.end[middle]! < offset) low = middle + 1;
    else if (tokens.start[middle]! > offset) high = middle - 1;
    else {
      // At the seam of two tokens the word wins.
      const next = middle + 1;
      const touchesNext = next < tokens.count && tokens.start[next] === offset;
      const index = touchesNext && tokens.kind[middle] !== Kind.Identifier ? next : middle;
      const span = { start: tokens.start[index]!, end: tokens.end[index]! };
      return { text: text.slice(span.start, span.end), kind: tokens.kind[index]!, span };
    }
  }
  return undefined;
}
