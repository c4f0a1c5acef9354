/** Syntax errors of one top-level declaration. */
import type { Node, Parser } from 'web-tree-sitter';
import { findBracketError, isBalanced } from './brackets';
import { selectBranches, type Choice, type Selection } from './conditionals';
import { toPlainC } from './dialect';
import { findUnfinishedDeclaration } from './declarations';
import type { SyntaxFinding } from './finding';
import { Kind, tokenize, type Tokens } from './tokens';
import { keywords, looksLikeMacroName } from './words';

/** At most this many errors are shown for a declaration: later ones mostly follow from the first. */
const MAX_FINDINGS = 3;

/**
 * Checks the text of one declaration, with the preprocessor lines before it.
 * @param macros names that the file defines as macros; an error beside one of them is not certain.
 */
export function checkDeclaration(
  parser: Parser,
  text: string,
  macros: ReadonlySet<string>,
): { findings: SyntaxFinding[]; tokens: Tokens; selection: Selection } {
  const tokens = tokenize(text);
  const selection = selectBranches(text, tokens);
  let findings = check(parser, text, tokens, selection, macros);
  if (findings.length > 0 && selection.uncertain.length > 0) {
    // The conditionals can be read in more than one way: an error counts when it is there in all of them.
    for (const choice of ['last', 'none'] satisfies Choice[]) {
      const other = check(parser, text, tokens, selectBranches(text, tokens, choice), macros);
      findings = findings.filter((finding) => other.some((its) => its.start === finding.start));
      if (findings.length === 0) break;
    }
  }
  return { findings: findings.filter((finding) => finding.certain), tokens, selection };
}

function check(
  parser: Parser,
  text: string,
  tokens: Tokens,
  selection: Selection,
  macros: ReadonlySet<string>,
): SyntaxFinding[] {
  const { active, skipped } = selection;
  const literal = unterminatedLiteral(tokens, skipped);
  if (literal) return [literal];
  if (!isBalanced(tokens, active, 0, tokens.count - 1)) {
    const finding = findBracketError(text, tokens, active, 0, tokens.count - 1);
    if (finding) return [finding];
  }
  const unfinished = findUnfinishedDeclaration(text, tokens, active);
  if (unfinished) return [unfinished];
  const plain = toPlainC(text, tokens, active, skipped, macros);
  const tree = parser.parse(plain);
  if (!tree) return [];
  try {
    if (!tree.rootNode.hasError) return [];
    const findings: SyntaxFinding[] = [];
    collect(tree.rootNode, plain, findings);
    const judge = new Judge(text, tokens, active, macros);
    for (const finding of findings) finding.certain &&= judge.isCertain(finding);
    return findings.slice(0, MAX_FINDINGS).map((finding) => judge.asMissingSemicolon(finding) ?? finding);
  } finally {
    tree.delete();
  }
}

function unterminatedLiteral(tokens: Tokens, skipped: [number, number][]): SyntaxFinding | undefined {
  for (const { what, start, end } of tokens.unterminated) {
    if (skipped.some(([from, to]) => start >= from && start < to)) continue;
    return {
      start,
      end: what === 'comment' ? start + 2 : end,
      message: `this ${what} is not closed`,
      certain: true,
    };
  }
  return undefined;
}

/** Errors of a tree in source order; an error inside another is part of it. */
function collect(node: Node, text: string, findings: SyntaxFinding[]): void {
  if (findings.length > MAX_FINDINGS) return;
  if (node.isMissing) {
    findings.push(afterPrevious(text, node.startIndex, `expected ${nameOf(node.type)}`));
    return;
  }
  if (node.isError) {
    findings.push(fromError(node, text));
    return;
  }
  for (const child of node.children) {
    if (child?.hasError) collect(child, text, findings);
    else if (child?.isMissing) collect(child, text, findings);
  }
}

function afterPrevious(text: string, offset: number, message: string): SyntaxFinding {
  let end = Math.min(offset, text.length);
  while (end > 0 && /\s/.test(text[end - 1]!)) end--;
  return { start: Math.max(0, end - 1), end: Math.max(1, end), message, certain: true };
}

function nameOf(type: string): string {
  if (type === 'identifier' || type === 'type_identifier' || type === 'field_identifier') return 'a name';
  if (type === 'primitive_type') return 'a type';
  return /^\w+$/.test(type) ? type.replaceAll('_', ' ') : `'${type}'`;
}

