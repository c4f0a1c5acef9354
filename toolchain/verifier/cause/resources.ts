/** References and locks: where they were taken, and the way from there to where they are missed. */
import { decisionsBetween } from './decisions';
import type { FlowValue } from './flow';
import { expressionAt } from './names';
import type { CausalStep, Trace } from './trace';
import { declaration } from './stack';
import { originSteps } from './value';

/** `alloc_insn=N` of the kernel's words. */
export function referenceSteps(trace: Trace): CausalStep[] {
  const insn = Number(/alloc_insn=(\d+)/.exec(trace.classified.line)?.[1] ?? NaN);
  const index = trace.path.steps.findLastIndex((one) => one.insn === insn);
  if (index < 0) return [];
  const call = trace.flow.instruction(index);
  const callee = call.kind === 'call' && call.name !== undefined ? ` by ${call.name}` : '';
  return [trace.point('acquired', index, `the reference is taken here${callee}`)];
}

/** What opens a region that must be closed again, by the class of failures that miss its end. */
const openers: Record<string, { call: RegExp; message: string }> = {
  'bpf/lock': { call: /^bpf_(res_)?spin_lock/, message: 'the lock is taken here' },
  'bpf/rcu': { call: /^bpf_rcu_read_lock/, message: 'the RCU section begins here' },
  'bpf/preempt': { call: /^bpf_preempt_disable/, message: 'preemption is disabled here' },
  'bpf/irq': { call: /^bpf_(local_irq_save|res_spin_lock_irqsave)/, message: 'interrupts are disabled here' },
};

/** Where the lock was taken, or the region begun that the failure is about. */
export function regionSteps(trace: Trace): CausalStep[] {
  const opener = openers[trace.classified.entry.id];
  const call = trace.flow.calls.findLast(({ name }) => name !== undefined && opener?.call.test(name));
  return call && opener ? [trace.point('acquired', call.index, opener.message)] : [];
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
  const decides = `${condition ?? 'this'} decides whether the loop goes on`;
  // The side that the loop does not change is its limit.
  const start = steps.findLastIndex((step, index) => index < back && step.insn === head);
  const limit = [last.right, last.left].find(
    (side): side is FlowValue => typeof side === 'object' && side.index >= 0 && side.index < start,
  );
  const origin = limit ? originSteps(trace, limit) : limitDeclared(trace, last.index);
  return [...origin, trace.point('decision', last.index, decides), ...found];
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
