/** Where the kernel's words alone do not tell two classes apart, the path that led to them does. */
import { entryById } from './catalogue';
import type { Classified } from './catalogue';
import { knownNull } from './catalogue/pointers';
import { chainOf, rootOf } from './cause/flow';
import type { FlowValue } from './cause/flow';
import type { Trace } from './cause/trace';

/** Helpers and kernel functions that return a pointer or NULL. */
const RETURNS_POINTER_OR_NULL =
  /^(bpf_map_lookup_(percpu_)?elem|bpf_\w*_storage_get|bpf_skc?_lookup_\w+|bpf_ringbuf_reserve|bpf_per_cpu_ptr|bpf_dynptr_(data|slice\w*)|bpf_\w+_(from_\w+|acquire|next)|bpf_get_listener_sock|bpf_sk_fullsock|bpf_tcp_sock)\b/;

/**
 * On the path where a pointer was compared with NULL and is NULL, the verifier knows it as the number 0 and says that a
 * number is followed. To the programmer it is a NULL pointer.
 */
export function refine<T extends Classified>(classified: T, trace: Trace): T {
  const { entry, match } = classified;
  if (entry.id !== 'bpf/scalar-pointer' || !match) return classified;
  const value = trace.register(Number(match[1]));
  const root = value && rootOf(value);
  if (root?.kind !== 'call') return classified;
  // The difference of two pointers is a number whatever they are.
  const isComputed = chainOf(value as FlowValue).some(
    ({ instruction }) => instruction?.kind === 'arithmetic' && instruction.operator === '-',
  );
  const mayBeNull = trace.stateOf(root)?.mayBeNull ?? RETURNS_POINTER_OR_NULL.test(root.callee ?? '');
  const isNull = trace.flow.comparisons.some(
    ({ left, right, relation }) => right === 0n && relation === '==' && rootOf(left) === root,
  );
  if (isComputed || !mayBeNull || !isNull) return classified;
  const nullDeref = entryById('bpf/null-deref');
  return nullDeref ? { ...classified, entry: nullDeref, rule: knownNull } : classified;
}
