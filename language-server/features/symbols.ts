import { SymbolKind, type DocumentSymbol } from 'vscode-languageserver';
import type { Span } from '../../toolchain/c/outline';
import { positionAt, type SourceFile } from '../../toolchain/c/source';

/** Programs, maps, functions, types and variables, in source order. */
export function documentSymbols(source: SourceFile): DocumentSymbol[] {
  const range = ({ start, end }: Span): DocumentSymbol['range'] => ({
    start: positionAt(source, start),
    end: positionAt(source, end),
  });
  const symbol = (
    { name, nameSpan, span }: { name: string; nameSpan: Span; span: Span },
    kind: SymbolKind,
    detail?: string,
  ): DocumentSymbol => ({
    name,
    kind,
    ...(detail !== undefined && { detail }),
    range: range(span),
    selectionRange: range(nameSpan),
  });
  return [
    ...source.programs.map((program) => symbol(program, SymbolKind.Event, `SEC("${program.section}")`)),
    ...source.maps.map((map) =>
      symbol(map, SymbolKind.Object, map.members.find(({ name }) => name === 'type')?.value ?? 'map'),
    ),
    ...source.functions.map((one) => symbol(one, SymbolKind.Function)),
    ...source.types.map((one) => symbol(one, SymbolKind.Struct)),
    ...source.variables.map((one) =>
      symbol(one, SymbolKind.Variable, one.section && `SEC("${one.section}")`),
    ),
  ].sort((a, b) => a.range.start.line - b.range.start.line);
}
