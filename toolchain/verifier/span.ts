import type { Range } from '../diagnostic';

/**
 * The expression of a source line that an instruction's column points into, as well as text alone can tell: a call
 * with its arguments, a chain of members and indices, an identifier, a literal, an operator. Where the column points
 * at a member, what the member is taken of comes with it (`eth->h_proto`); where it points at an assignment or an
 * increment, what is changed does (`counters->packets++`). Columns are one-based and count bytes, as clang's do; 0
 * means that there is none, and the whole statement is meant.
 */
export function spanOf(text: string, line: number, column: number): Range {
  const { start, end } = extentAt(text, column);
  const before = text.slice(0, start);
  const covered = text.slice(start, end);
  const whole = LOGICAL.test(covered)
    ? enclosing(text, start)
    : BINARY.test(covered)
      ? operands(text, start, end)
      : undefined;
  if (whole) return { start: { line, character: whole.start }, end: { line, character: whole.end } };
  const isMember = /^[A-Za-z_]/.test(covered) && /(?:->|\.)\s*$/.test(before);
  const operand = CHANGE.test(covered) ? before : isMember ? before + covered : '';
  const from = Math.min(start, operand.trimEnd().length - endingOperand(operand).length);
  const begin = operand === '' ? start : from;
  return { start: { line, character: begin }, end: { line, character: Math.max(end, begin) } };
}

/** Operators that change what stands before them; `++` before its operand is a unary operator and not among them. */
const CHANGE = /^(?:(?:[-+*/%&|^]|<<|>>)?=|\+\+|--)$/;

const LOGICAL = /^(?:&&|\|\|)$/;
/** Operators between two operands; what may as well be unary has been told apart before. */
const BINARY = /^(?:[-+*/%&|^<>]|<<|>>|[<>=!]=)$/;

/** Casts to types that only C's own words can tell from an expression in parentheses. */
const CASTS =
  /(?:\(\s*(?:struct|union|const|volatile|unsigned|signed|void|char|short|int|long|_*[us](?:8|16|32|64))\b[^()]*\)\s*)+$/;

/** What the parentheses around a position hold, if they begin and end on this line. */
function enclosing(text: string, at: number): { start: number; end: number } | undefined {
  let depth = 0;
  for (let open = at - 1; open >= 0; open--) {
    if (text[open] === ')') depth++;
    else if (text[open] === '(' && depth-- === 0) {
      const end = matching(text, open) - 1;
      return text[end] === ')' ? { start: open + 1, end } : undefined;
    }
  }
  return undefined;
}

/** An operator with what stands on both sides of it. */
function operands(text: string, start: number, end: number): { start: number; end: number } | undefined {
  const before = text.slice(0, start);
  const left = endingOperand(before);
  const after = text.slice(end);
  const gap = after.length - after.trimStart().length;
  const right = endOfOperand(after.slice(gap));
  if (!left || right <= 0) return undefined;
  const from = before.trimEnd().length - left.length;
  const casts = CASTS.exec(before.slice(0, from))?.[0] ?? '';
  return { start: from - casts.length, end: end + gap + right };
}

