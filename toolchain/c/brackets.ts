/** Where a bracket is missing or too many, judged by the indentation the author gave the code. */
import { Kind, lineOf, type Tokens } from './tokens';
import type { SyntaxFinding } from './finding';
import { statementWords } from './words';

/** Whether every bracket among the active tokens `first..last` has its partner. */
export function isBalanced(tokens: Tokens, active: Uint8Array, first: number, last: number): boolean {
  const stack: number[] = [];
  for (let index = first; index <= last; index++) {
    if (!active[index]) continue;
    const kind = tokens.kind[index]!;
    if (isOpening(kind)) stack.push(closing(kind));
    else if (isClosing(kind) && stack.pop() !== kind) return false;
  }
  return stack.length === 0;
}

function isOpening(kind: number): boolean {
  return kind === Kind.OpenBrace || kind === Kind.OpenParen || kind === Kind.OpenBracket;
}
function isClosing(kind: number): boolean {
  return kind === Kind.CloseBrace || kind === Kind.CloseParen || kind === Kind.CloseBracket;
}
function closing(kind: number): number {
  return kind === Kind.OpenParen ? Kind.CloseParen : kind + 2;
}

interface Open {
  kind: number;
  token: number;
  line: number;
  indent: number;
}

/**
 * The first place in an unbalanced declaration where a bracket is missing or too many; undefined when the
 * brackets are balanced.
 */
export function findBracketError(
  text: string,
  tokens: Tokens,
  active: Uint8Array,
  first: number,
  last: number,
): SyntaxFinding | undefined {
  const lines = new Lines(text, tokens);
  const stack: Open[] = [];
  let previous = -1;
  for (let index = first; index <= last; index++) {
    if (!active[index]) continue;
    const kind = tokens.kind[index]!;
    const top = stack.at(-1);
    if (stack.length === 1 && top?.kind === Kind.OpenParen && lines.isAtMargin(index) && !isClosing(kind)) {
      return lines.missingAfter(previous, ')');
    }
    if (isOpening(kind)) {
      if (kind === Kind.OpenBrace && top?.kind === Kind.OpenParen && lines.isControlParen(top.token)) {
        if (tokens.kind[previous] !== Kind.OpenParen) return lines.missingAfter(previous, ')');
      }
      const line = lines.of(index);
      stack.push({ kind, token: index, line, indent: lines.statementIndent(index) });
    } else if (kind === Kind.Semicolon) {
      if (top?.kind === Kind.OpenBracket) return lines.missingAfter(previous, ']');
      if (top?.kind === Kind.OpenParen && !lines.isForParen(top.token)) {
        return lines.missingAfter(lines.lastBeforeStatement(top.token, previous), ')');
      }
    } else if (isClosing(kind)) {
      if (kind === Kind.CloseBrace) {
        const problem = closeBrace(index);
        if (problem) return problem;
      } else if (!top || closing(top.kind) !== kind) {
        if (top?.kind === Kind.OpenParen || top?.kind === Kind.OpenBracket) {
          return lines.missingAfter(previous, String.fromCharCode(closing(top.kind)));
        }
        return lines.extra(index);
      }
      stack.pop();
    }
    previous = index;
  }
  const unclosed = stack.at(-1);
  if (!unclosed) return undefined;
  if (unclosed.kind !== Kind.OpenBrace) {
    return lines.missingAfter(previous, String.fromCharCode(closing(unclosed.kind)));
  }
  return lines.missingBrace(unclosed, active, last);

  function closeBrace(index: number): SyntaxFinding | undefined {
    const top = stack.at(-1);
    if (top?.kind === Kind.OpenParen || top?.kind === Kind.OpenBracket) {
      return lines.missingAfter(previous, String.fromCharCode(closing(top.kind)));
    }
    if (!top) return lines.unopened(index, first, active);
    if (!lines.isFirstOnLine(index) || top.line === lines.of(index)) return undefined;
    const indent = lines.indent(index);
    if (top.indent === indent) return undefined;
    if (top.indent > indent && stack.some((open) => open.indent === indent)) {
      return lines.missingBrace(top, active, index - 1);
    }
    if (top.indent < indent) return lines.unopened(index, first, active);
    return undefined;
  }
}

const control = /\b(if|while|for|switch)\s*$/;
const blockOwner =
  /^\s*(\}\s*)?(else\b|do\b|(else\s+)?(if|for|while|switch)\b|\w*for_each\w*|bpf_for\b|(typedef\s+)?struct\b|union\b|enum\b)/;

class Lines {
  constructor(
    private readonly text: string,
    private readonly tokens: Tokens,
  ) {}

  of(token: number): number {
    return lineOf(this.tokens.lineStarts, this.tokens.start[token]!);
  }

  textOf(line: number): string {
    return this.text.slice(this.tokens.lineStarts[line], this.tokens.lineStarts[line + 1]);
  }

  indent(token: number): number {
    return columns(this.textOf(this.of(token)));
  }

