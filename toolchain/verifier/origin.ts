/**
 * Where a register's value came from, followed backward through the failing path by the instructions' own text:
 * copies, spills and fills, arithmetic, up to the call, load, constant or argument it began as.
 */
import type { Step } from './path';

export type OriginKind = 'call' | 'context' | 'load' | 'map' | 'constant' | 'stack' | 'argument';

export interface Origin {
  kind: OriginKind;
  /** Absent for an argument, which no instruction makes. */
  step?: Step;
  /** Position of `step` in the path; -1 without one. */
  index: number;
  /** Which argument, from 1. */
  parameter?: number;
  /** What was called, for `call`. */
  callee?: string;
  /** What the value went through on the way, latest first: copies, arithmetic, spills. */
  through: Step[];
}

const CALLER_SAVED = 5;

/** Registers by number out of `r3`, `w3` or `R3`. */
function registerNumber(text: string): number | undefined {
  const match = /^[rRw](\d+)$/.exec(text);
  return match ? Number(match[1]) : undefined;
}

/**
 * Origin of what register `register` holds when `steps[before]` is about to run. Undefined when the path does not
 * show it (its beginning was dropped, or an instruction is of a form this reader does not know). `parameters` is
 * how many registers from R1 on hold arguments when the path begins: the context, or those of a global function.
 */
export function originOf(
  steps: readonly Step[],
  before: number,
  register: number,
  parameters = 1,
): Origin | undefined {
  let wanted: number | undefined = register;
  /** Set while a stack slot is looked for instead of a register. */
  let slot: string | undefined;
  let frame = (steps[before] ?? steps.at(-1))?.frame ?? 0;
  const through: Step[] = [];
  for (let index = before - 1; index >= 0; index--) {
    const step = steps[index] as Step;
    if (step.frame > frame) {
      // Inside a function that returned since: only R0 comes out of it.
      if (slot !== undefined || wanted !== 0) continue;
      frame = step.frame;
    }
    if (step.frame < frame) {
      // This is the call that entered the frame. Arguments are the caller's registers; all others begin here.
      if (slot !== undefined || wanted === undefined || wanted < 1 || wanted > CALLER_SAVED) return undefined;
      frame = step.frame;
      continue;
    }
    if (slot !== undefined) {
      const stored = /^\*\(u\d+ \*\)\(r10 ?([+-]\d+)\) = (?:([rw]\d+)|(-?\w+))$/.exec(step.text);
      if (!stored || stored[1] !== slot) continue;
      if (!stored[2]) return { kind: 'constant', step, index, through };
      slot = undefined;
      wanted = registerNumber(stored[2]);
      through.push(step);
      continue;
    }
    const call = /^call (\S+)/.exec(step.text);
    if (call && !(call[1] as string).startsWith('pc') && wanted !== undefined && wanted <= CALLER_SAVED) {
      // A call defines R0 and destroys R1 to R5.
      const callee = (call[1] as string).replace(/#\d+$/, '');
      return { kind: 'call', step, index, callee, through };
    }
    if (call && wanted === 0) return { kind: 'call', step, index, callee: 'a function', through };
    const definition = /^([rw]\d+) ([-+*/%&|^<>s]{0,4}=) (.*)$/.exec(step.text);
    if (!definition || registerNumber(definition[1] as string) !== wanted) continue;
    const [, , operator, value] = definition as unknown as [string, string, string, string];
    if (operator !== '=') {
      through.push(step);
      continue;
    }
    const found = assigned(step, index, value, through);
    if (typeof found === 'object') return found;
    through.push(step);
    if (typeof found === 'string') slot = found;
    else wanted = found;
  }
  const isArgument = wanted !== undefined && wanted >= 1 && wanted <= parameters && frame === 0;
  return isArgument && slot === undefined
    ? { kind: 'argument', index: -1, parameter: wanted as number, through }
    : undefined;
}

/** What an assignment's right side is: another register (number), a stack slot (text), or an origin. */
function assigned(step: Step, index: number, value: string, through: Step[]): Origin | number | string {
  const copy = /^(?:\(s\d+\))?([rw]\d+)$/.exec(value);
  if (copy) return registerNumber(copy[1] as string) ?? { kind: 'constant', step, index, through };
  const fill = /^\*\([us]\d+ \*\)\(r10 ?([+-]\d+)\)$/.exec(value);
  if (fill) return fill[1] as string;
  if (/^\*\([us]\d+ \*\)\(/.test(value)) {
    return {
      kind: /R\d+=(pkt|pkt_end|pkt_meta)\b/.test(step.state) ? 'context' : 'load',
      step,
      index,
      through,
    };
  }
  return { kind: /R\d+(_w)?=map_(ptr|value)/.test(step.state) ? 'map' : 'constant', step, index, through };
}

/** The last conditional jump before a step of the path, in the same frame, and whether it was taken. */
export function lastDecision(
  steps: readonly Step[],
  before: number,
): { step: Step; taken: boolean; index: number } | undefined {
  const frame = steps[before]?.frame ?? 0;
  for (let index = before - 1; index >= 0; index--) {
    const step = steps[index] as Step;
    if (step.frame !== frame) continue;
    const jump = /^if .* goto pc([+-]\d+)$/.exec(step.text);
    const next = steps[index + 1];
    if (jump && next) return { step, taken: next.insn === step.insn + 1 + Number(jump[1]), index };
  }
  return undefined;
}
