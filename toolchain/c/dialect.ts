/**
 * The BPF dialect of C. BPF sources use macros and compiler extensions in places where the C grammar has none:
 * `SEC("xdp")` before a function, `__uint(type, X)` among a struct's members, `bpf_for(i, 0, 8) {`. Before
 * parsing, each is replaced by plain C of the same length, so that the grammar accepts the file and every offset
 * stays true. What is replaced by something that still needs its semicolon or bracket still shows when it lacks it.
 */
import { thinOutRuns } from './runs';
import { TokenView, type Replacement } from './token-view';
import { BYTE_ORDER_MARK, Kind, type Tokens } from './tokens';
import * as words from './words';

/** The text with everything that is not plain C replaced, length and line breaks unchanged. */
export function toPlainC(
  text: string,
  tokens: Tokens,
  active: Uint8Array,
  skipped: [number, number][],
  macros: ReadonlySet<string>,
): string {
  const view = new TokenView(text, tokens, active);
  new Dialect(view, macros).run();
  thinOutRuns(view);
  const { replacements } = view;
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
  private readonly context: Context[] = [Context.TopLevel];

  constructor(
    private readonly view: TokenView,
    /** Names the file defines as macros that may need no semicolon. */
    private readonly macros: ReadonlySet<string>,
  ) {}

  run(): void {
    for (let at = 0; at < this.view.count; at++) {
      if (!this.view.gone[at]) this.visit(at);
    }
  }

  private visit(at: number): void {
    switch (this.view.kind(at)) {
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
        if (this.view.startsOperand(at) && this.view.isWord(at + 1)) this.view.replaceToken(at, ' &');
        return;
      case Kind.Colon:
        if (this.inside() === Context.Members) this.visitBitField(at);
        return;
      case Kind.Ellipsis:
        // GNU C: `case 1 ... 5:`. Ranges of designators are in the grammar.
        if (this.inside() === Context.Body) this.view.replaceToken(at, ' + ');
        return;
      case Kind.Identifier:
        this.visitWord(at);
    }
  }

  private visitWord(at: number): void {
    if (this.view.isMember(at)) return;
    const word = this.view.word(at);
    const call = this.view.kind(at + 1) === Kind.OpenParen ? this.view.partner[at + 1]! : -1;
    if (words.attributeCalls.has(word)) {
      if (call >= 0 && (word !== 'SEC' || this.isSectionName(at + 2, call - 1))) this.view.remove(at, call);
    } else if (words.attributes.has(word)) {
      this.view.remove(at, at);
    } else if (words.assembly.has(word)) {
      this.visitAssembly(at);
    } else if (words.typeCalls.has(word) && call >= 0) {
      this.view.replace(at, call, 'i');
    } else if (words.valueCalls.has(word) && call >= 0) {
      this.view.replace(at, call, 'a');
    } else if (word === 'goto' && this.view.kind(at + 1) === Kind.Star) {
      this.view.remove(at + 1, at + 1);
    } else if (call >= 0 && !words.keywords.has(word)) {
      this.visitInvocation(at, call, word);
    } else if (this.view.startsStatement(at) && this.startsOwnStatement(at + 1)) {
      // `UNROLL for (…)`: a macro for a pragma.
      if (this.view.looksLikeMacro(at) || this.macros.has(word)) this.view.remove(at, at);
    }
  }

  /** The argument of `SEC()`: strings, and macros that make strings. */
  private isSectionName(first: number, last: number): boolean {
    for (let at = first; at <= last; at++) {
      if (this.view.kind(at) === Kind.String) continue;
      if (!this.view.isWord(at) || words.keywords.has(this.view.word(at))) return false;
    }
    return first <= last;
  }

  /** `name(…)`: a call, a macro, or a function's declarator. */
  private visitInvocation(at: number, close: number, word: string): void {
    const next = this.view.kind(close + 1);
    const starts = this.view.startsStatement(at);
    switch (this.inside()) {
      case Context.Members:
        if (starts && this.view.kind(at + 2) !== Kind.Star) this.visitMemberMacro(at, close, word, next);
        return;
      case Context.Body:
        if (starts) this.visitStatementMacro(at, close, word, next);
        return;
      case Context.TopLevel:
        if (next === Kind.OpenBrace && starts) {
          // A macro that writes the whole head of a function.
          this.view.replace(at, close, this.view.room(at, close) >= 5 ? 'i f()' : '');
        } else if ((starts || this.followsMacrosOnly(at)) && (next === Kind.Identifier || next === -1)) {
          // `DEFINE_X(a, b)` or `__description("…")`: a declaration follows without a semicolon.
          this.view.remove(at, close);
        }
        return;
      case Context.Enumerators:
      case Context.Initialiser:
        // X-macros: `FOO(a) FOO(b)` without commas between them.
        if (next === Kind.Identifier && this.mayNeedNoSemicolon(word)) this.view.remove(at, close);
    }
  }

  /** Whether only macro names stand between the start of the declaration and `at`. */
  private followsMacrosOnly(at: number): boolean {
    let back = this.view.neighbour(at, -1);
    while (
      this.view.isWord(back) &&
      (this.view.looksLikeMacro(back) || words.specifiers.has(this.view.word(back)))
    ) {
      if (this.view.startsStatement(back)) return true;
      back = this.view.neighbour(back, -1);
    }
    return false;
  }

  /** `u64 : 64;`: a bit field without a name, which the grammar does not have. */
  private visitBitField(colon: number): void {
    const before = this.view.neighbour(colon, -1);
    if (!this.view.isWord(before)) return;
    const named = !words.baseTypes.has(this.view.word(before)) && !this.view.startsStatement(before);
    if (named) return;
    let last = colon;
    while (last + 1 < this.view.count) {
      const next = this.view.kind(last + 1);
      if (next === Kind.Semicolon || next === Kind.Comma || next === Kind.CloseBrace) break;
      last++;
    }
    this.view.remove(colon, last);
  }

  private visitMemberMacro(at: number, close: number, word: string, next: number): void {
    if (next === Kind.Identifier || next === Kind.Star) {
      if (next === Kind.Identifier && !this.view.sameLine(close, close + 1) && !words.mapMembers.has(word)) {
        this.view.replace(at, close, 'i a;');
      } else if (words.mapMembers.has(word)) {
        this.view.replace(at, close, 'i a');
      } else {
        this.view.replace(at, close, 'i');
      }
    } else if (next === Kind.CloseBrace && !words.mapMembers.has(word)) {
      this.view.replace(at, close, 'i a;');
    } else {
      this.view.replace(at, close, 'i a');
    }
  }

  private visitStatementMacro(at: number, close: number, word: string, next: number): void {
    const isLoop = words.loopMacro.test(word);
    if (next === Kind.OpenBrace || isLoop) {
      this.view.remove(at, close);
      return;
    }
    const endsLikeCall =
      next === Kind.Semicolon ||
      (next !== Kind.Identifier && next !== Kind.CloseBrace && next !== Kind.Number && next !== -1);
    if (!endsLikeCall && this.mayNeedNoSemicolon(word)) this.view.replace(at, close, ';');
  }

  private visitAssembly(at: number): void {
    let open = at + 1;
    while (this.view.isWord(open)) open++;
    const close = this.view.kind(open) === Kind.OpenParen ? this.view.partner[open]! : -1;
    if (close < 0) return;
    // As a statement it still needs its semicolon; as a register's name it stands for nothing.
    this.view.replace(at, close, this.view.startsStatement(at) ? 'a' : '');
  }

  private openParen(at: number): void {
    const outer = this.inside();
    const isDeclaration =
      outer === Context.TopLevel || outer === Context.Members || outer === Context.Parameters;
    if (isDeclaration && this.view.kind(at - 1) !== Kind.Assign && !this.afterAssign(at)) {
      this.context.push(Context.Parameters);
      return;
    }
    this.context.push(Context.Parens);
    if (!this.view.isWord(at - 1)) return;
    const callee = this.view.word(at - 1);
    if (words.keywords.has(callee)) return;
    const close = this.view.partner[at]!;
    if (close < 0) return;
    if (this.view.isWord(at - 2) && !words.keywords.has(this.view.word(at - 2))) return;
    const isMacro = this.mayNeedNoSemicolon(callee);
    let first = at + 1;
    for (let end = first; end <= close; end++) {
      const kind = this.view.kind(end);
      if (end !== close && kind !== Kind.Comma) {
        const partner = this.view.partner[end]!;
        if (partner > end) end = partner;
        continue;
      }
      if (first < end && this.isNoExpression(first, end - 1, isMacro)) this.view.replace(first, end - 1, 'a');
      else if (first === end && kind === Kind.Comma && isMacro) this.view.replaceToken(end, ' ');
      first = end + 1;
    }
  }

  /** Whether a macro's argument (positions `first..last`) is a type, a member, a statement or an operator. */
  private isNoExpression(first: number, last: number, isMacro: boolean): boolean {
    const kind = this.view.kind(first);
    if (kind === Kind.OpenBrace) return true;
    if (this.view.kind(last) === Kind.Star) return true;
    if (kind === Kind.Dot || this.view.word(first) === '->') return true;
    if (first === last && kind !== Kind.Identifier && kind >= Kind.Operator && kind !== Kind.Invalid) {
      return !this.isBracket(kind);
    }
    if (kind === Kind.Identifier) {
      const word = this.view.word(first);
      if (words.typeWords.has(word) || words.statementWords.has(word)) return true;
    }
    if (!isMacro) return false;
    for (let at = first; at <= last; at++) {
      const partner = this.view.partner[at]!;
      if (this.view.kind(at) === Kind.Semicolon) return true;
      if (this.view.kind(at) === Kind.Ellipsis) return true;
      if (
        at < last &&
        this.view.isWord(at) &&
        (this.view.isWord(at + 1) || this.view.kind(at + 1) === Kind.Number)
      ) {
        if (!words.keywords.has(this.view.word(at))) return true;
      }
      if (partner > at) at = partner;
    }
    return false;
  }

  private startsOwnStatement(at: number): boolean {
    return (
      this.view.isWord(at) &&
      (words.statementWords.has(this.view.word(at)) || this.view.kind(at + 1) === Kind.Colon)
    );
  }

  private contextOfBrace(at: number): Context {
    const outer = this.inside();
    const before = this.view.neighbour(at, -1);
    const kind = before < 0 ? -1 : this.view.kind(before);
    if (kind === Kind.Assign || outer === Context.Initialiser || outer === Context.Enumerators) {
      return Context.Initialiser;
    }
    if (kind === Kind.CloseParen) {
      const open = this.view.partner[before]!;
      const isHead = open > 0 && (this.view.isWord(open - 1) || this.view.kind(open - 1) === Kind.CloseParen);
      if (outer === Context.Members) return Context.Members;
      return isHead ? Context.Body : Context.Initialiser;
    }
    for (let back = before, steps = 0; back >= 0 && steps < 4; back--, steps++) {
      if (!this.view.isWord(back)) {
        if (this.view.kind(back) === Kind.Colon || this.view.gone[back]) continue;
        break;
      }
      const word = this.view.word(back);
      if (word === 'enum') return Context.Enumerators;
      if (word === 'struct' || word === 'union') return Context.Members;
    }
    return outer === Context.Members ? Context.Members : Context.Body;
  }

  private mayNeedNoSemicolon(word: string): boolean {
    return words.looksLikeMacroName(word) || this.macros.has(word);
  }

  /** Whether an `=` came earlier in this declaration at the same level: the parenthesis is in an initialiser. */
  private afterAssign(at: number): boolean {
    for (let back = at - 1; back >= 0; back--) {
      const kind = this.view.kind(back);
      if (kind === Kind.Assign) return true;
      if (kind === Kind.Semicolon || kind === Kind.OpenBrace || kind === Kind.CloseBrace) return false;
      if (kind === Kind.OpenParen) return false;
    }
    return false;
  }

  private isBracket(kind: number): boolean {
    return kind === Kind.OpenParen || kind === Kind.OpenBrace || kind === Kind.OpenBracket;
  }

  private inside(): Context {
    return this.context.at(-1)!;
  }
}
