/**
 * The BPF dialect of C. BPF sources use macros and compiler extensions in places where the C grammar has none:
 * `SEC("xdp")` before a function, `__uint(type, X)` among a struct's members, `bpf_for(i, 0, 8) {`. Before
 * parsing, each is replaced by plain C of the same length, so that the grammar accepts the file and every offset
 * stays true. What is replaced by something that still needs its semicolon or bracket still shows when it lacks it.
 */
import { BYTE_ORDER_MARK, Kind, type Tokens } from './tokens';
import * as words from './words';

export interface Replacement {
  start: number;
  end: number;
  /** At most `end - start` characters; padded with spaces, line breaks of the original kept. */
  by: string;
}

/** The text with everything that is not plain C replaced, length and line breaks unchanged. */
export function toPlainC(
  text: string,
  tokens: Tokens,
  active: Uint8Array,
  skipped: [number, number][],
  macros: ReadonlySet<string>,
): string {
  const replacements = new Dialect(text, tokens, active, macros).run();
  if (text.charCodeAt(0) === BYTE_ORDER_MARK) replacements.push({ start: 0, end: 1, by: '' });
  for (const [start, end] of skipped) replacements.push({ start, end, by: '' });
  for (let index = 0; index < tokens.count; index++) {
    if (tokens.kind[index] === Kind.Directive) {
      replacements.push({ start: tokens.start[index]!, end: tokens.end[index]!, by: '' });
    }
  }
  return apply(text, replacements);
}

function apply(text: string, replacements: Replacement[]): string {
  replacements.sort((a, b) => a.start - b.start || b.end - a.end);
  const parts: string[] = [];
  let at = 0;
  for (const { start, end, by } of replacements) {
    if (start < at) continue;
    parts.push(text.slice(at, start), pad(by, text.slice(start, end)));
    at = end;
  }
  parts.push(text.slice(at));
  return parts.join('');
}

function pad(by: string, original: string): string {
  if (!original.includes('\n')) return by.padEnd(original.length);
  const room = original.indexOf('\n');
  if (by.length > room) return original.replace(/[^\n]/g, ' ');
  return by + original.slice(by.length).replace(/[^\n]/g, ' ');
}

const enum Context {
  TopLevel,
  Body,
  Members,
  Enumerators,
  Initialiser,
  /** Parentheses of a declaration's parameters. */
  Parameters,
  /** Parentheses of an expression or of a macro's arguments, inside a body. */
  Parens,
  Brackets,
}

class Dialect {
  private readonly out: Replacement[] = [];
  private readonly context: Context[] = [Context.TopLevel];
  /** Indexes of the active tokens, so that neighbours are neighbours. */
  private readonly list: Int32Array;
  /** Per position in `list`: the position of the partner bracket, or -1. */
  private readonly partner: Int32Array;
  /** Per position in `list`: 1 when it was replaced by nothing and does not count as a neighbour. */
  private readonly gone: Uint8Array;

  constructor(
    private readonly text: string,
    private readonly tokens: Tokens,
    active: Uint8Array,
    private readonly macros: ReadonlySet<string>,
  ) {
    const list: number[] = [];
    for (let index = 0; index < tokens.count; index++) if (active[index]) list.push(index);
    this.list = Int32Array.from(list);
    this.gone = new Uint8Array(list.length);
    this.partner = this.pairBrackets();
  }

  run(): Replacement[] {
    for (let at = 0; at < this.list.length; at++) {
      if (!this.gone[at]) this.visit(at);
    }
    for (let at = 0; at < this.list.length; at++) {
      if (!this.gone[at] && this.isWord(at) && !this.isMember(at)) at = this.thinOutRun(at);
    }
    return this.out;
  }

