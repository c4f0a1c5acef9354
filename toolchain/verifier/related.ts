/** Places that belong to a failure: where a value came from, which decision led there, what was taken. */
import type { Classified } from './catalogue';
import type { Entry, RelatedKind } from './catalogue/kinds';
import { expressionAt, failingIndex, isSamePlace, originOfRegister } from './explain';
import { lastPacketCheck, packetInvalidation } from './packet';
import { lastDecision } from './origin';
import type { FailingPath, Step } from './path';
import { RELEASES } from './refine';
import type { SourcePositions, SourceSpan } from './position';

export interface RelatedPlace {
  kind: RelatedKind;
  at: SourceSpan;
  /** Instruction there. */
  instruction: number;
  message: string;
}

/** Related places of a failure, without those on the failing expression itself. */
export function relatedPlaces(
  entry: Entry,
  path: FailingPath,
  positions: SourcePositions,
  classified: Classified,
  failing: SourceSpan | undefined,
): RelatedPlace[] {
  const places: RelatedPlace[] = [];
  for (const kind of entry.related ?? []) {
    const found = finders[kind](path, classified);
    const at = found && positions.at(found.step.insn);
    if (
      !found ||
      !at ||
      (failing && isSamePlace(at, failing)) ||
      places.some((one) => isSamePlace(one.at, at))
    )
      continue;
    places.push({ kind, at, instruction: found.step.insn, message: found.message(expressionAt(at)) });
  }
  return places;
}

interface Found {
  step: Step;
  message(expression: string | undefined): string;
}

const finders: Record<RelatedKind, (path: FailingPath, classified: Classified) => Found | undefined> = {
  origin(path, { line, match }) {
    const register =
      /\bR(\d+)\b/.exec(line)?.[1] ??
      argumentRegister(line) ??
      baseRegister(path) ??
      /\bR(\d+)\b/.exec(path.terminal.join(' '))?.[1];
    const origin = match && originOfRegister(path, register);
    if (!origin?.step || origin.kind === 'constant') return undefined;
    const { step, kind, callee } = origin;
    return {
      step,
      message: (expression) =>
        kind === 'call'
          ? `the value comes from ${callee === 'a function' ? (expression ?? 'this call') : callee} here`
          : `the value is read here`,
    };
  },
  decision(path) {
    const decision = lastDecision(path.steps, failingIndex(path));
    return (
      decision && {
        step: decision.step,
        // Which way the jump went says nothing about the source's condition, which the compiler may have turned.
        message: () => 'the path that fails leads through this decision',
      }
    );
  },
  allocation(path, { line }) {
    const insn = Number(/alloc_insn=(\d+)/.exec(line)?.[1]);
    const step = path.steps.findLast((one) => one.insn === insn);
    return step && { step, message: () => 'the reference is taken here' };
  },
  packetCheck(path) {
    const step = lastPacketCheck(path.steps, failingIndex(path));
    return step && { step, message: () => 'this comparison is the last one with the packet’s end' };
  },
  invalidation(path, { line }) {
    const register = Number(/\bR(\d+)\b/.exec(line)?.[1]);
    const step = packetInvalidation(path, failingIndex(path), register);
    return step && { step, message: () => 'this call may change the packet, so pointers into it end here' };
  },
  release(path) {
    const step = path.steps.slice(0, failingIndex(path)).findLast((one) => RELEASES.test(one.text));
    return step && { step, message: () => 'the object is released here' };
  },
  lock(path) {
    const earlier = path.steps.slice(0, failingIndex(path));
    const step = earlier.findLast((one) => /^call bpf_(res_)?spin_lock\w*(#|$)/.test(one.text));
    return step && { step, message: () => 'the lock is taken here' };
  },
};

/** Register of an argument that is named by its position: from 0 for kernel functions, from 1 for helpers. */
function argumentRegister(line: string): string | undefined {
  const position = /\b(?:arg ?#|trusted arg)(\d)/.exec(line)?.[1];
  if (position !== undefined) return String(Number(position) + 1);
  return /\bhelper arg(\d)/.exec(line)?.[1];
}

/** Register through which the failing instruction accesses memory. */
function baseRegister(path: FailingPath): string | undefined {
  return /\*\([us]\d+ \*\)\(r(\d+) ?[+-]/.exec(path.steps[failingIndex(path)]?.text ?? '')?.[1];
}
