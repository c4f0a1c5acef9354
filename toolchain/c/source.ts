/**
 * A C source file as the editor needs it: its syntax errors and its declarations. Reading it again after an edit
 * costs the declarations that changed; the result never depends on what was read before.
 */
import type { Parser } from 'web-tree-sitter';
import { splitChunks } from './chunks';
import { selectBranches } from './conditionals';
import type { SyntaxFinding } from './finding';
import {
  outlineOf,
  type Declaration,
  type FunctionDefinition,
  type MapDefinition,
  type Program,
  type Span,
  type TypeDefinition,
  type Variable,
} from './outline';
import { checkDeclaration } from './syntax';
import { Kind, lineOf, tokenize, type Tokens } from './tokens';

export interface Include {
  /** As written, without the brackets or quotes. */
  path: string;
  angled: boolean;
  /** Of the whole directive. */
  span: Span;
}

export interface SourceFile {
  readonly text: string;
  readonly tokens: Tokens;
  readonly findings: SyntaxFinding[];
  readonly programs: Program[];
  readonly functions: FunctionDefinition[];
  readonly maps: MapDefinition[];
  readonly variables: Variable[];
  readonly types: TypeDefinition[];
  readonly includes: Include[];
  /** The text of the variable in `SEC("license")`. */
  readonly license: string | undefined;
  /** What can be used again when the text has changed a little. */
  readonly cache: Cache;
}

interface Cache {
  /** Names defined as macros, joined: what a declaration's check depends on besides its own text. */
  macroKey: string;
  /** Text of a declaration with the white space and directives before it → what is known about it, offsets from 0. */
  chunks: Map<string, ChunkResult>;
}
interface ChunkResult {
  findings: SyntaxFinding[];
  declarations: Declaration[];
  /** The same with offsets from the start of the file, for where the declaration was last. */
  placed?: { from: number; findings: SyntaxFinding[]; declarations: Declaration[] };
}

/**
 * Reads a file. Never throws on any text.
 * @param previous the result for an earlier text of the same file, to reuse what has not changed.
 */
export function readSource(parser: Parser, text: string, previous?: SourceFile): SourceFile {
  const tokens = tokenize(text);
  const { active } = selectBranches(text, tokens);
  const { macros, includes } = readDirectives(text, tokens);
  const macroKey = [...macros].join(' ');
  const known = previous?.cache.macroKey === macroKey ? previous.cache.chunks : undefined;
  const cache: Cache = { macroKey, chunks: new Map() };
  const file = {
    text,
    tokens,
    findings: [] as SyntaxFinding[],
    programs: [] as Program[],
    functions: [] as FunctionDefinition[],
    maps: [] as MapDefinition[],
    variables: [] as Variable[],
    types: [] as TypeDefinition[],
    includes,
    cache,
  };
  let from = 0;
  const chunks = splitChunks(text, tokens, active);
  for (const chunk of chunks) {
    // The next chunk's text begins where this one ends, so that the conditionals before it are read with it.
    const slice = text.slice(from, chunk.end);
    const result = known?.get(slice) ?? cache.chunks.get(slice) ?? readChunk(parser, slice, macros);
    cache.chunks.set(slice, result);
    const { findings, declarations } = place(result, from);
    file.findings.push(...findings);
    for (const declaration of declarations) add(file, declaration);
    from = chunk.end;
  }
  const unclosed = tokens.unterminated.at(-1);
  if (unclosed && unclosed.start >= from) {
    // A comment that runs to the end of the file hides everything that could be a declaration.
    const { findings } = readChunk(parser, text.slice(from), macros);
    file.findings.push(...findings.map((finding) => moveFinding(finding, from)));
  }
  const license = file.variables.find((variable) => variable.section === 'license')?.text;
  return { ...file, license };
}