  private visit(at: number): void {
    switch (this.kind(at)) {
      case Kind.OpenBrace:
        this.context.push(this.contextOfBrace(at));
        return;
      case Kind.OpenParen:
        this.openParen(at);
        return;
      case Kind.OpenBracket:
        this.context.push(Context.Brackets);
        return;
      case Kind.CloseBrace:
      case Kind.CloseParen:
      case Kind.CloseBracket:
        if (this.context.length > 1) this.context.pop();
        return;
      case Kind.AndAnd:
        // GNU C: `&&label` is the label's address.
        if (this.startsOperand(at) && this.isWord(at + 1)) this.replaceToken(at, ' &');
        return;
      case Kind.Colon:
        if (this.inside() === Context.Members) this.visitBitField(at);
        return;
      case Kind.Ellipsis:
        // GNU C: `case 1 ... 5:`. Ranges of designators are in the grammar.
        if (this.inside() === Context.Body) this.replaceToken(at, ' + ');
        return;
      case Kind.Identifier:
        this.visitWord(at);
    }
  }

  private visitWord(at: number): void {
    if (this.isMember(at)) return;
    const word = this.word(at);
    const call = this.kind(at + 1) === Kind.OpenParen ? this.partner[at + 1]! : -1;
    if (words.attributeCalls.has(word)) {
      if (call >= 0 && (word !== 'SEC' || this.isSectionName(at + 2, call - 1))) this.remove(at, call);
    } else if (words.attributes.has(word)) {
      this.remove(at, at);
    } else if (words.assembly.has(word)) {
      this.visitAssembly(at);
    } else if (words.typeCalls.has(word) && call >= 0) {
      this.replace(at, call, 'i');
    } else if (words.valueCalls.has(word) && call >= 0) {
      this.replace(at, call, 'a');
    } else if (word === 'goto' && this.kind(at + 1) === Kind.Star) {
      this.remove(at + 1, at + 1);
    } else if (call >= 0 && !words.keywords.has(word)) {
      this.visitInvocation(at, call, word);
    } else if (this.startsStatement(at) && this.startsOwnStatement(at + 1)) {
      // `UNROLL for (…)`: a macro for a pragma.
      if (this.looksLikeMacro(at) || this.macros.has(word)) this.remove(at, at);
    }
  }

  /** The argument of `SEC()`: strings, and macros that make strings. */
  private isSectionName(first: number, last: number): boolean {
    for (let at = first; at <= last; at++) {
      if (this.kind(at) === Kind.String) continue;
      if (!this.isWord(at) || words.keywords.has(this.word(at))) return false;
    }
    return first <= last;
  }

  /** `name(…)`: a call, a macro, or a function's declarator. */
  private visitInvocation(at: number, close: number, word: string): void {
    const next = this.kind(close + 1);
    const starts = this.startsStatement(at);
    switch (this.inside()) {
      case Context.Members:
        if (starts && this.kind(at + 2) !== Kind.Star) this.visitMemberMacro(at, close, word, next);
        return;
      case Context.Body:
        if (starts) this.visitStatementMacro(at, close, word, next);
        return;
      case Context.TopLevel:
        if (next === Kind.OpenBrace && starts) {
          // A macro that writes the whole head of a function.
          this.replace(at, close, this.room(at, close) >= 5 ? 'i f()' : '');
        } else if ((starts || this.followsMacrosOnly(at)) && (next === Kind.Identifier || next === -1)) {
          // `DEFINE_X(a, b)` or `__description("…")`: a declaration follows without a semicolon.
          this.remove(at, close);
        }
        return;
      case Context.Enumerators:
      case Context.Initialiser:
        // X-macros: `FOO(a) FOO(b)` without commas between them.
        if (next === Kind.Identifier && this.mayNeedNoSemicolon(word)) this.remove(at, close);
    }
  }

  /** Whether only macro names stand between the start of the declaration and `at`. */
  private followsMacrosOnly(at: number): boolean {
    let back = this.neighbour(at, -1);
    while (this.isWord(back) && (this.looksLikeMacro(back) || words.specifiers.has(this.word(back)))) {
      if (this.startsStatement(back)) return true;
      back = this.neighbour(back, -1);
    }
    return false;
  }

  /** `u64 : 64;`: a bit field without a name, which the grammar does not have. */
  private visitBitField(colon: number): void {
    const before = this.neighbour(colon, -1);
    if (!this.isWord(before)) return;
    const named = !words.baseTypes.has(this.word(before)) && !this.startsStatement(before);
    if (named) return;
    let last = colon;
    while (last + 1 < this.list.length) {
      const next = this.kind(last + 1);
      if (next === Kind.Semicolon || next === Kind.Comma || next === Kind.CloseBrace) break;
      last++;
    }
    this.remove(colon, last);
  }

