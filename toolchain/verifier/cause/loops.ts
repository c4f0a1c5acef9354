/** The loops that the path is in where the verifier gave up: which they are in the source, and how often they went round. */
import type { FlowValue } from './flow';
import { expressionAt } from './names';
import { declaration } from './stack';
import type { CausalStep, Trace } from './trace';
import { originSteps } from './value';

/** A stretch of code that a jump back closes. */
export interface Loop {
  /** First and last instruction. */
  head: number;
  tail: number;
  /** Positions in the path of the jumps back, ascending. */
  backs: number[];
  /** Position of the first step on its `for` or `while`; of the last jump back where no line says so. */
  step: number;
}

/** Deeper nests tell a reader nothing more. */
const MAX_LOOPS = 3;

/** The loops around the place that the path has come to, the innermost first, within the function it is in. */
export function loopsAround(trace: Trace): Loop[] {
  const { steps } = trace.path;
  const last = steps.at(-1);
  if (!last) return [];
  const found = new Map<number, Loop>();
  const note = (head: number, tail: number, back: number) => {
    const loop = found.get(head);
    if (!loop) found.set(head, { head, tail, backs: [back], step: -1 });
    else {
      loop.tail = Math.max(loop.tail, tail);
      loop.backs.push(back);
    }
  };
  for (let index = steps.length - 1; index > 0; index--) {
    const [previous, step] = [steps[index - 1]!, steps[index]!];
    // What a caller does belongs to its own loops.
    if (step.frame < last.frame) break;
    if (step.frame !== last.frame || previous.frame !== last.frame || step.insn > previous.insn) continue;
    note(step.insn, previous.insn, index - 1);
  }
  for (const { backs } of found.values()) backs.reverse();
  // A loop without an end is found where it would be entered again, which may be behind the last step of the log.
  const here = Number(/^infinite loop detected at insn (\d+)/.exec(trace.classified.line)?.[1] ?? last.insn);
  const around = nested([...found.values()]).filter(({ head, tail }) => head <= here && here <= tail);
  const loops = around.sort((a, b) => b.head - a.head).slice(0, MAX_LOOPS);
  return placed(trace, loops);
}

/** A jump back from within another loop to before it closes a loop around the whole of that one. */
function nested(loops: Loop[]): Loop[] {
  const inwards = loops.sort((a, b) => b.head - a.head);
  for (const [index, inner] of inwards.entries()) {
    for (const outer of inwards.slice(index + 1)) {
      if (outer.tail >= inner.head) outer.tail = Math.max(outer.tail, inner.tail);
    }
  }
  return inwards;
}

const STATEMENT = /^\s*(?:\}\s*)?(?:for|while|do)\b/;

/**
 * Each loop with its line: the first of its own that says `for` or `while`, not of one inside it. What has none is a part
 * of one of the others, which the compiler laid out so.
 */
function placed(trace: Trace, loops: Loop[]): Loop[] {
  const taken = new Set<string>();
  return loops.filter((loop, depth) => {
    const to = loop.backs.at(-1) ?? -1;
    for (let index = (loop.backs.at(-2) ?? -1) + 1; index <= to; index++) {
      const insn = trace.step(index)?.insn ?? -1;
      const at = insn >= loop.head && insn <= loop.tail ? trace.at(index) : undefined;
      const key = at && STATEMENT.test(at.text) ? `${at.path}:${at.range.start.line}` : undefined;
      if (key === undefined || taken.has(key)) continue;
      taken.add(key);
      loop.step = index;
      return true;
    }
    loop.step = to;
    return depth === 0;
  });
}

/**
 * ` in the loop on line 18 (12 rounds so far), inside the one on line 17 (8 rounds)`; empty where the source does not
 * tell. An inner loop's rounds are those in the present round of the loop around it.
 */
export function loopsInWords(trace: Trace): string {
  const loops = loopsAround(trace);
  const told = loops.flatMap((loop, index) => {
    const at = trace.at(loop.step);
    if (!at || !STATEMENT.test(at.text)) return [];
    const rounds = roundsOf(trace, loop, loops[index + 1]);
    return [`line ${at.range.start.line + 1} (${rounds}${index === 0 ? ' so far' : ''})`];
  });
  const [first, ...outer] = told;
  return first === undefined
    ? ''
    : ` in the loop on ${first}${outer.map((one) => `, inside the one on ${one}`).join('')}`;
}

/** The loops, how often each went round on this path, and what decides whether the innermost goes on. */
export function loopSteps(trace: Trace): CausalStep[] {
  const loops = loopsAround(trace);
  const [innermost] = loops;
  if (!innermost) return [];
  const told = loops.map((loop, index) => {
    const outer = loops[index + 1];
    const rounds = roundsOf(trace, loop, outer);
    return trace.point(
      'loop',
      loop.step,
      `${rounds} on this path${outer ? ', since the loop around it began its last' : ''}`,
    );
  });
  return [...limitSteps(trace, innermost), ...told];
}

function roundsOf(trace: Trace, { backs }: Loop, outer: Loop | undefined): string {
  const since = outer?.backs.at(-1) ?? -1;
  const count = backs.filter((at) => at > since).length;
  // Of a path that is longer than what is kept of it, only the end can be counted.
  const [first] = trace.path.steps;
  const atLeast = since < 0 && first && first.insn > 0 ? 'at least ' : '';
  return `${atLeast}${count === 1 ? '1 round' : `${count.toLocaleString('en-US')} rounds`}`;
}

/** The last comparison that leaves the loop, and where the limit comes from that it compares with. */
function limitSteps(trace: Trace, { head, tail, backs }: Loop): CausalStep[] {
  const back = backs.at(-1) ?? -1;
  const isInside = (insn: number) => insn >= head && insn <= tail;
  const last = trace.flow.comparisons.findLast(({ index }) => {
    const insn = trace.step(index)?.insn ?? -1;
    const branch = trace.flow.instruction(index);
    if (branch.kind !== 'branch' || !isInside(insn)) return false;
    return !isInside(branch.target) || !isInside(insn + 1);
  });
  if (!last) return [];
  const condition = expressionAt(trace.at(last.index));
  const decides = `${condition ?? 'this'} decides whether the loop goes on`;
  // The side that the loop does not change is its limit.
  const start = trace.path.steps.findLastIndex((step, index) => index < back && step.insn === head);
  const limit = [last.right, last.left].find(
    (side): side is FlowValue => typeof side === 'object' && side.index >= 0 && side.index < start,
  );
  const origin = limit ? originSteps(trace, limit) : limitDeclared(trace, last.index);
  return [...origin, trace.point('decision', last.index, decides)];
}

/** The variable that a loop runs up to, by its declaration, when its origin is further back than the path is kept. */
function limitDeclared(trace: Trace, index: number): CausalStep[] {
  const comparison = trace.flow.instruction(index);
  if (comparison.kind !== 'branch' || !('register' in comparison.right)) return [];
  for (const register of [comparison.right.register, comparison.left]) {
    const found = trace.register(register)?.kind === 'unknown' && trace.names.declarationOf(index, register);
    if (found) return [declaration(trace, found.declared, `the loop runs up to \`${found.name}\``)];
  }
  return [];
}
