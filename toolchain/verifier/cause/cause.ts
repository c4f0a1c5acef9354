/**
 * Why a program was refused, as points of its failing path in order of time: where values came from, what was proven
 * of them, where that was lost, which decisions led there. Everything is read from the path's instructions and the
 * states the kernel printed; where an older kernel's log says less, so does this.
 */
import type { RelatedKind } from '../catalogue/kinds';
import { rootOf } from './flow';
import type { FlowValue } from './flow';
import {
  accessSteps,
  invalidationOf,
  isNullCheck,
  movedContextSteps,
  numberAsPointerSteps,
  otherNullChecks,
  packetSteps,
  rcuEndSteps,
  releaseSteps,
} from './pointer';
import { decisionsBetween } from './decisions';
import { loopSteps } from './loops';
import { decisionSteps, referenceSteps, regionSteps } from './resources';
import { stackUseSteps, unwrittenSteps } from './stack';
import { isSamePlace } from './trace';
import { constantStep } from './value';
import type { CausalStep, Trace } from './trace';

export { Trace } from './trace';
export type { CausalKind, CausalStep } from './trace';

/** The catalogue says by id which questions a class of failures raises; each is answered by one of these. */
const questions: Record<RelatedKind, (trace: Trace) => CausalStep[]> = {
  origin: originSteps,
  decision: (trace) => decisionSteps(trace, startOf(trace)),
  allocation: referenceSteps,
  packetCheck: (trace) => (trace.subject ? packetSteps(trace, trace.subject) : []),
  invalidation(trace) {
    const index = trace.subject && invalidationOf(trace, trace.subject);
    return index === undefined
      ? []
      : [
          trace.point(
            'proof-lost',
            index,
            'this call may change the packet, so pointers into it that were read before end here',
          ),
        ];
  },
  lock: regionSteps,
  release: releaseSteps,
};

/** Points that explain a failure, without those on the failing expression itself. */
export function causesOf(trace: Trace): CausalStep[] {
  const { entry } = trace.classified;
  const found = (entry.related ?? []).flatMap((kind) => questions[kind](trace));
  if (!entry.related?.includes('lock')) found.push(...regionSteps(trace));
  if (entry.id === 'bpf/stack-uninitialised') found.push(...unwrittenSteps(trace));
  if (entry.id === 'bpf/stack-size') found.push(...stackUseSteps(trace));
  if (entry.id === 'bpf/complexity' || entry.id === 'bpf/infinite-loop') found.push(...loopSteps(trace));
  found.sort((a, b) => a.step - b.step);
  return withoutRepeats(found, trace);
}

/** What can be said of a finding about the program as a whole, which no instruction stands for. */
export function declarationsOf(trace: Trace): CausalStep[] {
  return trace.classified.entry.id === 'bpf/stack-size' ? stackUseSteps(trace) : [];
}

/** Points at one place are told together; what stands on the failing expression is in the message. */
function withoutRepeats(steps: CausalStep[], trace: Trace): CausalStep[] {
  const kept: CausalStep[] = [];
  for (const step of steps) {
    const { at } = step;
    if (at && trace.failing && isSamePlace(at, trace.failing)) continue;
    const same = kept.findIndex((one) => (at && one.at ? isSamePlace(one.at, at) : one.step === step.step));
    if (same < 0) kept.push(step);
    else kept[same] = together(kept[same] as CausalStep, step);
  }
  return kept;
}

const order: CausalStep['kind'][] = [
  'change',
  'decision',
  'loop',
  'stack',
  'proof',
  'origin',
  'acquired',
  'proof-lost',
];

/** The more telling of two kinds, and both messages; a loop comes by the same place with the same words again. */
function together(one: CausalStep, other: CausalStep): CausalStep {
  const leading = order.indexOf(other.kind) > order.indexOf(one.kind) ? other : one;
  const isTold = one.message.includes(other.message) || one.kind === other.kind;
  return isTold ? leading : { ...leading, message: `${one.message}; ${other.message}` };
}

function originSteps(trace: Trace): CausalStep[] {
  const { subject } = trace;
  const { entry } = trace.classified;
  if (!subject) return [];
  switch (entry.id) {
    case 'bpf/null-deref':
    case 'bpf/null-argument':
      return nullSteps(trace, subject);
    case 'bpf/scalar-pointer':
    case 'bpf/use-after-release':
      return numberAsPointerSteps(trace, subject);
    case 'bpf/untrusted-pointer':
    case 'bpf/rcu':
      return [...accessSteps(trace, subject), ...rcuEndSteps(trace, subject)];
    // The packet's own question tells where its pointer came from.
    case 'bpf/packet-bounds':
      return [];
    case 'bpf/return-value':
      return subject.kind === 'constant' ? [constantStep(trace, subject)] : accessSteps(trace, subject);
    case 'bpf/context-access':
      return [...accessSteps(trace, subject), ...movedContextSteps(trace, subject)];
    default:
      return accessSteps(trace, subject);
  }
}

function nullSteps(trace: Trace, subject: FlowValue): CausalStep[] {
  const root = rootOf(subject);
  return [
    ...accessSteps(trace, subject),
    ...otherNullChecks(trace, subject),
    ...decisionsBetween(
      trace,
      root.index,
      trace.here,
      (comparison) => comparison.right === 0n && !isNullCheck(subject, comparison),
    ),
  ];
}

/** Where the story of decisions begins: where the reference or lock was taken, else at the path's beginning. */
function startOf(trace: Trace): number {
  const taken = [...referenceSteps(trace), ...regionSteps(trace)].at(-1);
  return taken?.step ?? -1;
}
