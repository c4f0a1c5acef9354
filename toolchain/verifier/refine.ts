/** Where the kernel's words alone do not tell two classes apart, the path that led to them does. */
import { entryById } from './catalogue';
import type { Classified } from './catalogue';
import { knownNull } from './catalogue/pointers';
import { originOfRegister } from './explain';
import type { FailingPath } from './path';

/** Helpers and kernel functions that return a pointer or NULL. */
const RETURNS_POINTER_OR_NULL =
  /^(bpf_map_lookup_(percpu_)?elem|bpf_\w*_storage_get|bpf_skc?_lookup_\w+|bpf_ringbuf_reserve|bpf_per_cpu_ptr|bpf_dynptr_(data|slice\w*)|bpf_\w+_(from_\w+|acquire|next)|bpf_get_listener_sock|bpf_sk_fullsock|bpf_tcp_sock)\b/;

/**
 * On the path where a pointer was compared with NULL and is NULL, the verifier knows it as the number 0 and says that a
 * number is followed. To the programmer it is a NULL pointer.
 */
export function refine<T extends Classified>(classified: T, path: FailingPath): T {
  const { entry, match } = classified;
  if (entry.id !== 'bpf/scalar-pointer' || !match) return classified;
  const origin = originOfRegister(path, match[1]);
  if (origin?.kind !== 'call' || !origin.step) return classified;
  const saysSo = /\bR0(_\w+)?=\S*_or_null/.test(origin.step.state);
  // The difference of two pointers is a number whatever they are.
  const computed = origin.through.some((step) => /^[rw]\d+ -=/.test(step.text));
  if (computed || (!saysSo && !RETURNS_POINTER_OR_NULL.test(origin.callee ?? ''))) return classified;
  const nullDeref = entryById('bpf/null-deref');
  return nullDeref ? { ...classified, entry: nullDeref, rule: knownNull } : classified;
}
