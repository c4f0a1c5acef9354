/** References and locks: where they were taken, and the way from there to where they are missed. */
import { decisionsBetween } from './decisions';
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

/** What opens a region that must be closed again, by the class of failures that miss its end. */
const openers: Record<string, { call: RegExp; message: string }> = {
  'bpf/lock': { call: /^bpf_(res_)?spin_lock/, message: 'the lock is taken here' },
  'bpf/rcu': { call: /^bpf_rcu_read_lock/, message: 'the RCU section begins here' },
  'bpf/preempt': { call: /^bpf_preempt_disable/, message: 'preemption is disabled here' },
  'bpf/sleepable': {
    call: /^bpf_(rcu_read_lock|preempt_disable|local_irq_save|(res_)?spin_lock\w*)/,
    message: 'from here on nothing may sleep',
  },
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
