/** From the kernel's last words to a place and to words of the programmer's. */
import type { Classified } from './catalogue';
import type { Entry, Facts } from './catalogue/kinds';
import { originOf } from './origin';
import type { Origin } from './origin';
import { packetInvalidation } from './packet';
import type { FailingPath, Step } from './path';
import type { SourcePositions, SourceSpan } from './position';
import type { VerdictInput } from './report';

/**
 * The instruction that was refused: the one the kernel names, else the one the log had come to. Undefined for
 * findings about the program as a whole.
 */
export function placeOfFailure(path: FailingPath, entry: Entry, line: string): number | undefined {
  if (
    entry.scope === 'program' ||
    /^(combined stack size|tail_calls are not allowed|recursive call)/.test(line)
  ) {
    return undefined;
  }
  // Said at the call that is one too deep, or, after everything was verified, of the program as a whole.
  if (/^the call stack of/.test(line) && !/^call pc/.test(path.steps.at(-1)?.text ?? '')) return undefined;

  const named =
    /^(?:infinite loop detected at|unreachable|back-edge from|jump out of range from|the jump from|insn) insn ?(\d+)/.exec(
      line,
    ) ??
    /^insn (\d+) cannot/.exec(line) ??
    /\binsn_idx (\d+)|\(insn (\d+)\) cannot be called/.exec(line);
  if (named) return Number(named[1] ?? named[2]);
  if (entry.id === 'bpf/complexity') return lastLoop(path) ?? lastInsn(path);
  return lastInsn(path);
}

function lastInsn(path: FailingPath): number | undefined {
  return path.insn >= 0 ? path.insn : undefined;
}

/** Where the loop begins that the path was in when the verifier gave up: the target of its last backward jump. */
function lastLoop({ steps }: FailingPath): number | undefined {
  for (let index = steps.length - 1; index > 0; index--) {
    const step = steps[index] as Step;
    const previous = steps[index - 1] as Step;
    if (step.frame === previous.frame && step.insn <= previous.insn) return previous.insn;
  }
  return undefined;
}

/** What rules may say of this failure. */
export function factsOf(
  verdict: VerdictInput,
  path: FailingPath,
  positions: SourcePositions,
  classified: Classified,
  at: SourceSpan | undefined,
): Facts {
  const words = path.terminal;
  return {
    match: classified.match ?? (/^/.exec('') as RegExpExecArray),
    here: expressionAt(at) ?? 'this instruction',
    assembly: path.steps[failingIndex(path)]?.text ?? '',
    programType: verdict.type,
    find: (pattern) => words.map((line) => pattern.exec(line)?.[1]).find((found) => found !== undefined),
    register: (number) => describeRegister(path, positions, number, at) ?? `the value in R${number ?? '?'}`,
    variable: (number) => {
      const origin = originOfRegister(path, number);
      const place = origin?.step && origin.callee ? positions.at(origin.step.insn) : undefined;
      return place && assignedVariable(place.text, origin!.callee!);
    },
    source: (number) => describeRegister(path, positions, number, at),
    invalidation: (number) => {
      const call = packetInvalidation(path, failingIndex(path), Number(number));
      const place = call && positions.at(call.insn);
      return place && `${expressionAt(place) ?? 'a call'} on line ${place.range.start.line + 1}`;
    },
  };
}

/** The source text that a span covers, in backquotes; undefined for spans of several lines or without text. */
export function expressionAt(at: SourceSpan | undefined): string | undefined {
  if (!at) return undefined;
  const text = at.expression;
  return text && text.length <= 60 ? `\`${text}\`` : undefined;
}

/** Steps of the path, and the position of the one that failed. */
export function failingIndex(path: FailingPath): number {
  // The refused instruction is logged before it is checked, so it is the last step, not one after it.
  return path.steps.at(-1)?.insn === path.insn ? path.steps.length - 1 : path.steps.length;
}

export function originOfRegister(path: FailingPath, number: string | undefined): Origin | undefined {
  const register = Number(number?.replace(/^R/, ''));
  if (!Number.isInteger(register)) return undefined;
  return originOf(path.steps, failingIndex(path), register, path.validating ? 5 : 1);
}

/** `` `v`, the result of bpf_map_lookup_elem on line 9 ``, or as much of that as the path tells. */
function describeRegister(
  path: FailingPath,
  positions: SourcePositions,
  number: string | undefined,
  failing: SourceSpan | undefined,
): string | undefined {
  const origin = originOfRegister(path, number);
  if (origin?.kind === 'argument') {
    return path.validating ? `argument ${origin.parameter} of \`${path.validating}\`` : 'the context';
  }
  if (!origin?.step) return undefined;
  const at = positions.at(origin.step.insn);
  const line = at ? ` on line ${at.range.start.line + 1}` : '';
  if (origin.kind === 'call') {
    const variable = at && origin.callee ? assignedVariable(at.text, origin.callee) : undefined;
    const result =
      origin.callee === 'a function'
        ? `the result of a call${line}`
        : `the result of ${origin.callee}${line}`;
    return variable ? `\`${variable}\`, ${result},` : result;
  }
  if (origin.kind === 'load' || origin.kind === 'context') {
    // The compiler may move a load to where its value is used, and give it that place: then the place says nothing.
    const moved = !at || (failing && isSamePlace(at, failing)) || /^\w+\s*\(/.test(at.expression);
    const expression = moved ? undefined : expressionAt(at);
    if (expression) return `the value of ${expression}${line}`;
    return moved ? undefined : `a value read${line}`;
  }
  return undefined;
}

export function isSamePlace(a: SourceSpan, b: SourceSpan): boolean {
  const [one, other] = [a.range.start, b.range.start];
  return a.path === b.path && one.line === other.line && one.character === other.character;
}

/**
 * The variable that a call's result is assigned to, when the line says so without doubt: one call of that name,
 * and one plain assignment of it.
 */
export function assignedVariable(text: string, callee: string): string | undefined {
  const name = callee.replaceAll(/\W/g, '');
  const calls = text.match(new RegExp(`\\b${name}\\s*\\(`, 'g'));
  if (calls?.length !== 1) return undefined;
  const assignment = new RegExp(
    `(?:^|[\\s*;(,])([A-Za-z_]\\w*)\\s*=\\s*(?:\\([^()]*\\)\\s*)?${name}\\s*\\(`,
  ).exec(text);
  return assignment?.[1];
}
