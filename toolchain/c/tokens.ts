/**
 * C tokens as parallel arrays, for a whole file in about a millisecond per 50 KB. Comments and white space are
 * skipped; a preprocessor line with its continuations is one token.
 */

/** Single-character punctuation has its character code as kind; the kinds below are for everything else. */
export const Kind = {
  Identifier: 1,
  Number: 2,
  String: 3,
  Character: 4,
  /** A whole preprocessor line, continuations included, without its final line break. */
  Directive: 5,
  /** An operator of two or three characters that has no kind of its own. */
  Operator: 6,
  Ellipsis: 7,
  /** `&&`: also the prefix that takes a label's address. */
  AndAnd: 8,
  /** A character that cannot start a C token. */
  Invalid: 9,
  OpenParen: 40,
  CloseParen: 41,
  Star: 42,
  Comma: 44,
  Dot: 46,
  Colon: 58,
  Semicolon: 59,
  Assign: 61,
  OpenBracket: 91,
  CloseBracket: 93,
  OpenBrace: 123,
  CloseBrace: 125,
} as const;

export interface Tokens {
  readonly count: number;
  readonly kind: Uint8Array;
  readonly start: Uint32Array;
  readonly end: Uint32Array;
  /** Offset of the start of each line; the first is 0. */
  readonly lineStarts: Uint32Array;
  /** Literals and comments that are not closed, in order. */
  readonly unterminated: Unterminated[];
}

export interface Unterminated {
  what: 'string' | 'character' | 'comment';
  start: number;
  end: number;
}

const enum Class {
  Other,
  Space,
  Letter,
  Digit,
  Punctuation,
}

const classOf = new Uint8Array(128);
for (const c of ' \t\r\n\f\v') classOf[c.charCodeAt(0)] = Class.Space;
for (let c = 0; c < 26; c++) classOf[65 + c] = classOf[97 + c] = Class.Letter;
for (const c of '_$') classOf[c.charCodeAt(0)] = Class.Letter;
for (let c = 48; c < 58; c++) classOf[c] = Class.Digit;
for (const c of '!%&()*+,-./:;<=>?[]^{|}~') classOf[c.charCodeAt(0)] = Class.Punctuation;

const operators = new Set(
  '-> ++ -- << >> <= >= == != || += -= *= /= %= &= |= ^= ## <<= >>= && ...'.split(' '),
);
const operatorStarts = new Uint8Array(128);
/** Characters that stand second in an operator; most operators are one character before something else. */
const operatorSeconds = new Uint8Array(128);
for (const operator of operators) {
  operatorStarts[operator.charCodeAt(0)] = 1;
  operatorSeconds[operator.charCodeAt(1)] = 1;
}

const NEWLINE = 10;
const QUOTE = 34;
const APOSTROPHE = 39;
const SLASH = 47;
const STAR = 42;
const BACKSLASH = 92;
const HASH = 35;
export const BYTE_ORDER_MARK = 0xfeff;

class Growing {
  kind: Uint8Array;
  start: Uint32Array;
  end: Uint32Array;
  count = 0;

  /** Most C has fewer tokens than a quarter of its characters; dense text makes the arrays grow. */
  constructor(text: string) {
    const capacity = (text.length >> 2) + 64;
    this.kind = new Uint8Array(capacity);
    this.start = new Uint32Array(capacity);
    this.end = new Uint32Array(capacity);
  }

  push(kind: number, start: number, end: number): void {
    if (this.count === this.kind.length) this.grow();
    this.kind[this.count] = kind;
    this.start[this.count] = start;
    this.end[this.count++] = end;
  }

  private grow(): void {
    const grown = <T extends Uint8Array | Uint32Array>(old: T, fresh: T): T => (fresh.set(old), fresh);
    this.kind = grown(this.kind, new Uint8Array(this.count * 2));
    this.start = grown(this.start, new Uint32Array(this.count * 2));
    this.end = grown(this.end, new Uint32Array(this.count * 2));
  }
}

/** Splits C text into tokens. Never fails: what is no token becomes {@link Kind.Invalid}. Offsets are UTF-16 units. */
export function tokenize(text: string): Tokens {
  const out = new Growing(text);
  const unterminated: Unterminated[] = [];
  const length = text.length;
  let at = text.charCodeAt(0) === BYTE_ORDER_MARK ? 1 : 0;
  let lineHasToken = false;
  while (at < length) {
    const c = text.charCodeAt(at);
    if (c === NEWLINE) {
      lineHasToken = false;
      at++;
      continue;
    }
    const start = at;
    switch (c < 128 ? classOf[c] : Class.Letter) {
      case Class.Space:
        at++;
        continue;
      case Class.Letter: {
        at = skipWord(text, at + 1);
        const quote = text.charCodeAt(at);
        if ((quote === QUOTE || quote === APOSTROPHE) && isLiteralPrefix(text, start, at)) {
          at = skipLiteral(text, at, quote, start, unterminated);
          out.push(quote === QUOTE ? Kind.String : Kind.Character, start, at);
        } else {
          out.push(Kind.Identifier, start, at);
        }
        break;
      }
      case Class.Digit:
        at = skipNumber(text, at);
        out.push(Kind.Number, start, at);
        break;
      case Class.Punctuation:
        if (c === SLASH && text.charCodeAt(at + 1) === SLASH) {
          at = endOfLine(text, at);
          continue;
        }
        if (c === SLASH && text.charCodeAt(at + 1) === STAR) {
          at = skipComment(text, at, unterminated);
          continue;
        }
        if (c === Kind.Dot && classOf[text.charCodeAt(at + 1)] === Class.Digit) {
          at = skipNumber(text, at);
          out.push(Kind.Number, start, at);
          break;
        }
        at += operatorLength(text, at, c);
        out.push(at - start === 1 ? c : operatorKind(text, start, at), start, at);
        break;
      default:
        if (c === QUOTE || c === APOSTROPHE) {
          at = skipLiteral(text, at, c, at, unterminated);
          out.push(c === QUOTE ? Kind.String : Kind.Character, start, at);
        } else if (c === HASH && !lineHasToken) {
          at = endOfDirective(text, at, unterminated);
          out.push(Kind.Directive, start, at);
        } else if (c === BACKSLASH && isLineContinuation(text, at)) {
          at = endOfLine(text, at) + 1;
          continue;
        } else {
          at++;
          out.push(Kind.Invalid, start, at);
        }
    }
    lineHasToken = true;
  }
  return {
    count: out.count,
    kind: out.kind.subarray(0, out.count),
    start: out.start.subarray(0, out.count),
    end: out.end.subarray(0, out.count),
    lineStarts: lineStartsOf(text),
    unterminated,
  };
}