  private visitMemberMacro(at: number, close: number, word: string, next: number): void {
    if (next === Kind.Identifier || next === Kind.Star) {
      if (next === Kind.Identifier && !this.sameLine(close, close + 1) && !words.mapMembers.has(word)) {
        this.replace(at, close, 'i a;');
      } else if (words.mapMembers.has(word)) {
        this.replace(at, close, 'i a');
      } else {
        this.replace(at, close, 'i');
      }
    } else if (next === Kind.CloseBrace && !words.mapMembers.has(word)) {
      this.replace(at, close, 'i a;');
    } else {
      this.replace(at, close, 'i a');
    }
  }

  private visitStatementMacro(at: number, close: number, word: string, next: number): void {
    const isLoop = words.loopMacro.test(word);
    if (next === Kind.OpenBrace || isLoop) {
      this.remove(at, close);
      return;
    }
    const endsLikeCall =
      next === Kind.Semicolon ||
      (next !== Kind.Identifier && next !== Kind.CloseBrace && next !== Kind.Number && next !== -1);
    if (!endsLikeCall && this.mayNeedNoSemicolon(word)) this.replace(at, close, ';');
  }

  private visitAssembly(at: number): void {
    let open = at + 1;
    while (this.isWord(open)) open++;
    const close = this.kind(open) === Kind.OpenParen ? this.partner[open]! : -1;
    if (close < 0) return;
    const isStatement = this.inside() === Context.Body && this.startsStatement(at);
    this.replace(at, close, isStatement || this.inside() === Context.TopLevel ? this.asmText(at) : '');
  }

  private asmText(at: number): string {
    return this.startsStatement(at) ? 'a' : '';
  }

  private openParen(at: number): void {
    const outer = this.inside();
    const isDeclaration =
      outer === Context.TopLevel || outer === Context.Members || outer === Context.Parameters;
    if (isDeclaration && this.kind(at - 1) !== Kind.Assign && !this.afterAssign(at)) {
      this.context.push(Context.Parameters);
      return;
    }
    this.context.push(Context.Parens);
    if (!this.isWord(at - 1)) return;
    const callee = this.word(at - 1);
    if (words.keywords.has(callee)) return;
    const close = this.partner[at]!;
    if (close < 0) return;
    if (this.isWord(at - 2) && !words.keywords.has(this.word(at - 2))) return;
    const isMacro = this.mayNeedNoSemicolon(callee);
    let first = at + 1;
    for (let end = first; end <= close; end++) {
      const kind = this.kind(end);
      if (end !== close && kind !== Kind.Comma) {
        const partner = this.partner[end]!;
        if (partner > end) end = partner;
        continue;
      }
      if (first < end && this.isNoExpression(first, end - 1, isMacro)) this.replace(first, end - 1, 'a');
      else if (first === end && kind === Kind.Comma && isMacro) this.replaceToken(end, ' ');
      first = end + 1;
    }
  }

  /** Whether a macro's argument (positions `first..last`) is a type, a member, a statement or an operator. */
  private isNoExpression(first: number, last: number, isMacro: boolean): boolean {
    const kind = this.kind(first);
    if (kind === Kind.OpenBrace) return true;
    if (this.kind(last) === Kind.Star) return true;
    if (kind === Kind.Dot || this.word(first) === '->') return true;
    if (first === last && kind !== Kind.Identifier && kind >= Kind.Operator && kind !== Kind.Invalid) {
      return !this.isBracket(kind);
    }
    if (kind === Kind.Identifier) {
      const word = this.word(first);
      if (words.typeWords.has(word) || words.statementWords.has(word)) return true;
    }
    if (!isMacro) return false;
    for (let at = first; at <= last; at++) {
      const partner = this.partner[at]!;
      if (this.kind(at) === Kind.Semicolon) return true;
      if (this.kind(at) === Kind.Ellipsis) return true;
      if (at < last && this.isWord(at) && (this.isWord(at + 1) || this.kind(at + 1) === Kind.Number)) {
        if (!words.keywords.has(this.word(at))) return true;
      }
      if (partner > at) at = partner;
    }
    return false;
  }

