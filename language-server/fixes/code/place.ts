/** Where a check or a statement can be put so that it runs exactly before an expression is evaluated. */
import type { SourceFile } from '../../../toolchain/c/source';
import { ancestors, type SyntaxNode } from '../../../toolchain/c/tree';
import { loopMacro } from '../../../toolchain/c/words';
import type { TextEdit } from '../fix';
import type { FunctionCode } from './function';
import { indentAt, indentUnit, startsLine } from './style';

export type CheckPlace =
  /** Before this statement. */
  | { kind: 'statement'; statement: SyntaxNode }
  /**
   * The expression is evaluated only when something else in the same expression holds, or again in each round of a
   * loop, so that the check has to become part of the condition: `before && operand`.
   */
  | { kind: 'condition'; operand: SyntaxNode }
  /** In the condition of `condition ? expression : …`. */
  | { kind: 'choice'; condition: SyntaxNode };

const BLOCKS = new Set(['compound_statement', 'case_statement', 'labeled_statement']);

/**
 * The place for a check of what `use` needs. Undefined where no place leaves the program's other paths as they
 * are: in the right operand of `||`, in the step of a loop, in an operand that is not evaluated.
 */
export function checkPlace(use: SyntaxNode): CheckPlace | undefined {
  let node = use;
  for (const parent of ancestors(use)) {
    switch (parent.type) {
      case 'binary_expression':
        if (parent.fields.right === node && parent.operator === '&&')
          return { kind: 'condition', operand: node };
        if (parent.fields.right === node && parent.operator === '||') return undefined;
        break;
      case 'conditional_expression':
        if (parent.fields.consequence === node && parent.fields.condition)
          return { kind: 'choice', condition: parent.fields.condition };
        if (parent.fields.alternative === node) return undefined;
        break;
      case 'sizeof_expression':
        return undefined;
      case 'while_statement':
      case 'do_statement':
        return parent.fields.condition === node ? { kind: 'condition', operand: inParens(node) } : undefined;
      case 'for_statement':
        if (parent.fields.condition === node) return { kind: 'condition', operand: node };
        return parent.fields.initializer === node ? { kind: 'statement', statement: parent } : undefined;
      case 'if_statement':
        if (parent.fields.condition !== node) return undefined;
        return isInBlock(parent)
          ? { kind: 'statement', statement: parent }
          : { kind: 'condition', operand: inParens(node) };
      case 'switch_statement':
      case 'expression_statement':
      case 'return_statement':
        return { kind: 'statement', statement: parent };
      case 'declaration': {
        const outer = parent.parent;
        return outer?.type === 'for_statement'
          ? { kind: 'statement', statement: outer }
          : { kind: 'statement', statement: parent };
      }
      case 'compound_statement':
        return undefined;
    }
    node = parent;
  }
  return undefined;
}

/** The statement that holds a node: the one directly in a block, or the body of an `if`, `else` or loop. */
export function statementOf(node: SyntaxNode): SyntaxNode | undefined {
  if (/_statement$|^declaration$/.test(node.type) && node.type !== 'case_statement') return node;
  for (const one of ancestors(node)) {
    if (/_statement$|^declaration$/.test(one.type)) {
      return one.type === 'declaration' && one.parent?.type === 'for_statement' ? one.parent : one;
    }
  }
  return undefined;
}

export function isInBlock(statement: SyntaxNode): boolean {
  return BLOCKS.has(statement.parent?.type ?? '');
}

/** Where a statement really begins: before the pragma or macro that the grammar does not see. */
function beginningOf(source: SourceFile, statement: SyntaxNode): { at: number; gap: string } {
  const parent = statement.parent!;
  const earlier = parent.children.filter((one) => one.end <= statement.start).at(-1);
  const from = earlier?.end ?? parent.start + 1;
  const gap = withoutComments(source.text.slice(from, statement.start));
  const first = gap.search(/[^\s:;]/);
  return {
    at: first < 0 || parent.type === 'case_statement' ? statement.start : from + first,
    gap: gap.trim(),
  };
}

/** Puts lines before a statement, and braces around both where there are none. Undefined where that is unsure. */
export function insertBefore(
  source: SourceFile,
  code: FunctionCode,
  statement: SyntaxNode,
  lines: readonly string[],
): TextEdit[] | undefined {
  const { text } = source;
  if (!isInBlock(statement)) return wrapped(source, code, statement, lines);
  const { at, gap } = beginningOf(source, statement);
  if (gap.endsWith(')') && !gap.startsWith('#')) {
    // `bpf_for(i, 0, 8) statement`: the statement is the body of what the macro makes.
    return loopMacro.test(/^\w+/.exec(gap)?.[0] ?? '') ? wrapped(source, code, statement, lines) : undefined;
  }
  if (!startsLine(text, at)) return [{ start: at, end: at, text: `${joined(lines)} ` }];
  const indent = indentAt(text, at);
  return [{ start: at, end: at, text: lines.map((line) => `${line}\n${indent}`).join('') }];
}

