/**
 * Splits a file into its top-level declarations. Each is checked on its own, so that an error stays where it is
 * and an edit costs no more than the declaration it is in.
 */
import { isBalanced } from './brackets';
import { Kind, lineOf, type Tokens } from './tokens';

export interface Chunk {
  /** Token indexes, both inclusive. */
  first: number;
  last: number;
  /** Source range from the first token's start to the last token's end. */
  start: number;
  end: number;
}

/** Splits the active tokens. With unbalanced brackets, text at the left margin decides where a declaration starts. */
export function splitChunks(text: string, tokens: Tokens, active: Uint8Array): Chunk[] {
  const balanced = isBalanced(tokens, active, 0, tokens.count - 1);
  const splitter = new Splitter(text, tokens, active);
  return balanced ? splitter.byDepth() : splitter.byMargin();
}

const aggregate = new Set(['struct', 'union', 'enum']);
const attributes = new Set(['__attribute__', '__attribute', '__aligned', '__declspec']);

/** Words that begin a declaration; at the left margin after a finished statement they begin a top-level one. */
const declarationStarts = new Set(
  'static extern struct union enum typedef SEC char int void const volatile inline unsigned signed long short'.split(
    ' ',
  ),
);

const sectionPrefix = /^SEC\([^)]*\)\s*/;
/** `int f(void)` or `struct name`, and then an indented line. */
const unopenedHead =
  /^([^;{}=]*\([^;{}]*\)|(typedef\s+)?(struct|union|enum)(\s+\w+)?)[^\S\n]*\n\s*?\n?[^\S\n]+\S/;

class Splitter {
  private readonly chunks: Chunk[] = [];
  private first = -1;
  private depth = 0;
  private inFunction = false;

  constructor(
    private readonly text: string,
    private readonly tokens: Tokens,
    private readonly active: Uint8Array,
  ) {}

  byDepth(): Chunk[] {
    let last = -1;
    for (let index = 0; index < this.tokens.count; index++) {
      if (!this.active[index]) continue;
      last = index;
      if (this.first < 0) this.first = index;
      if (this.step(index)) this.finish(index);
    }
    return this.rest(last);
  }

  byMargin(): Chunk[] {
    let last = -1;
    for (let index = 0; index < this.tokens.count; index++) {
      if (!this.active[index]) continue;
      const margin = this.isAtMargin(index);
      if (this.first >= 0 && this.depth > 0 && margin && this.startsDeclaration(index, last)) {
        this.finish(last);
      }
      last = index;
      if (this.first < 0) this.first = index;
      const kind = this.tokens.kind[index]!;
      const closesAtMargin = kind === Kind.CloseBrace && margin;
      const ends = this.step(index);
      if (closesAtMargin && this.depth !== 0) {
        this.depth = 0;
        if (this.inFunction || this.opensLikeFunction()) this.finish(index);
      } else if (closesAtMargin && !ends && !this.inFunction && this.opensLikeFunction()) {
        this.finish(index);
      } else if (ends && kind === Kind.CloseBrace && !margin && this.isFirstOnLine(index)) {
        // An indented brace does not end a function: one before it is missing or this one is too many.
        this.depth = 1;
      } else if (ends && !(kind === Kind.Semicolon && !margin && this.looksUnopened(index))) {
        this.finish(index);
      }
    }
    return this.rest(last);
  }

  /** Takes one token into account; true when a declaration ends with it. */
  private step(index: number): boolean {
    switch (this.tokens.kind[index]) {
      case Kind.OpenParen:
      case Kind.OpenBracket:
        this.depth++;
        return false;
      case Kind.OpenBrace:
        if (this.depth++ === 0) this.inFunction = this.opensFunctionBody(index);
        return false;
      case Kind.CloseParen:
      case Kind.CloseBracket:
        if (this.depth > 0) this.depth--;
        return false;
      case Kind.CloseBrace:
        if (this.depth > 0) this.depth--;
        return this.depth === 0 && this.inFunction;
      case Kind.Semicolon:
        return this.depth === 0;
      default:
        return false;
    }
  }

  private finish(last: number): void {
    const { first, tokens } = this;
    this.chunks.push({ first, last, start: tokens.start[first]!, end: tokens.end[last]! });
    this.first = -1;
    this.depth = 0;
    this.inFunction = false;
  }

  private rest(last: number): Chunk[] {
    if (this.first >= 0 && last >= this.first) this.finish(last);
    return this.chunks;
  }

  /** Whether the brace at `index` opens a function's body, and not a type's members or an initialiser. */
  private opensFunctionBody(index: number): boolean {
    let parens = false;
    let depth = 0;
    for (let at = index - 1; at >= this.first; at--) {
      if (!this.active[at]) continue;
      const kind = this.tokens.kind[at]!;
      if (kind === Kind.CloseParen) {
        depth++;
        parens = true;
      } else if (kind === Kind.OpenParen) depth--;
      if (depth > 0) continue;
      if (kind === Kind.Assign) return false;
      if (kind === Kind.Identifier && aggregate.has(this.word(at))) {
        return parens && !this.isAttributed(at, index);
      }
    }
    return parens;
  }

  /** `struct __attribute__((packed)) name {` and `struct name __attribute__((packed)) {` */
  private isAttributed(keyword: number, brace: number): boolean {
    let at = keyword + 1;
    while (at < brace && this.tokens.kind[at] === Kind.Identifier) at++;
    return this.tokens.kind[at] === Kind.OpenParen && attributes.has(this.word(at - 1));
  }

  private isAtMargin(index: number): boolean {
    const start = this.tokens.start[index]!;
    return start === 0 || this.text.charCodeAt(start - 1) === 10;
  }

  private isFirstOnLine(index: number): boolean {
    const { lineStarts, start } = this.tokens;
    const from = lineStarts[lineOf(lineStarts, start[index]!)]!;
    return this.text.slice(from, start[index]).trim() === '';
  }

  private startsDeclaration(index: number, previous: number): boolean {
    if (this.tokens.kind[index] !== Kind.Identifier) return false;
    const before = this.tokens.kind[previous];
    const between = this.text.slice(this.tokens.end[previous], this.tokens.start[index]);
    const fresh = before === Kind.Semicolon || before === Kind.CloseBrace || /\n\s*\n/.test(between);
    if (!fresh) return false;
    const word = this.word(index);
    if (declarationStarts.has(word)) return true;
    const next = this.tokens.kind[index + 1];
    return next === Kind.Identifier && word !== 'return' && word !== 'goto' && word !== 'case';
  }

  /** A function whose opening brace is missing: `int f(void)` and then an indented statement. */
  private looksUnopened(semicolon: number): boolean {
    const from = this.tokens.start[this.first]!;
    const head = this.text.slice(from, this.tokens.start[semicolon]);
    return unopenedHead.test(head.replace(sectionPrefix, ''));
  }

  private opensLikeFunction(): boolean {
    const from = this.tokens.start[this.first]!;
    const head = this.text.slice(from, from + 400);
    return /^[^;{}=]*\([^;{}]*\)\s*(\{|\n[^\S\n]+\S)/.test(head.replace(sectionPrefix, ''));
  }

  private word(index: number): string {
    return this.text.slice(this.tokens.start[index], this.tokens.end[index]);
  }
}