  /**
   * In a run of adjacent words such as `static INLINE struct x`, removes the macros that stand beside the type
   * and the declared name. Returns the position of the run's last word.
   */
  private thinOutRun(from: number): number {
    const run: number[] = [];
    let at = from;
    for (; at < this.list.length; at++) {
      if (this.gone[at]) continue;
      if (!this.isWord(at) || words.separators.has(this.word(at))) break;
      run.push(at);
    }
    if (run.length === 0) return from;
    const end = Math.max(at - 1, from);
    const previous = this.neighbour(run[0]!, -1);
    let hasType = previous >= 0 && this.kind(previous) === Kind.Star;
    const afterDeclarator =
      previous >= 0 && (this.kind(previous) === Kind.CloseParen || this.kind(previous) === Kind.CloseBracket);
    const names: number[] = [];
    for (let index = 0; index < run.length; index++) {
      const word = this.word(run[index]!);
      if (words.aggregates.has(word)) {
        hasType = true;
        index++;
        // `struct __packed name {`: the last word before the brace is the tag.
        while (
          index + 1 < run.length &&
          this.kind(this.neighbour(run.at(-1)!, 1)) === Kind.OpenBrace &&
          this.looksLikeMacro(run[index]!)
        ) {
          this.remove(run[index]!, run[index]!);
          index++;
        }
      } else if (words.baseTypes.has(word)) hasType = true;
      else if (!words.specifiers.has(word)) names.push(run[index]!);
    }
    if (afterDeclarator) {
      if (names.length === 1 && run.length === 1 && this.isAfterParameters(previous))
        this.removeMacro(run[0]!);
      else if (this.kind(previous) === Kind.CloseBracket) for (const name of names) this.removeMacro(name);
      return end;
    }
    const following = at < this.list.length ? this.kind(at) : -1;
    let excess = names.length - (hasType ? 1 : 2) + (following === Kind.Star ? 1 : 0);
    // The last name before a parenthesis is most likely the function's own, so it goes last.
    const declarator = following === Kind.OpenParen ? names.at(-1) : undefined;
    const order = [...names.filter((name) => name !== declarator).reverse(), ...names.slice(-1)];
    for (const test of [words.looksReserved, words.looksLikeMacroName]) {
      for (const name of order) {
        if (excess <= 0) break;
        if (this.gone[name] || !test(this.word(name))) continue;
        this.removeMacro(name);
        excess--;
      }
    }
    if (excess > 0 && this.isTopLevel(run[0]!)) {
      // At file level `statfunc u32 name(` can only begin with a macro, whatever it is called.
      for (const name of following === Kind.Star ? names : names.slice(0, -1)) {
        if (excess-- <= 0) break;
        if (!this.gone[name]) this.remove(name, name);
      }
    }
    return end;
  }

  private startsOwnStatement(at: number): boolean {
    return this.isWord(at) && (words.statementWords.has(this.word(at)) || this.kind(at + 1) === Kind.Colon);
  }

  /** A member's name in an expression: `x.name`, `x->name`. */
  private isMember(at: number): boolean {
    const before = this.kind(at - 1);
    return before === Kind.Dot || (before === Kind.Operator && this.word(at - 1) === '->');
  }

  private isTopLevel(at: number): boolean {
    for (let back = at - 1; back >= 0; back--) {
      const kind = this.kind(back);
      if (kind === Kind.CloseBrace || kind === Kind.CloseParen) back = Math.max(0, this.partner[back]!);
      else if (kind === Kind.OpenBrace || kind === Kind.OpenParen) return false;
    }
    return true;
  }

  private looksLikeMacro(at: number): boolean {
    return words.looksReserved(this.word(at)) || words.looksLikeMacroName(this.word(at));
  }

  private removeMacro(at: number): void {
    const hasArguments = this.kind(at + 1) === Kind.OpenParen && this.partner[at + 1]! >= 0;
    const isLast = !this.isWord(at + 1);
    this.remove(at, hasArguments && isLast ? this.partner[at + 1]! : at);
  }

