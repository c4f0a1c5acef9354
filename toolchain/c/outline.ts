/** What a declaration declares: programs, maps, functions, variables. Read from its tokens, so errors do not hide it. */
import { Kind, type Tokens } from './tokens';
import { aggregates, attributeCalls, looksLikeMacroName, mapMembers } from './words';

/** Offsets in UTF-16 units, `end` exclusive. */
export interface Span {
  start: number;
  end: number;
}

/** A function with a program section: what the kernel loads. */
export interface Program {
  kind: 'program';
  /** The C function's name, also when it is the first argument of `BPF_PROG()` and the like. */
  name: string;
  nameSpan: Span;
  /** The argument of `SEC()`. */
  section: string;
  /** The string in `SEC()`, quotes not included. */
  sectionSpan: Span;
  /** From `SEC` to the closing brace. */
  span: Span;
  /** `BPF_PROG`, `BPF_KPROBE`, …; absent for a plain definition. */
  wrapper?: string;
}

export interface FunctionDefinition {
  kind: 'function';
  name: string;
  nameSpan: Span;
  span: Span;
}

/** A map in `.maps`, or one in the old `maps` section. */
export interface MapDefinition {
  kind: 'map';
  name: string;
  nameSpan: Span;
  span: Span;
  /** `__uint(type, X)`, `__type(key, T)` …: the first argument → the second, as written. */
  members: MapMember[];
}
export interface MapMember {
  macro: string;
  name: string;
  value: string;
  span: Span;
  valueSpan: Span;
}

export interface Variable {
  kind: 'variable';
  name: string;
  nameSpan: Span;
  span: Span;
  /** Its `SEC()`, e.g. `license`. */
  section?: string;
  /** A string initialiser, quotes removed. */
  text?: string;
  /** `extern`: a kconfig value, a ksym or a kfunc's address. */
  external: boolean;
}

export interface TypeDefinition {
  kind: 'type';
  /** The tag of a struct, union or enum. */
  name: string;
  nameSpan: Span;
  span: Span;
}

export type Declaration = Program | FunctionDefinition | MapDefinition | Variable | TypeDefinition;

/** The declarations of one chunk (see chunks.ts); mostly one, none for what is not understood. */
export function outlineOf(text: string, tokens: Tokens, active: Uint8Array): Declaration[] {
  return new Outline(text, tokens, active).declarations();
}

class Outline {
  private readonly list: number[] = [];
  private sectionAt = -1;

  constructor(
    private readonly text: string,
    private readonly tokens: Tokens,
    active: Uint8Array,
  ) {
    for (let index = 0; index < tokens.count; index++) if (active[index]) this.list.push(index);
  }

  declarations(): Declaration[] {
    if (this.list.length === 0 || this.word(0) === 'typedef') return [];
    let parens = -1;
    let braces = -1;
    let assign = -1;
    for (let at = 0; at < this.list.length; at++) {
      const kind = this.kind(at);
      if (kind === Kind.Identifier) {
        if (this.word(at) === 'SEC' && this.kind(at + 1) === Kind.OpenParen) {
          if (this.sectionAt < 0) this.sectionAt = at;
          at = this.close(at + 1);
        } else if (attributeCalls.has(this.word(at)) && this.kind(at + 1) === Kind.OpenParen) {
          at = this.close(at + 1);
        }
      } else if (kind === Kind.OpenParen) {
        if (parens < 0 && braces < 0 && assign < 0) parens = at;
        at = this.close(at);
      } else if (kind === Kind.OpenBracket) {
        at = this.close(at);
      } else if (kind === Kind.OpenBrace) {
        if (parens >= 0 && assign < 0 && this.isName(parens - 1)) return [this.functionAt(parens)];
        if (braces < 0 && assign < 0) braces = at;
        at = this.close(at);
      } else if (kind === Kind.Assign && assign < 0) assign = at;
    }
    if (parens >= 0 && braces < 0 && assign < 0 && this.sectionAt < 0) return [];
    return this.variables(braces, assign);
  }

  private functionAt(parens: number): Declaration {
    let nameAt = parens - 1;
    let wrapper: string | undefined;
    const isWrapper = looksLikeMacroName(this.word(nameAt)) && this.isName(parens + 1);
    const afterFirst = this.kind(parens + 2);
    if (isWrapper && (afterFirst === Kind.Comma || afterFirst === Kind.CloseParen)) {
      wrapper = this.word(nameAt);
      nameAt = parens + 1;
    }
    const common = { name: this.word(nameAt), nameSpan: this.spanOf(nameAt, nameAt), span: this.wholeSpan() };
    const section = this.section();
    if (!section || section.text.startsWith('.')) return { kind: 'function', ...common };
    return {
      kind: 'program',
      ...common,
      section: section.text,
      sectionSpan: section.span,
      ...(wrapper && { wrapper }),
    };
  }