function fromError(node: Node, text: string): SyntaxFinding {
  // The parser could not go on after the last thing it put into the error; what it holds is readable so far.
  const last = node.childCount > 1 ? node.children.at(-1)! : node;
  const culprit = last.endIndex > last.startIndex ? last : node;
  const lineEnd = text.indexOf('\n', culprit.startIndex);
  const end = lineEnd >= 0 ? Math.min(lineEnd, culprit.endIndex) : culprit.endIndex;
  const words = text.slice(culprit.startIndex, end).trim();
  const what = words.length > 40 ? `${words.slice(0, 37)}…` : words;
  return {
    start: culprit.startIndex,
    end: Math.max(end, culprit.startIndex + 1),
    message: `unexpected '${what}'`,
    certain: true,
  };
}

const endsOperand = new Set<number>([
  Kind.Identifier,
  Kind.Number,
  Kind.Character,
  Kind.String,
  Kind.CloseParen,
  Kind.CloseBracket,
]);
const startsOperand = new Set<number>([Kind.Identifier, Kind.Number]);

/** Decides whether an error may come from a macro whose definition is not seen. */
class Judge {
  constructor(
    private readonly text: string,
    private readonly tokens: Tokens,
    private readonly active: Uint8Array,
    private readonly macros: ReadonlySet<string>,
  ) {}

  isCertain(finding: SyntaxFinding): boolean {
    const { tokens } = this;
    let at = 0;
    while (at < tokens.count - 1 && tokens.end[at]! <= finding.start) at++;
    if (this.inMacroArguments(at)) return false;
    const neighbours = [this.step(at, -1), at, this.step(at, 1)];
    return !neighbours.some((token) => this.isBesideMacro(token));
  }

  /** A line that ends like a statement without its semicolon, when that is what the error comes from. */
  asMissingSemicolon(finding: SyntaxFinding): SyntaxFinding | undefined {
    const { tokens, text } = this;
    let at = 0;
    while (at < tokens.count - 1 && tokens.end[at]! <= finding.start) at++;
    for (const first of [this.step(at, -1), at]) {
      const second = this.step(first, 1);
      if (first < 0 || second >= tokens.count) continue;
      if (!endsOperand.has(tokens.kind[first]!) || !startsOperand.has(tokens.kind[second]!)) continue;
      if (tokens.kind[first] === Kind.Identifier && keywords.has(this.word(first))) continue;
      const end = tokens.end[first]!;
      if (!text.slice(end, tokens.start[second]).includes('\n')) continue;
      return { ...finding, start: end - 1, end, message: "expected ';'" };
    }
    return undefined;
  }

  /** A macro's name with something beside it that no function call could have there. */
  private isBesideMacro(token: number): boolean {
    if (this.tokens.kind[token] !== Kind.Identifier) return false;
    const word = this.word(token);
    if (this.macros.has(word)) return true;
    if (!looksLikeMacroName(word)) return false;
    const next = this.step(token, 1);
    // `return NAME` and `= NAME` use the macro as a value: nothing may follow it but an operator.
    const before = this.tokens.kind[this.step(token, -1)];
    const isValue = before === Kind.Assign || this.word(this.step(token, -1)) === 'return';
    if (isValue && this.tokens.kind[next] === Kind.Identifier) return false;
    return this.tokens.kind[next] === Kind.OpenParen || this.tokens.kind[next] === Kind.Identifier;
  }

  private inMacroArguments(token: number): boolean {
    let depth = 0;
    for (let at = token - 1; at >= 0; at--) {
      if (!this.active[at]) continue;
      const kind = this.tokens.kind[at];
      if (kind === Kind.CloseParen) depth++;
      else if (kind === Kind.OpenParen && depth-- === 0) {
        const name = this.step(at, -1);
        if (this.tokens.kind[name] === Kind.Identifier) {
          const word = this.word(name);
          if (looksLikeMacroName(word) || this.macros.has(word)) return true;
        }
        depth = 0;
      } else if (kind === Kind.Semicolon && depth === 0) return false;
    }
    return false;
  }

  private step(token: number, direction: 1 | -1): number {
    let at = token + direction;
    while (at >= 0 && at < this.tokens.count && !this.active[at]) at += direction;
    return at;
  }

  private word(token: number): string {
    return this.text.slice(this.tokens.start[token], this.tokens.end[token]);
  }
}