  /** `int f(int a) NAME`, not `if (a) name`, not the cast `(type) name`. */
  private isAfterParameters(close: number): boolean {
    if (this.kind(close) !== Kind.CloseParen) return false;
    const open = this.partner[close]!;
    if (open < 1 || !this.isWord(open - 1) || words.keywords.has(this.word(open - 1))) return false;
    const next = this.kind(this.neighbour(close, 1) + 1);
    return next === Kind.OpenBrace || next === Kind.Semicolon || next === Kind.OpenParen;
  }

  private contextOfBrace(at: number): Context {
    const outer = this.inside();
    const before = this.neighbour(at, -1);
    const kind = before < 0 ? -1 : this.kind(before);
    if (kind === Kind.Assign || outer === Context.Initialiser || outer === Context.Enumerators) {
      return Context.Initialiser;
    }
    if (kind === Kind.CloseParen) {
      const open = this.partner[before]!;
      const isHead = open > 0 && (this.isWord(open - 1) || this.kind(open - 1) === Kind.CloseParen);
      if (outer === Context.Members) return Context.Members;
      return isHead ? Context.Body : Context.Initialiser;
    }
    for (let back = before, steps = 0; back >= 0 && steps < 4; back--, steps++) {
      if (!this.isWord(back)) {
        if (this.kind(back) === Kind.Colon || this.gone[back]) continue;
        break;
      }
      const word = this.word(back);
      if (word === 'enum') return Context.Enumerators;
      if (word === 'struct' || word === 'union') return Context.Members;
    }
    return outer === Context.Members ? Context.Members : Context.Body;
  }

  private mayNeedNoSemicolon(word: string): boolean {
    return words.looksLikeMacroName(word) || this.macros.has(word);
  }

  private startsStatement(at: number): boolean {
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

  private startsOperand(at: number): boolean {
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

  /** Whether an `=` came earlier in this declaration at the same level: the parenthesis is in an initialiser. */
  private afterAssign(at: number): boolean {
    for (let back = at - 1; back >= 0; back--) {
      const kind = this.kind(back);
      if (kind === Kind.Assign) return true;
      if (kind === Kind.Semicolon || kind === Kind.OpenBrace || kind === Kind.CloseBrace) return false;
      if (kind === Kind.OpenParen) return false;
    }
    return false;
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

  private isBracket(kind: number): boolean {
    return kind === Kind.OpenParen || kind === Kind.OpenBrace || kind === Kind.OpenBracket;
  }

  private inside(): Context {
    return this.context.at(-1)!;
  }

  private kind(at: number): number {
    const index = this.list[at];
    return index === undefined ? -1 : this.tokens.kind[index]!;
  }

  private isWord(at: number): boolean {
    return this.kind(at) === Kind.Identifier;
  }

  private word(at: number): string {
    const index = this.list[at];
    return index === undefined ? '' : this.text.slice(this.tokens.start[index], this.tokens.end[index]);
  }

  /** The next token in direction `step` that was not removed. */
  private neighbour(at: number, step: 1 | -1): number {
    let found = at + step;
    while (found >= 0 && found < this.list.length && this.gone[found]) found += step;
    return found < this.list.length ? found : -1;
  }

  private sameLine(a: number, b: number): boolean {
    return !this.text.slice(this.tokens.end[this.list[a]!], this.tokens.start[this.list[b]!]).includes('\n');
  }

  private room(first: number, last: number): number {
    return this.tokens.end[this.list[last]!]! - this.tokens.start[this.list[first]!]!;
  }

  private replaceToken(at: number, by: string): void {
    const index = this.list[at]!;
    this.out.push({ start: this.tokens.start[index]!, end: this.tokens.end[index]!, by });
  }

  private remove(first: number, last: number): void {
    this.replace(first, last, '');
  }

  private replace(first: number, last: number, by: string): void {
    this.out.push({
      start: this.tokens.start[this.list[first]!]!,
      end: this.tokens.end[this.list[last]!]!,
      by: by.slice(0, this.room(first, last)),
    });
    this.gone.fill(1, first, last + 1);
    // What stands for something remains a neighbour of what follows.
    if (by) this.gone[last] = by === 'a' ? 0 : 1;
  }
}