  private variables(braces: number, assign: number): Declaration[] {
    const found: Declaration[] = [];
    const close = braces >= 0 ? this.close(braces) : -1;
    const tagAt = braces >= 0 ? this.tagBefore(braces) : -1;
    if (tagAt >= 0) {
      const span = this.spanOf(0, close);
      found.push({ kind: 'type', name: this.word(tagAt), nameSpan: this.spanOf(tagAt, tagAt), span });
    }
    const nameAt = this.declaredName(close + 1, assign);
    if (nameAt < 0) return found;
    const name = this.word(nameAt);
    const section = this.section();
    const common = { name, nameSpan: this.spanOf(nameAt, nameAt), span: this.wholeSpan() };
    if (section?.text === '.maps' || section?.text === 'maps') {
      const members = braces >= 0 ? this.mapMembers(braces, close) : [];
      found.push({ kind: 'map', ...common, members });
    } else {
      const value = assign >= 0 && this.kind(assign + 1) === Kind.String ? this.word(assign + 1) : undefined;
      found.push({
        kind: 'variable',
        ...common,
        external: this.word(0) === 'extern',
        ...(section && { section: section.text }),
        ...(value !== undefined && { text: value.slice(1, -1) }),
      });
    }
    return found;
  }

  private mapMembers(open: number, close: number): MapMember[] {
    const members: MapMember[] = [];
    for (let at = open + 1; at < close; at++) {
      if (!mapMembers.has(this.word(at)) || this.kind(at + 1) !== Kind.OpenParen) continue;
      const end = this.close(at + 1);
      if (this.kind(at + 3) === Kind.Comma && end > at + 4) {
        const valueSpan = this.spanOf(at + 4, end - 1);
        members.push({
          macro: this.word(at),
          name: this.word(at + 2),
          value: this.text.slice(valueSpan.start, valueSpan.end).replace(/\s+/g, ' '),
          span: this.spanOf(at, end),
          valueSpan,
        });
      }
      at = end;
    }
    return members;
  }

  /** Position of the tag in `struct tag {`, or -1. */
  private tagBefore(brace: number): number {
    for (let at = brace - 1; at > 0; at--) {
      if (this.kind(at) !== Kind.Identifier) continue;
      if (aggregates.has(this.word(at - 1))) return at;
    }
    return -1;
  }

  /** The last plain name before `=`, `[`, `SEC` or the end. */
  private declaredName(from: number, assign: number): number {
    let name = -1;
    for (let at = from; at < this.list.length && (assign < 0 || at < assign); at++) {
      const kind = this.kind(at);
      if (kind === Kind.OpenParen || kind === Kind.OpenBracket) {
        if (kind === Kind.OpenBracket && name >= 0) break;
        at = this.close(at);
      } else if (kind === Kind.Identifier) {
        if (this.kind(at + 1) === Kind.OpenParen) {
          at = this.close(at + 1);
        } else if (!/^__[a-z]/.test(this.word(at)) || name < 0) {
          name = at;
        }
      } else if (kind === Kind.Comma || kind === Kind.Semicolon) break;
    }
    return name > 0 || (name === 0 && from > 0) ? name : -1;
  }

  private section(): { text: string; span: Span } | undefined {
    const string = this.sectionAt < 0 ? -1 : this.sectionAt + 2;
    if (string < 0 || this.kind(string) !== Kind.String) return undefined;
    const quoted = this.spanOf(string, string);
    const span = { start: quoted.start + 1, end: Math.max(quoted.start + 1, quoted.end - 1) };
    return { text: this.text.slice(span.start, span.end), span };
  }

  private wholeSpan(): Span {
    return this.spanOf(0, this.list.length - 1);
  }

  private spanOf(first: number, last: number): Span {
    return { start: this.tokens.start[this.list[first]!]!, end: this.tokens.end[this.list[last]!]! };
  }

  /** Position of the bracket that closes the one at `open`; the last token when there is none. */
  private close(open: number): number {
    let depth = 0;
    for (let at = open; at < this.list.length; at++) {
      const kind = this.kind(at);
      if (kind === Kind.OpenParen || kind === Kind.OpenBrace || kind === Kind.OpenBracket) depth++;
      else if (kind === Kind.CloseParen || kind === Kind.CloseBrace || kind === Kind.CloseBracket) {
        if (--depth === 0) return at;
      }
    }
    return this.list.length - 1;
  }

  private kind(at: number): number {
    const index = this.list[at];
    return index === undefined ? -1 : this.tokens.kind[index]!;
  }

  private isName(at: number): boolean {
    return this.kind(at) === Kind.Identifier;
  }

  private word(at: number): string {
    const index = this.list[at];
    return index === undefined ? '' : this.text.slice(this.tokens.start[index], this.tokens.end[index]);
  }
}