/** Puts lines after a statement. Undefined where that is unsure. */
export function insertAfter(
  source: SourceFile,
  statement: SyntaxNode,
  lines: readonly string[],
): TextEdit[] | undefined {
  if (!isInBlock(statement)) return undefined;
  const indent = indentAt(source.text, statement.start);
  // A comment behind the statement stays with it.
  const rest =
    /^[^\S\n]*(?:\/\/[^\n]*|\/\*(?:[^*\n]|\*(?!\/))*\*\/[^\S\n]*(?=\n))?/.exec(
      source.text.slice(statement.end),
    )?.[0] ?? '';
  const at = statement.end + rest.trimEnd().length;
  return [{ start: at, end: at, text: lines.map((line) => `\n${indent}${line}`).join('') }];
}

function wrapped(
  source: SourceFile,
  code: FunctionCode,
  statement: SyntaxNode,
  lines: readonly string[],
): TextEdit[] | undefined {
  const { text } = source;
  if (statement.type === 'declaration') return undefined;
  const unit = indentUnit(source, code);
  const { start, end } = statement;
  if (!startsLine(text, start)) {
    return [
      { start, end: start, text: `{ ${joined(lines)} ` },
      { start: end, end, text: ' }' },
    ];
  }
  // The brace goes behind the head, before a comment that follows it; the statement keeps its indentation.
  const head = headEnd(source, statement);
  const indent = indentAt(text, start);
  const outer = indent.endsWith(unit) ? indent.slice(0, -unit.length) : indent;
  const before = lines.map((line) => `${line}\n${indent}`).join('');
  const rest = /^[^\S\n]*(?:\/\/[^\n]*)?/.exec(text.slice(end))?.[0].trimEnd() ?? '';
  const behind = end + rest.length;
  const next = /^\s*else\b/.exec(text.slice(behind));
  return [
    { start: head, end: head, text: ' {' },
    { start, end: start, text: before },
    next
      ? { start: behind, end: behind + next[0].length, text: `\n${outer}} else` }
      : { start: behind, end: behind, text: `\n${outer}}` },
  ];
}

/** Where the head of the `if`, `else` or loop ends whose body a statement is. */
function headEnd(source: SourceFile, statement: SyntaxNode): number {
  const before = statement.parent!.children.filter((one) => one.end <= statement.start);
  const from = Math.max(statement.parent!.start, ...before.map((one) => one.end));
  return from + withoutComments(source.text.slice(from, statement.start)).trimEnd().length;
}

/** The text with comments blanked, length unchanged. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[^]*?\*\/|\/\/[^\n]*/g, (comment) => comment.replace(/[^\n]/g, ' '));
}

/** Adds `check` to a condition so that it is looked at first: `check && operand`. */
export function addCondition(place: Exclude<CheckPlace, { kind: 'statement' }>, check: string): TextEdit[] {
  if (place.kind === 'choice') {
    const { start, end } = place.condition;
    return needsParens(place.condition)
      ? [
          { start, end: start, text: '(' },
          { start: end, end, text: `) && ${check}` },
        ]
      : [{ start: end, end, text: ` && ${check}` }];
  }
  const { start, end } = place.operand;
  return needsParens(place.operand)
    ? [
        { start, end: start, text: `${check} && (` },
        { start: end, end, text: ')' },
      ]
    : [{ start, end: start, text: `${check} && ` }];
}

function needsParens(node: SyntaxNode): boolean {
  return (
    ['conditional_expression', 'assignment_expression', 'comma_expression'].includes(node.type) ||
    (node.type === 'binary_expression' && node.operator === '||')
  );
}

function inParens(node: SyntaxNode): SyntaxNode {
  return node.type === 'parenthesized_expression' && node.children[0] ? node.children[0] : node;
}

function joined(lines: readonly string[]): string {
  return lines.map((line) => line.trim()).join(' ');
}

/** Where a definition of the file's own can be put right above a function and the comment that belongs to it. */
export function aboveFunction({ text, programs, functions }: SourceFile, { root }: FunctionCode): number {
  const span = [...programs, ...functions].find(
    (one) => one.span.start <= root.start && root.end <= one.span.end,
  )?.span;
  const start = span?.start ?? root.start;
  const above = paragraphBefore(text, start);
  return /^\s*(?:\/\*|\/\/)/.test(text.slice(above, start)) ? above : start;
}

/** Where the lines above a place begin that no empty line separates from it. */
function paragraphBefore(text: string, at: number): number {
  let start = at;
  while (start > 0) {
    const line = text.lastIndexOf('\n', start - 2) + 1;
    if (text.slice(line, start).trim() === '') break;
    start = line;
  }
  return start;
}
