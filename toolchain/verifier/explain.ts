/** From the kernel's last words to a place and to words of the programmer's. */
import type { Entry, Facts } from './catalogue/kinds';
import type { Trace } from './cause/cause';
import { wayTo } from './cause/decisions';
import { rootOf } from './cause/flow';
import { loopsInWords } from './cause/loops';
import { assignedVariable, expressionAt } from './cause/names';
import { invalidationOf, isBeyondPackets } from './cause/pointer';
import { referenceSteps } from './cause/resources';
import type { FailingPath, Step } from './path';
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
export function factsOf(verdict: VerdictInput, trace: Trace): Facts {
  const { path, classified } = trace;
  const value = (number: string | undefined) => {
    const register = Number(number?.replace(/^R/, '') ?? NaN);
    return Number.isInteger(register) ? trace.register(register) : undefined;
  };
  const describe = (number: string | undefined) => {
    const found = value(number);
    return found && trace.describe(found);
  };
  const failing = trace.flow.instruction(trace.here);
  const callee = failing.kind === 'call' ? failing.name : undefined;
  return {
    match: classified.match ?? (/^/.exec('') as RegExpExecArray),
    here: shown(trace, callee),
    callee,
    isParameter: (number) => {
      const found = value(number);
      return found !== undefined && path.validating !== undefined && rootOf(found).kind === 'argument';
    },
    type: (number) => {
      const found = value(number);
      return found && trace.typeOf(found);
    },
    isIndexed: (number) => {
      const found = value(number) ?? trace.address;
      return found !== undefined && trace.pointerChain(found).some((one) => trace.addedTo(one) !== undefined);
    },
    isBeyondPackets: (number) => {
      const found = value(number);
      return found !== undefined && isBeyondPackets(trace, found);
    },
    onStack: (offset) => {
      const variable = trace.names.onStack(path.insn, offset);
      return variable && { name: `\`${variable.name}\``, size: variable.size };
    },
    taken: takenBy(trace),
    way: wayTo(trace),
    get loops() {
      return loopsInWords(trace);
    },
    assembly: path.steps[trace.here]?.text ?? '',
    programType: verdict.type,
    find: (pattern) =>
      path.terminal.map((line) => pattern.exec(line)?.[1]).find((found) => found !== undefined),
    register: (number) => describe(number) ?? `the value in R${number ?? '?'}`,
    variable: (number) => {
      const found = value(number);
      return found && trace.variable(found);
    },
    source: describe,
    invalidation: (number) => {
      const found = value(number);
      const call = found && invalidationOf(trace, found);
      const place = call === undefined ? undefined : trace.at(call);
      return place && `${expressionAt(place) ?? 'a call'} on line ${place.range.start.line + 1}`;
    },
  };
}

/** The failing expression, for calls too long to be repeated their name. */
function shown(trace: Trace, callee: string | undefined): string {
  const whole = expressionAt(trace.failing);
  if (whole) return whole;
  const called = /^([A-Za-z_]\w*)\s*\(/.exec(trace.failing?.expression ?? '')?.[1] ?? callee;
  return called ? `\`${called}(…)\`` : 'this instruction';
}

function takenBy(trace: Trace): Facts['taken'] {
  const [step] = referenceSteps(trace);
  const call = step && trace.flow.instruction(step.step);
  if (!step || call?.kind !== 'call' || call.name === undefined) return undefined;
  const { at } = step;
  return {
    callee: call.name,
    variable: at && assignedVariable(at.text, call.name),
    where: trace.line(step.step),
  };
}