  /** Indentation of the line that begins the statement a brace belongs to: conditions may span lines. */
  statementIndent(brace: number): number {
    const { kind } = this.tokens;
    if (kind[brace] !== Kind.OpenBrace || this.isFirstOnLine(brace)) return this.indent(brace);
    let at = brace - 1;
    if (kind[at] === Kind.CloseParen) {
      for (let depth = 0; at >= 0; at--) {
        if (kind[at] === Kind.CloseParen) depth++;
        else if (kind[at] === Kind.OpenParen && --depth === 0) break;
      }
    }
    return at >= 0 ? this.indent(at) : this.indent(brace);
  }

  isFirstOnLine(token: number): boolean {
    const line = this.of(token);
    return this.text.slice(this.tokens.lineStarts[line], this.tokens.start[token]).trim() === '';
  }

  isAtMargin(token: number): boolean {
    const start = this.tokens.start[token]!;
    return start > 0 && this.text.charCodeAt(start - 1) === 10;
  }

  isControlParen(paren: number): boolean {
    const start = this.tokens.start[paren]!;
    return control.test(this.text.slice(Math.max(0, start - 12), start));
  }

  isForParen(paren: number): boolean {
    const start = this.tokens.start[paren]!;
    return /\bfor\s*$/.test(this.text.slice(Math.max(0, start - 12), start));
  }

  missingAfter(token: number, what: string): SyntaxFinding {
    const at = token < 0 ? 0 : this.tokens.end[token]!;
    return { start: Math.max(0, at - 1), end: at, message: `expected '${what}'`, certain: true };
  }

  /** The last token from `from` on before a line that begins with a statement's keyword, at most `last`. */
  lastBeforeStatement(from: number, last: number): number {
    for (let index = from + 1; index <= last; index++) {
      if (this.tokens.kind[index] !== Kind.Identifier || !this.isFirstOnLine(index)) continue;
      const word = this.text.slice(this.tokens.start[index], this.tokens.end[index]);
      if (statementWords.has(word)) return index - 1;
    }
    return last;
  }

  extra(token: number): SyntaxFinding {
    const start = this.tokens.start[token]!;
    const what = this.text.slice(start, start + 1);
    return { start, end: start + 1, message: `'${what}' has no opening bracket`, certain: true };
  }

  /** The block opened by `open` should have ended before the first line that is not indented deeper than it. */
  missingBrace(open: Open, active: Uint8Array, last: number): SyntaxFinding {
    let previous = open.token;
    for (let index = open.token + 1; index <= last; index++) {
      if (!active[index]) continue;
      if (this.isFirstOnLine(index) && this.of(index) > open.line && this.indent(index) <= open.indent) {
        if (!this.isLabel(index)) break;
      }
      previous = index;
    }
    const finding = this.missingAfter(previous, '}');
    const start = this.tokens.start[open.token]!;
    return { ...finding, related: { start, end: start + 1, message: `to match this '{'` } };
  }

  /** A `}` without its `{`: points at the statement above it that lacks one, if the indentation shows it. */
  unopened(brace: number, first: number, active: Uint8Array): SyntaxFinding {
    const indent = this.indent(brace);
    for (let index = brace - 1; index >= first; index--) {
      if (!active[index] || !this.isFirstOnLine(index)) continue;
      const found = this.indent(index);
      if (found > indent || this.isLabel(index)) continue;
      if (found < indent) break;
      const line = this.textOf(this.of(index));
      if (this.tokens.kind[index] === Kind.CloseBrace && !/else/.test(line)) break;
      const head = this.endOfHeader(index, brace);
      const isDefinition =
        indent === 0 && this.tokens.kind[head] === Kind.CloseParen && !line.startsWith('SEC');
      const isHeader = blockOwner.test(line) || isDefinition;
      if (
        isHeader &&
        this.tokens.kind[head] !== Kind.OpenBrace &&
        this.tokens.kind[head + 1] !== Kind.OpenBrace
      ) {
        return this.missingAfter(head, '{');
      }
      if (!isHeader) continue;
      break;
    }
    return this.extra(brace);
  }

  private isLabel(token: number): boolean {
    if (this.tokens.kind[token + 1] === Kind.Colon) return true;
    return /^\s*(case|default)\b/.test(this.textOf(this.of(token)));
  }

  /** Last token of `if (…)`, `else`, `struct name` that starts at `token`. */
  private endOfHeader(token: number, limit: number): number {
    const { kind } = this.tokens;
    let depth = 0;
    let last = token;
    for (let index = token; index < limit; index++) {
      if (depth === 0 && index > token && this.isFirstOnLine(index)) break;
      if (kind[index] === Kind.OpenParen) depth++;
      else if (kind[index] === Kind.CloseParen) depth--;
      last = index;
    }
    return last;
  }
}

function columns(line: string): number {
  let width = 0;
  for (const c of line) {
    if (c === '\t') width = (width | 7) + 1;
    else if (c === ' ') width++;
    else break;
  }
  return width;
}