function readChunk(parser: Parser, text: string, macros: ReadonlySet<string>): ChunkResult {
  const { findings, tokens, selection } = checkDeclaration(parser, text, macros);
  return { findings, declarations: outlineOf(text, tokens, selection.active) };
}

function place(result: ChunkResult, from: number): NonNullable<ChunkResult['placed']> {
  if (result.placed?.from !== from) {
    const findings = result.findings.map((finding) => moveFinding(finding, from));
    const declarations = result.declarations.map((declaration) => moveDeclaration(declaration, from));
    result.placed = { from, findings, declarations };
  }
  return result.placed;
}

function add(
  file: Pick<SourceFile, 'programs' | 'functions' | 'maps' | 'variables' | 'types'>,
  declaration: Declaration,
): void {
  switch (declaration.kind) {
    case 'program':
      file.programs.push(declaration);
      break;
    case 'function':
      file.functions.push(declaration);
      break;
    case 'map':
      file.maps.push(declaration);
      break;
    case 'variable':
      file.variables.push(declaration);
      break;
    case 'type':
      file.types.push(declaration);
  }
}

function readDirectives(text: string, tokens: Tokens): { macros: Set<string>; includes: Include[] } {
  const macros = new Set<string>();
  const includes: Include[] = [];
  for (let index = 0; index < tokens.count; index++) {
    if (tokens.kind[index] !== Kind.Directive) continue;
    const start = tokens.start[index]!;
    const end = tokens.end[index]!;
    const line = text.slice(start, Math.min(end, start + 300));
    const define = /^#\s*define\s+(\w+)/.exec(line);
    if (define && !readsLikeCode(text.slice(start + define[0].length, end))) macros.add(define[1]!);
    const include = /^#\s*include(?:_next)?\s*([<"])([^>"\n]+)[>"]/.exec(line);
    if (include) includes.push({ path: include[2]!, angled: include[1] === '<', span: { start, end } });
  }
  return { macros, includes };
}

/**
 * Whether a macro with this parameter list and body is used as a function or a value is: it is a number, stands in
 * parentheses, or is a `do … while (0)`. What follows it needs its semicolon.
 */
function readsLikeCode(definition: string): boolean {
  const body = definition
    .replace(/^\([^)]*\)/, '')
    .replace(/\\\r?\n/g, ' ')
    .trim();
  return /^(\(.*\)|-?\d\w*|do\b.*\bwhile\s*\(\s*(0|false)\s*\))$/s.test(body);
}

function move(span: Span, by: number): Span {
  return { start: span.start + by, end: span.end + by };
}

function moveFinding(finding: SyntaxFinding, by: number): SyntaxFinding {
  const related = finding.related && { ...finding.related, ...move(finding.related, by) };
  return { ...finding, ...move(finding, by), ...(related && { related }) };
}

function moveDeclaration(declaration: Declaration, by: number): Declaration {
  const moved = {
    ...declaration,
    span: move(declaration.span, by),
    nameSpan: move(declaration.nameSpan, by),
  };
  if (moved.kind === 'program') moved.sectionSpan = move(moved.sectionSpan, by);
  if (moved.kind === 'map') {
    moved.members = moved.members.map((member) => ({
      ...member,
      span: move(member.span, by),
      valueSpan: move(member.valueSpan, by),
    }));
  }
  return moved;
}

/** Zero-based line and UTF-16 column of an offset. */
export function positionAt(
  file: Pick<SourceFile, 'tokens'>,
  offset: number,
): { line: number; character: number } {
  const line = lineOf(file.tokens.lineStarts, offset);
  return { line, character: offset - file.tokens.lineStarts[line]! };
}

/** Whether a text is BPF C: by its name, or because it includes what only BPF programs include. */
export function isBpfSource(text: string, path = ''): boolean {
  if (path.endsWith('.bpf.c')) return true;
  return /^[^\S\n]*#\s*include\s*[<"]([^>"\n]*\/)?(bpf_helpers|vmlinux)\.h[>"]/m.test(text);
}
