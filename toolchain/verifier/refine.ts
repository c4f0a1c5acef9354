/** Where the kernel's words alone do not tell two classes apart, the path that led to them does. */
import { entryById } from './catalogue';
import type { Classified } from './catalogue';
import { knownNull, usedAfterRelease } from './catalogue/pointers';
import { chainOf, rootOf } from './cause/flow';
import { releaseOf } from './cause/pointer';
import type { Trace } from './cause/trace';

/** Helpers that return a pointer or NULL, for kernels before 5.17, whose logs do not say so. */
const RETURNS_POINTER_OR_NULL =
  /^bpf_(map_lookup_(percpu_)?elem|\w+_storage_get|skc?_lookup_\w+|ringbuf_reserve|per_cpu_ptr)$/;

/**
 * A pointer becomes a plain number to the verifier where it is known to be NULL, and where its object was released.
 * The kernel says the same of both, and of numbers that never were pointers.
 */
export function refine<T extends Classified>(classified: T, trace: Trace): T {
  const { entry, match } = classified;
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
  const mayBeNull = trace.stateOf(root)?.mayBeNull ?? RETURNS_POINTER_OR_NULL.test(root.callee ?? '');
  const isNull = trace.flow.comparisons.some(
    ({ left, right, relation }) => right === 0n && relation === '==' && rootOf(left) === root,
  );
  return mayBeNull && isNull ? withRule(classified, 'bpf/null-deref', knownNull) : classified;
}

function withRule<T extends Classified>(classified: T, id: string, rule: NonNullable<T['rule']>): T {
  const entry = entryById(id);
  return entry ? { ...classified, entry, rule } : classified;
}
