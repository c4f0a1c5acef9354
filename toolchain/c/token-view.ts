/**
 * The tokens that are read, as neighbours of each other, with what was put in the place of some. Positions count
 * these tokens; bracket partners are known.
 */
import { Kind, type Tokens } from './tokens';
import * as words from './words';

export interface Replacement {
  start: number;
  end: number;
  /** At most `end - start` characters; padded with spaces, line breaks of the original kept. */
  by: string;
}

export class TokenView {
  readonly replacements: Replacement[] = [];
  /** Indexes of the active tokens, so that neighbours are neighbours. */
  private readonly list: Int32Array;
  /** Per position: the position of the partner bracket, or -1. */
  readonly partner: Int32Array;
  /** Per position: 1 when it was replaced by nothing and does not count as a neighbour. */
  readonly gone: Uint8Array;

  constructor(
    private readonly text: string,
    private readonly tokens: Tokens,
    active: Uint8Array,
  ) {
    const list: number[] = [];
    for (let index = 0; index < tokens.count; index++) if (active[index]) list.push(index);
    this.list = Int32Array.from(list);
    this.gone = new Uint8Array(list.length);
    this.partner = this.pairBrackets();
  }

  get count(): number {
    return this.list.length;
  }

  startsStatement(at: number): boolean {
    const before = this.neighbour(at, -1);
    if (before < 0) return true;
    switch (this.kind(before)) {
      case Kind.Semicolon:
      case Kind.OpenBrace:
      case Kind.CloseBrace:
      case Kind.Colon:
        return true;
      case Kind.CloseParen: {
        const open = this.partner[before]!;
        return open > 0 && this.isWord(open - 1) && words.blockKeywords.has(this.word(open - 1));
      }
      case Kind.Identifier:
        return words.blockKeywords.has(this.word(before));
      default:
        return false;
    }
  }

  startsOperand(at: number): boolean {
    const before = this.neighbour(at, -1);
    if (before < 0) return false;
    const kind = this.kind(before);
    if (kind === Kind.Identifier) return this.word(before) === 'return';
    return (
      kind !== Kind.CloseParen &&
      kind !== Kind.CloseBracket &&
      kind !== Kind.Number &&
      kind !== Kind.Character &&
      kind !== Kind.String &&
      kind !== Kind.CloseBrace
    );
  }

  /** A member's name in an expression: `x.name`, `x->name`. */
  isMember(at: number): boolean {
    const before = this.kind(at - 1);
    return before === Kind.Dot || (before === Kind.Operator && this.word(at - 1) === '->');
  }

  looksLikeMacro(at: number): boolean {
    return words.looksReserved(this.word(at)) || words.looksLikeMacroName(this.word(at));
  }

  isTopLevel(at: number): boolean {
    for (let back = at - 1; back >= 0; back--) {
      const kind = this.kind(back);
      if (kind === Kind.CloseBrace || kind === Kind.CloseParen) back = Math.max(0, this.partner[back]!);
      else if (kind === Kind.OpenBrace || kind === Kind.OpenParen) return false;
    }
    return true;
  }

  /** The next token in direction `step` that was not removed. */
  neighbour(at: number, step: 1 | -1): number {
    let found = at + step;
    while (found >= 0 && found < this.list.length && this.gone[found]) found += step;
    return found < this.list.length ? found : -1;
  }

  kind(at: number): number {
    const index = this.list[at];
    return index === undefined ? -1 : this.tokens.kind[index]!;
  }

  isWord(at: number): boolean {
    return this.kind(at) === Kind.Identifier;
  }

  word(at: number): string {
    const index = this.list[at];
    return index === undefined ? '' : this.text.slice(this.tokens.start[index], this.tokens.end[index]);
  }

  sameLine(a: number, b: number): boolean {
    return !this.text.slice(this.tokens.end[this.list[a]!], this.tokens.start[this.list[b]!]).includes('\n');
  }

  room(first: number, last: number): number {
    return this.tokens.end[this.list[last]!]! - this.tokens.start[this.list[first]!]!;
  }

  replaceToken(at: number, by: string): void {
    const index = this.list[at]!;
    this.replacements.push({ start: this.tokens.start[index]!, end: this.tokens.end[index]!, by });
  }

  remove(first: number, last: number): void {
    this.replace(first, last, '');
  }

  replace(first: number, last: number, by: string): void {
    this.replacements.push({
      start: this.tokens.start[this.list[first]!]!,
      end: this.tokens.end[this.list[last]!]!,
      by: by.slice(0, this.room(first, last)),
    });
    this.gone.fill(1, first, last + 1);
    // What stands for something remains a neighbour of what follows.
    if (by) this.gone[last] = by === 'a' ? 0 : 1;
  }

  private pairBrackets(): Int32Array {
    const partner = new Int32Array(this.list.length).fill(-1);
    const stack: number[] = [];
    for (let at = 0; at < this.list.length; at++) {
      const kind = this.kind(at);
      if (kind === Kind.OpenParen || kind === Kind.OpenBrace || kind === Kind.OpenBracket) stack.push(at);
      else if (kind === Kind.CloseParen || kind === Kind.CloseBrace || kind === Kind.CloseBracket) {
        const open = stack.pop();
        if (open === undefined) continue;
        partner[at] = open;
        partner[open] = at;
      }
    }
    return partner;
  }
}