/** From what the column points at on, without what stands before it. Half-open, in UTF-16 units. */
function extentAt(text: string, column: number): { start: number; end: number } {
  const from = text.length - text.trimStart().length;
  const to = text.trimEnd().length;
  const start = column > 0 ? byteToCharacter(text, column - 1) : -1;
  if (start < from || start >= to) return { start: from, end: to };
  const rest = text.slice(start);

  const word = /^[A-Za-z_]\w*/.exec(rest)?.[0];
  if (word) return { start, end: start + (endOfStatementHead(rest, word) ?? endOfOperand(rest)) };
  const literal = /^(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\d[\w.]*)/.exec(rest)?.[0];
  if (literal) return { start, end: start + literal.length };
  if (rest.startsWith('(') || (/^[*&!~-]\s*[*&!~A-Za-z_(]/.test(rest) && isUnary(text, start))) {
    return { start, end: start + endOfOperand(rest) };
  }
  const increment = /^(?:\+\+|--)\s*(?=[A-Za-z_(*])/.exec(rest)?.[0];
  if (increment && isUnary(text, start)) {
    return { start, end: start + increment.length + endOfOperand(rest.slice(increment.length)) };
  }
  const operator = /^(?:->|\+\+|--|<<=|>>=|<<|>>|[<>=!+\-*/%&|^]=|&&|\|\||.)/su.exec(rest)?.[0] ?? ' ';
  return { start, end: start + operator.length };
}

/**
 * The text of that expression, for messages: of an assignment or an increment, only what is changed, since that is
 * what the verifier speaks of.
 */
export function expressionAround(text: string, column: number): string {
  const { start, end } = extentAt(text, column);
  const covered = text.slice(start, end);
  if (CHANGE.test(covered)) return endingOperand(text.slice(0, start)) || covered;
  const span = spanOf(text, 0, column);
  return text.slice(span.start.character, span.end.character).replace(/^return\s+(?=.)/, '');
}

/** The left side of the assignment whose whole right side is at a place of a line; undefined where there is none. */
export function assignedAt(text: string, { start, end }: Range): Range | undefined {
  if (start.line !== end.line || !/^\s*;/.test(text.slice(end.character))) return undefined;
  const before = /^(.*?[^=!<>+\-*/%&|^\s])\s*=\s*(?:\([^()]*\)\s*)*$/.exec(
    text.slice(0, start.character),
  )?.[1];
  const target = before === undefined ? '' : endingOperand(before);
  // `struct key copy = *k;` declares: the store is to the variable itself.
  if (before === undefined || !/^\*|->|\[/.test(target)) return undefined;
  const from = before.length - target.length;
  return {
    start: { line: start.line, character: from },
    end: { line: start.line, character: before.length },
  };
}

/** The chain of identifiers, members and indices that a text ends with, and the `*` that dereference it. */
function endingOperand(text: string): string {
  const end = text.trimEnd();
  const chain =
    /(?:[A-Za-z_]\w*|\((?:[^()]|\([^()]*\))*\))(?:\s*(?:->|\.)\s*\w+|\[[^\]]*\])*$/.exec(end)?.[0] ?? '';
  let start = end.length - chain.length;
  for (;;) {
    const star = /\*\s*$/.exec(end.slice(0, start));
    // `a * b->c` multiplies, and `struct key *k = …` declares.
    if (chain === '' || !star || !isUnary(end, star.index)) return end.slice(start);
    start = star.index;
  }
}

/** Keywords at a statement's head stand for the whole of what they introduce on this line. */
const statementKeywords = new Set(['if', 'while', 'for', 'switch', 'return', 'do']);

function endOfStatementHead(rest: string, word: string): number | undefined {
  if (/^(asm|__asm__)$/.test(word)) {
    const open = rest.indexOf('(');
    return open < 0 ? undefined : matching(rest, open);
  }
  if (!statementKeywords.has(word)) return undefined;
  const open = rest.indexOf('(');
  if (word !== 'return' && open >= 0) return matching(rest, open);
  const end = rest.indexOf(';');
  return end < 0 ? rest.trimEnd().length : end;
}

/**
 * One past an operand: unary operators and casts, an identifier or a parenthesis, and what is taken of it with
 * `.`, `->`, `[…]` and `(…)`. After a call's arguments nothing more belongs to the call.
 */
function endOfOperand(rest: string): number {
  let at = /^(?:[*&!~-]\s*)*/.exec(rest)?.[0].length ?? 0;
  const name = /^[A-Za-z_]\w*/.exec(rest.slice(at))?.[0];
  if (name) at += name.length;
  else if (rest[at] === '(') {
    const close = matching(rest, at);
    // `(struct iphdr *)(eth + 1)`, `(long)x`: a cast and its operand.
    const cast = /^\s*(?=[A-Za-z_(])/.exec(rest.slice(close));
    if (cast) return close + cast[0].length + endOfOperand(rest.slice(close + cast[0].length));
    at = close;
  } else {
    const literal = /^[\w.]+/.exec(rest.slice(at))?.[0];
    return at + (literal?.length ?? 0);
  }
  for (;;) {
    const next = /^\s*(?:(->|\.)\s*[A-Za-z_]\w*|(\[)|(\())/.exec(rest.slice(at));
    if (!next) return at;
    at = next[1] ? at + next[0].length : matching(rest, at + next[0].length - 1);
    if (next[3]) return at;
  }
}

/** One past the bracket that closes the one at `open`, or the line's end. */
function matching(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    const character = text[at] as string;
    if (character === '"' || character === "'") at = endOfQuote(text, at);
    else if ('([{'.includes(character)) depth++;
    else if (')]}'.includes(character) && --depth === 0) return at + 1;
  }
  return text.trimEnd().length;
}

function endOfQuote(text: string, open: number): number {
  for (let at = open + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === text[open]) return at;
  }
  return text.length;
}

/** Whether what stands before makes the operator at `at` a unary one. */
function isUnary(text: string, at: number): boolean {
  return /(^|[=(,;!&|?:<>+\-*/%[{]|\breturn)\s*$/.test(text.slice(0, at));
}

/** clang counts columns in bytes of UTF-8, editors in UTF-16 units. */
export function byteToCharacter(text: string, byte: number): number {
  let bytes = 0;
  let at = 0;
  for (const character of text) {
    if (bytes >= byte) return at;
    const code = character.codePointAt(0) as number;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    at += character.length;
  }
  return bytes >= byte ? at : at + (byte - bytes);
}
