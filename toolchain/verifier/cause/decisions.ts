/** Branches that the failing path takes, in the words of the source. */
import type { Comparison } from './flow';
import { negated, rootOf } from './flow';
import type { CausalStep, Trace } from './trace';

/** A story with more turns than this explains nothing any more. */
const MAX_DECISIONS = 3;

/**
 * The last decisions between two steps of the path, in its order. `isTold` are those that the story tells already.
 */
export function decisionsBetween(
  trace: Trace,
  from: number,
  to: number,
  isTold: (comparison: Comparison) => boolean = () => false,
): CausalStep[] {
  const found: CausalStep[] = [];
  const lines = new Set<string>();
  for (let at = trace.flow.comparisons.length - 1; at >= 0 && found.length < MAX_DECISIONS; at--) {
    const comparison = trace.flow.comparisons[at] as Comparison;
    if (comparison.index <= from) break;
    if (comparison.index >= to || isTold(comparison)) continue;
    const span = trace.at(comparison.index);
    const line = span
      ? `${span.path}:${span.range.start.line}`
      : `insn ${trace.step(comparison.index)?.insn}`;
    if (lines.has(line)) continue;
    lines.add(line);
    found.unshift(trace.point('decision', comparison.index, decisionText(trace, comparison)));
  }
  return found;
}

/**
 * `` on the path where `len > 64` is true ``, `` on the path through the `else` on line 14, where … ``: the last decision since the value began that the failure is about;
 * ` on this path` where none is certain.
 */
export function wayTo(trace: Trace): string {
  const { subject } = trace;
  const from = subject ? rootOf(subject).index : -1;
  const last = trace.flow.comparisons.at(-1);
  const told = last && last.index > from ? truthAt(trace, last) : undefined;
  if (!told) return ' on this path';
  const truth = `\`${told.condition}\` is ${told.isTrue}`;
  return told.through
    ? ` on the path through ${told.through}, where ${truth}`
    : ` on the path where ${truth}`;
}

/** `` `len > 64` is false on this path ``, where that is certain; else only that the path leads through here. */
export function decisionText(trace: Trace, comparison: Comparison): string {
  const told = truthAt(trace, comparison);
  // Which way the jump went says nothing about a condition that the compiler took apart or turned.
  if (!told) return 'the path that fails leads through this decision';
  const through = told.through ? `, which goes through ${told.through}` : '';
  return `\`${told.condition}\` is ${told.isTrue} on the path that fails${through}`;
}

interface Truth {
  condition: string;
  isTrue: boolean;
  /** `` the `else` on line 14 ``, where the source has one that the path takes. */
  through?: string;
}

function truthAt(trace: Trace, comparison: Comparison): Truth | undefined {
  const span = trace.at(comparison.index);
  const condition = span && conditionAt(span.text, span.column);
  const isTrue = condition === undefined ? undefined : truthOf(condition, comparison);
  if (span === undefined || condition === undefined || isTrue === undefined) return undefined;
  const line = isTrue ? undefined : trace.elseLine?.(span);
  return { condition, isTrue, ...(line !== undefined && { through: `the \`else\` on line ${line + 1}` }) };
}

/**
 * The condition of the one `if` or `while` on a line, when the column points at it or into it and it is a single
 * comparison; undefined when there may be more to it than this line.
 */
export function conditionAt(text: string, column: number): string | undefined {
  const heads = [...text.matchAll(/\b(?:if|while)\s*\(/g)];
  const head = heads[0];
  if (heads.length !== 1 || !head || column - 1 < head.index) return undefined;
  const open = head.index + head[0].length;
  let depth = 1;
  let close = open;
  for (; close < text.length && depth > 0; close++) {
    if (text[close] === '(') depth++;
    else if (text[close] === ')') depth--;
  }
  if (depth > 0 || column > close) return undefined;
  const condition = text.slice(open, close - 1).trim();
  // A comma between the arguments of a call is none of the condition's own.
  const outermost = condition.replaceAll(/\([^()]*\)/g, '');
  if (/&&|\|\||\?/.test(condition) || outermost.includes(',') || condition.length > 60) return undefined;
  return condition;
}

/** A half-line or a point, or all but it: what a comparison with a constant leaves. */
type NumberSet = { kind: '==' | '!=' | '>=' | '<='; bound: bigint };

function setOf(relation: string, bound: bigint): NumberSet | undefined {
  switch (relation.replace(/^s/, '')) {
    case '==':
      return { kind: '==', bound };
    case '!=':
      return { kind: '!=', bound };
    case '>=':
      return { kind: '>=', bound };
    case '<=':
      return { kind: '<=', bound };
    case '>':
      return { kind: '>=', bound: bound + 1n };
    case '<':
      return { kind: '<=', bound: bound - 1n };
    default:
      return undefined;
  }
}

/**
 * Whether a condition holds on the path. The jump's own relation must be the condition's or its exact opposite, with
 * the same constant: then it is the condition that it was compiled from.
 */
export function truthOf(condition: string, { relation, right }: Comparison): boolean | undefined {
  if (typeof right !== 'bigint') return undefined;
  const onPath = setOf(relation, right);
  const written = /^(.*?[^<>=!])\s*(==|!=|<=|>=|<|>)\s*(-?(?:0x[0-9a-fA-F]+|\d+)[uUlL]*|NULL)$/.exec(
    condition,
  );
  const bare = /^(!?)\s*[A-Za-z_(*][\w.>[\]()*&,\s-]*$/.exec(condition);
  const inSource = written
    ? setOf(written[2] as string, integer(written[3] as string))
    : bare && !/[<>=]/.test(condition.replaceAll('->', ''))
      ? setOf(bare[1] ? '==' : '!=', 0n)
      : undefined;
  if (!onPath || !inSource) return undefined;
  const opposite = setOf(negated(relation), right);
  const isSame = (one: NumberSet | undefined) => one?.kind === inSource.kind && one.bound === inSource.bound;
  if (isSame(onPath)) return true;
  return isSame(opposite) ? false : undefined;
}

function integer(text: string): bigint {
  if (text === 'NULL') return 0n;
  const digits = text.replace(/[uUlL]+$/, '');
  // A leading zero makes it octal in C, and BigInt() reads 0o.
  const octal = /^(-?)0([0-7]+)$/.exec(digits);
  const plain = octal ? `0o${octal[2]}` : digits.replace(/^-/, '');
  return digits.startsWith('-') ? -BigInt(plain) : BigInt(plain);
}
