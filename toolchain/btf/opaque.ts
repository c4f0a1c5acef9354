import { MAX_DEPTH } from './resolve';
import type { Types } from './btf';

/**
 * Fields of a map value that the kernel keeps for itself: bpf(2) leaves them out when it copies a value to user
 * space and when it takes one (`btf_parse_fields` and `bpf_obj_memcpy`, kernel/bpf/btf.c and include/linux/bpf.h),
 * so what stands in their place is zeroes that mean nothing.
 */
export const opaqueTypes: ReadonlySet<string> = new Set([
  'bpf_spin_lock',
  'bpf_res_spin_lock',
  'bpf_timer',
  'bpf_wq',
  'bpf_task_work',
  'bpf_list_head',
  'bpf_list_node',
  'bpf_rb_root',
  'bpf_rb_node',
  'bpf_refcount',
]);

const kernelPointerTags = new Set(['kptr', 'kptr_untrusted', 'kptr_ref', 'percpu_kptr', 'uptr']);

/** Whether a pointer to `target` is a kptr, left out of copies for the same reason. */
export function isKernelPointer(btf: Types, target: number): boolean {
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const type = btf.type(target);
    if (type.kind === 'type_tag' && kernelPointerTags.has(type.name)) return true;
    if (type.kind !== 'type_tag' && type.kind !== 'const' && type.kind !== 'volatile') return false;
    target = type.type;
  }
  return false;
}
