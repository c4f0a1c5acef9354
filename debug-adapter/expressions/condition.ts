/** Conditions and messages of breakpoints, made of expressions. */
import { format } from '../../toolchain/btf/format';
import { fail, succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';
import { evaluate, isTrue } from './evaluate';
import { knownText } from './known-text';
import { parseExpression } from './parse';
import { isMap } from './scope';
import type { Scope } from './scope';
import type { Expression } from './syntax';

/** What a breakpoint, or the flight recorder, asks for. */
export interface Condition {
  readonly text: string;
  /**
   * Whether it holds. A problem is no answer: what it asks about is not known there, and whoever evaluates says so,
   * once, rather than take it for false.
   */
  holds(scope: Scope): Outcome<boolean>;
}

/** A condition in C, true when it is not zero: `ip->protocol == IPPROTO_UDP && len > 100`. */
export async function parseCondition(text: string): Promise<Outcome<Condition>> {
  const parsed = await parseExpression(text);
  if (!parsed.ok) return parsed;
  const expression = parsed.value;
  return succeed({ text: expression.text, holds: (scope) => isTrue(expression, scope) });
}

/** A log point's message. */
export interface LogMessage {
  readonly text: string;
  /** The message; an expression that has no value is replaced by `<why>`. */
  render(scope: Scope): string;
}

/** DAP's log messages: what stands in braces is an expression, `{{` and `}}` are braces: `ttl {ip->ttl} of {len}`. */
export async function parseLogMessage(text: string): Promise<Outcome<LogMessage>> {
  const parts: (string | Expression)[] = [];
  let plain = '';
  for (let at = 0; at < text.length; at++) {
    const pair = text.slice(at, at + 2);
    if (pair === '{{' || pair === '}}') {
      plain += pair[0];
      at++;
    } else if (text[at] === '{') {
      const end = closingBrace(text, at + 1);
      if (end === undefined)
        return fail('expression/log-message', `The message lacks a } after "${text.slice(at)}".`, BRACES);
      const parsed = await parseExpression(text.slice(at + 1, end));
      if (!parsed.ok) return parsed;
      parts.push(plain, parsed.value);
      plain = '';
      at = end;
    } else plain += text[at];
  }
  parts.push(plain);
  return succeed({
    text,
    render: (scope) =>
      parts.map((part) => (typeof part === 'string' ? part : valueText(part, scope))).join(''),
  });
}

const BRACES = 'Write {expression}, and {{ for a brace.';

/** Position of the brace that closes the one before `start`; keys of maps have braces of their own. */
function closingBrace(text: string, start: number): number | undefined {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const quoted = /^"(?:[^"\\]|\\.)*"/s.exec(text.slice(at))?.[0];
    if (quoted !== undefined) at += quoted.length - 1;
    else if (text[at] === '{') depth++;
    else if (text[at] === '}' && depth-- === 0) return at;
  }
  return undefined;
}

/** An expression's value in one line, as its row shows it; or why there is none. */
export function valueText(expression: Expression, scope: Scope): string {
  const evaluated = evaluate(expression, scope);
  if (!evaluated.ok) return `<${evaluated.problem.message}>`;
  if (isMap(evaluated.value)) return `<${evaluated.value.map.map.name} is a map>`;
  return knownText(evaluated.value) ?? format(evaluated.value.value);
}
