/** References and locks: where they were taken, and the way from there to where they are missed. */
import { decisionsBetween } from './decisions';
import { expressionAt } from './names';
import type { CausalStep, Trace } from './trace';

/** `alloc_insn=N` of the kernel's words. */
export function referenceSteps(trace: Trace): CausalStep[] {
  const insn = Number(/alloc_insn=(\d+)/.exec(trace.classified.line)?.[1] ?? NaN);
  const index = trace.path.steps.findLastIndex((one) => one.insn === insn);
  if (index < 0) return [];
  const call = trace.flow.instruction(index);
  const callee = call.kind === 'call' && call.name !== undefined ? ` by ${call.name}` : '';
  return [trace.point('acquired', index, `the reference is taken here${callee}`)];
}

export function lockSteps(trace: Trace): CausalStep[] {
  const taken = trace.flow.calls.findLast(
    ({ name }) => name !== undefined && /^bpf_(res_)?spin_lock/.test(name),
  );
  return taken ? [trace.point('acquired', taken.index, 'the lock is taken here')] : [];
}

/** The last decisions that led here, after whatever the story begins with. */
export function decisionSteps(trace: Trace, after: number): CausalStep[] {
  return decisionsBetween(trace, after, trace.here);
}

/** The loop the path was in when the verifier gave up: its last jump back, and what decides whether it goes on. */
export function loopSteps(trace: Trace): CausalStep[] {
  const { steps } = trace.path;
  let back = -1;
  for (let index = steps.length - 1; index > 0 && back < 0; index--) {
    const [previous, step] = [steps[index - 1], steps[index]];
    if (previous && step && step.frame === previous.frame && step.insn <= previous.insn) back = index - 1;
  }
  if (back < 0) return [];
  const head = steps[back + 1]?.insn ?? 0;
  const end = steps[back]?.insn ?? 0;
  const inside = trace.flow.comparisons.filter(({ index }) => {
    const insn = steps[index]?.insn ?? -1;
    return index <= back && insn >= head && insn <= end;
  });
  const last = inside.at(-1);
  const found = [trace.point('loop', back, 'the loop goes back here')];
  if (!last) return found;
  const condition = expressionAt(trace.at(last.index));
  found.unshift(
    trace.point('decision', last.index, `${condition ?? 'this'} decides whether the loop goes on`),
  );
  return found;
}
