/** Expressions in C source as they stand there, for asking the debugger about: `ip->saddr` rather than a word of it. */
import { Kind, lineOf, type Tokens } from '../../toolchain/c/tokens';
import { aggregates, keywords } from '../../toolchain/c/words';

export interface SourceExpression {
  text: string;
  start: number;
  end: number;
}

/**
 * The expression that ends with what is at an offset: on `saddr` of `ip->saddr` the whole, on `ip` that alone.
 * Undefined where no value can stand: keywords, calls, comments, names of structures.
 */
export function expressionAt(text: string, tokens: Tokens, offset: number): SourceExpression | undefined {
  const at = tokenAt(tokens, offset);
  return at === undefined ? undefined : expressionEndingWith(text, tokens, at);
}

/**
 * Expressions of the function around a line, from its beginning to the end of that line: names, and members with all
 * that leads to them. `isMember` tells the latter from the former. Each stands once on a line.
 */
export function expressionsUntil(
  text: string,
  tokens: Tokens,
  line: number,
): (SourceExpression & { line: number; isMember: boolean })[] {
  const found: (SourceExpression & { line: number; isMember: boolean })[] = [];
  const last = lastTokenOn(tokens, line);
  const first = functionStart(tokens, last);
  if (first === undefined) return found;
  const seen = new Set<string>();
  for (let at = first; at <= last; at++) {
    // What is a part of a longer expression comes with that.
    if (isAccess(text, tokens, at + 1) || tokens.kind[at + 1] === Kind.OpenBracket) continue;
    const expression = expressionEndingWith(text, tokens, at);
    // A name before another name is a type.
    if (!expression || tokens.kind[at + 1] === Kind.Identifier) continue;
    const own = lineOf(tokens.lineStarts, expression.start);
    const key = `${own} ${expression.text}`;
    if (seen.has(key)) continue;
    seen.add(key);
    found.push({ ...expression, line: own, isMember: /\.|->|\[/.test(expression.text) });
  }
  return found;
}

function expressionEndingWith(text: string, tokens: Tokens, at: number): SourceExpression | undefined {
  const isIndex = tokens.kind[at] === Kind.CloseBracket;
  if (!isIndex && tokens.kind[at] !== Kind.Identifier) return undefined;
  if (keywords.has(wordAt(text, tokens, at))) return undefined;
  if (tokens.kind[at + 1] === Kind.OpenParen || aggregates.has(wordAt(text, tokens, at - 1)))
    return undefined;
  const first = startOfMembers(text, tokens, at);
  // `.name =` in an initialiser has nothing before the dot.
  if (first === undefined) return undefined;
  const start = tokens.start[first] as number;
  const end = tokens.end[at] as number;
  return { text: text.slice(start, end).replaceAll(/\s+/g, ' '), start, end };
}

/** Where a name, an index or something in parentheses begins that ends with a token; undefined for anything else. */
function startOfPostfix(text: string, tokens: Tokens, at: number): number | undefined {
  switch (tokens.kind[at]) {
    case Kind.Identifier:
      return keywords.has(wordAt(text, tokens, at)) ? undefined : at;
    case Kind.CloseBracket: {
      const open = opening(tokens, at, Kind.OpenBracket, Kind.CloseBracket);
      return open === undefined ? undefined : startOfMembers(text, tokens, open - 1);
    }
    case Kind.CloseParen: {
      const open = opening(tokens, at, Kind.OpenParen, Kind.CloseParen);
      // A call is not made again to look at what it returned.
      return open === undefined || tokens.kind[open - 1] === Kind.Identifier ? undefined : open;
    }
    default:
      return undefined;
  }
}

/** The beginning of what ends with a token, all members that lead to it included: of `a.b[1].c`, `a`. */
function startOfMembers(text: string, tokens: Tokens, at: number): number | undefined {
  let first = startOfPostfix(text, tokens, at);
  while (first !== undefined && isAccess(text, tokens, first - 1))
    first = startOfPostfix(text, tokens, first - 2);
  return first;
}

function opening(tokens: Tokens, at: number, open: number, close: number): number | undefined {
  for (let depth = 0; at >= 0; at--) {
    if (tokens.kind[at] === close) depth++;
    else if (tokens.kind[at] === open && --depth === 0) return at;
  }
  return undefined;
}

function isAccess(text: string, tokens: Tokens, at: number): boolean {
  return at >= 0 && at < tokens.count && (tokens.kind[at] === Kind.Dot || wordAt(text, tokens, at) === '->');
}

function wordAt(text: string, tokens: Tokens, at: number): string {
  return at < 0 || at >= tokens.count ? '' : text.slice(tokens.start[at], tokens.end[at]);
}

function tokenAt(tokens: Tokens, offset: number): number | undefined {
  for (let at = 0; at < tokens.count && (tokens.start[at] as number) <= offset; at++)
    if (offset < (tokens.end[at] as number)) return at;
  return undefined;
}

function lastTokenOn(tokens: Tokens, line: number): number {
  const end = tokens.lineStarts[line + 1] ?? Number.MAX_SAFE_INTEGER;
  let last = -1;
  while (last + 1 < tokens.count && (tokens.start[last + 1] as number) < end) last++;
  return last;
}

/** Behind the declaration before the outermost braces that are open at a token. */
function functionStart(tokens: Tokens, last: number): number | undefined {
  let depth = 0;
  let open: number | undefined;
  let before = 0;
  let start = 0;
  for (let at = 0; at <= last; at++) {
    const kind = tokens.kind[at];
    if (kind === Kind.OpenBrace && depth++ === 0) {
      open = at;
      start = before;
    } else if (kind === Kind.CloseBrace && depth > 0 && --depth === 0) {
      before = at + 1;
      // The brace of the function's end stands on a line to stop at, too.
      if (
        lineOf(tokens.lineStarts, tokens.start[at] as number) !==
        lineOf(tokens.lineStarts, tokens.start[last] as number)
      )
        open = undefined;
    } else if (depth === 0 && (kind === Kind.Semicolon || kind === Kind.Directive)) before = at + 1;
  }
  return open === undefined ? undefined : start;
}
