/** Where the kernel's words alone do not tell two classes apart, the path that led to them does. */
import type { Classified } from './catalogue';
import { entryById } from './catalogue';
import { knownNull, usedAfterRelease } from './catalogue/pointers';
import { originOfRegister } from './explain';
import type { FailingPath, Step } from './path';

/** Calls after which the verifier forgets the pointers to an object, or to all objects of a kind. */
export const RELEASES =
  /^call (bpf_\w*(_release|_submit|_discard|_submit_dynptr|_discard_dynptr|_drop(_impl)?|_destroy|_unlock)|bpf_kptr_xchg)#/;

/** `if r7 == 0x0 goto pc+2`: a comparison of a pointer with NULL, in either direction. */
const COMPARED_WITH_NULL = /^if r\d+ [!=]= 0x0 goto /;

/**
 * A pointer becomes a plain number to the verifier where it is known to be NULL, and where its object was released.
 * The kernel says the same of both, and of numbers that never were pointers.
 */
export function refine<T extends Classified>(classified: T, path: FailingPath): T {
  const { entry, match } = classified;
  if (entry.id !== 'bpf/scalar-pointer' || !match) return classified;
  const origin = originOfRegister(path, match[1]);
  // The difference of two pointers is a number whatever they are.
  if (origin?.kind !== 'call' || !origin.step || origin.through.some((step) => / -= r/.test(step.text))) {
    return classified;
  }
  const since = path.steps.slice(path.steps.indexOf(origin.step) + 1);
  const released = since.some((step) => RELEASES.test(step.text));
  if (released) return withRule(classified, 'bpf/use-after-release', usedAfterRelease);
  const isNull = returnsPointer(origin.step) && since.some((step) => COMPARED_WITH_NULL.test(step.text));
  return isNull ? withRule(classified, 'bpf/null-deref', knownNull) : classified;
}

/** Whether what a call returned is a pointer or NULL: as the log says from 6.0 on, else by the name of the helper. */
function returnsPointer(call: Step): boolean {
  return (
    /\bR0(_\w+)?=\S*_or_null/.test(call.state) ||
    /^call bpf_(map_lookup_(percpu_)?elem|\w+_storage_get|skc?_lookup_\w+|ringbuf_reserve|per_cpu_ptr)#/.test(
      call.text,
    )
  );
}

function withRule<T extends Classified>(classified: T, id: string, rule: NonNullable<T['rule']>): T {
  const entry = entryById(id);
  return entry ? { ...classified, entry, rule } : classified;
}
