/** Where the kernel's words alone do not tell two classes apart, the path that led to them does. */
import { entryById } from './catalogue';
import type { Classified } from './catalogue';
import { partOfContext } from './catalogue/calls';
import { knownNull, operatorOnPointer, usedAfterRelease } from './catalogue/pointers';
import { chainOf, rootOf } from './cause/flow';
import { releaseOf } from './cause/pointer';
import type { Trace } from './cause/trace';

/**
 * A pointer becomes a plain number to the verifier where it is known to be NULL, and where its object was released.
 * The kernel says the same of both, and of numbers that never were pointers.
 */
export function refine<T extends Classified>(classified: T, trace: Trace): T {
  const { entry, match, line } = classified;
  if (entry.id === 'bpf/index-unbounded' && match && isNeitherSumNorDifference(trace)) {
    return withRule(classified, 'bpf/pointer-arithmetic', operatorOnPointer);
  }
  if (entry.id === 'bpf/context-access' && isArgumentForMemory(trace, partOfContext.pattern.exec(line)))
    return withRule(classified, 'bpf/helper-argument', partOfContext);
  if (entry.id !== 'bpf/scalar-pointer' || !match) return classified;
  const value = trace.register(Number(match[1]));
  const root = value && rootOf(value);
  if (!value || root?.kind !== 'call') return classified;
  // The difference of two pointers is a number whatever they are.
  const isComputed = chainOf(value).some(
    ({ instruction }) => instruction?.kind === 'arithmetic' && instruction.operator === '-',
  );
  if (isComputed) return classified;
  if (releaseOf(trace, value)) return withRule(classified, 'bpf/use-after-release', usedAfterRelease);
  const mayBeNull = trace.mayBeNull(root);
  const isNull = trace.flow.comparisons.some(
    ({ left, right, relation }) => right === 0n && relation === '==' && rootOf(left) === root,
  );
  return mayBeNull && isNull ? withRule(classified, 'bpf/null-deref', knownNull) : classified;
}

/** The kernel looks at the number before it looks at what is done with it. */
function isNeitherSumNorDifference(trace: Trace): boolean {
  const refused = trace.flow.instruction(trace.here);
  return refused.kind === 'arithmetic' && refused.operator !== '+' && refused.operator !== '-';
}

/** Helpers that take the context itself have it as their first argument. */
function isArgumentForMemory(trace: Trace, said: RegExpExecArray | null): boolean {
  return said !== null && said[1] !== '1' && trace.flow.instruction(trace.here).kind === 'call';
}

function withRule<T extends Classified>(classified: T, id: string, rule: NonNullable<T['rule']>): T {
  const entry = entryById(id);
  const match = rule.pattern.exec(classified.line);
  return entry && match ? { ...classified, entry, rule, match } : classified;
}
