/** How this file is laid out, so that what is added looks as if its author had written it. */
import type { SourceFile } from '../../../toolchain/c/source';
import { walk, type SyntaxNode } from '../../../toolchain/c/tree';
import type { FunctionCode } from './function';

/** Indentation of the line an offset is on. */
export function indentAt(text: string, offset: number): string {
  const line = text.lastIndexOf('\n', offset - 1) + 1;
  return /^[ \t]*/.exec(text.slice(line, offset + 1))?.[0] ?? '';
}

/** Whether only white space stands before an offset on its line. */
export function startsLine(text: string, offset: number): boolean {
  return /(^|\n)[ \t]*$/.test(text.slice(Math.max(0, offset - 400), offset));
}

/** What one level of indentation is in a function. */
export function indentUnit(source: SourceFile, code: FunctionCode): string {
  const first = code.body.children.find((one) => startsLine(source.text, one.start));
  const outer = indentAt(source.text, code.root.start);
  const inner = first ? indentAt(source.text, first.start) : '';
  return inner.startsWith(outer) && inner.length > outer.length ? inner.slice(outer.length) : '\t';
}

const JUMPS = new Set(['return_statement', 'goto_statement', 'continue_statement', 'break_statement']);

/** The jump that is all an `if` without `else` does, and how it is written. */
export function guardedJump(
  node: SyntaxNode,
): { jump: SyntaxNode; form: 'braces' | 'line' | 'below' } | undefined {
  const { consequence, alternative, condition } = node.fields;
  if (node.type !== 'if_statement' || alternative || !consequence || !condition) return undefined;
  if (JUMPS.has(consequence.type)) {
    const isBelow = node.text
      .slice(condition.end - node.start, consequence.start - node.start)
      .includes('\n');
    return { jump: consequence, form: isBelow ? 'below' : 'line' };
  }
  const [only, ...others] = consequence.children;
  const isBlock = consequence.type === 'compound_statement' && others.length === 0;
  return isBlock && only && JUMPS.has(only.type) ? { jump: only, form: 'braces' } : undefined;
}

/** Lines of `if (condition) jump` in the form that this function's other checks have, without indentation. */
export function checkLines(code: FunctionCode, unit: string, condition: string, jump: string): string[] {
  const counts = { below: 0.5, braces: 0, line: 0 };
  for (const node of walk(code.body)) {
    const guarded = guardedJump(node);
    if (guarded) counts[guarded.form]++;
  }
  if (counts.braces > counts.below && counts.braces >= counts.line)
    return [`if (${condition}) {`, `${unit}${jump}`, '}'];
  if (counts.line > counts.below) return [`if (${condition}) ${jump}`];
  return [`if (${condition})`, `${unit}${jump}`];
}