/** Offsets at which lines begin, so that offset and position convert by binary search. */
export function lineStartsOf(text: string): Uint32Array {
  let starts = new Uint32Array((text.length >> 4) + 16);
  let count = 1;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
    if (count === starts.length) {
      const grown = new Uint32Array(count * 2);
      grown.set(starts);
      starts = grown;
    }
    starts[count++] = at + 1;
  }
  return starts.subarray(0, count);
}

/** Zero-based line that holds `offset`. */
export function lineOf(lineStarts: Uint32Array, offset: number): number {
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (lineStarts[middle]! <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

function skipWord(text: string, at: number): number {
  for (; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c < 128) {
      const kind = classOf[c];
      if (kind !== Class.Letter && kind !== Class.Digit) break;
    }
  }
  return at;
}

/** The end of the preprocessing number at `start`: digits, letters, dots, and signs after an exponent. */
function skipNumber(text: string, start: number): number {
  const isHex = (text.charCodeAt(start + 1) | 32) === 120;
  let at = start + 1;
  for (; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c >= 128) break;
    const kind = classOf[c];
    if (kind === Class.Letter || kind === Class.Digit) continue;
    if (c === Kind.Dot && text.charCodeAt(at + 1) !== Kind.Dot) continue;
    const exponent = text.charCodeAt(at - 1) | 32;
    const isSign = c === 43 || c === 45;
    if (!isSign || exponent !== (isHex ? 112 : 101)) break;
  }
  return at;
}

function isLiteralPrefix(text: string, start: number, end: number): boolean {
  const prefix = text.slice(start, end);
  return prefix === 'L' || prefix === 'u8' || prefix === 'u' || prefix === 'U';
}

function skipLiteral(
  text: string,
  at: number,
  quote: number,
  start: number,
  unterminated: Unterminated[],
): number {
  for (at++; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === quote) return at + 1;
    if (c === BACKSLASH) {
      at++;
      if (text.charCodeAt(at) === 13 && text.charCodeAt(at + 1) === NEWLINE) at++;
    } else if (c === NEWLINE) break;
  }
  const end = Math.min(at, text.length);
  unterminated.push({ what: quote === QUOTE ? 'string' : 'character', start, end });
  return end;
}

function skipComment(text: string, start: number, unterminated: Unterminated[]): number {
  const close = text.indexOf('*/', start + 2);
  if (close >= 0) return close + 2;
  unterminated.push({ what: 'comment', start, end: text.length });
  return text.length;
}

function endOfLine(text: string, at: number): number {
  const newline = text.indexOf('\n', at);
  return newline < 0 ? text.length : newline;
}

function isLineContinuation(text: string, at: number): boolean {
  const next = text.charCodeAt(at + 1);
  return next === NEWLINE || (next === 13 && text.charCodeAt(at + 2) === NEWLINE);
}

/** The end of a preprocessor line: continuations and block comments that span lines belong to it. */
function endOfDirective(text: string, at: number, unterminated: Unterminated[]): number {
  for (; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (c === BACKSLASH && isLineContinuation(text, at)) {
      at = endOfLine(text, at);
    } else if (c === SLASH && text.charCodeAt(at + 1) === STAR) {
      at = skipComment(text, at, unterminated) - 1;
    } else if (c === SLASH && text.charCodeAt(at + 1) === SLASH) {
      return endOfLine(text, at);
    } else if (c === QUOTE) {
      // Only to see past comment marks inside strings; an unbalanced quote ends with the line.
      at = skipLiteral(text, at, c, at, []) - 1;
    } else if (c === NEWLINE) {
      return at;
    }
  }
  return text.length;
}

function operatorLength(text: string, at: number, c: number): number {
  if (!operatorStarts[c] || !operatorSeconds[text.charCodeAt(at + 1)]) return 1;
  if (operators.has(text.slice(at, at + 3))) return 3;
  return operators.has(text.slice(at, at + 2)) ? 2 : 1;
}

function operatorKind(text: string, start: number, end: number): number {
  if (end - start === 3) return text.charCodeAt(start) === Kind.Dot ? Kind.Ellipsis : Kind.Operator;
  return text.charCodeAt(start) === 38 && text.charCodeAt(start + 1) === 38 ? Kind.AndAnd : Kind.Operator;
}
