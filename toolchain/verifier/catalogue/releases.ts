/**
 * What gives back what a helper or kernel function took (bpf-helpers(7), Documentation/bpf/kfuncs.rst of the kernel).
 * Where the argument is what is held, and not the result, `argument` is its position from 0.
 */
export interface ReleasingCalls {
  names: readonly string[];
  argument?: number;
}

const socket: ReleasingCalls = { names: ['bpf_sk_release'] };
const task: ReleasingCalls = { names: ['bpf_task_release'] };
const cgroup: ReleasingCalls = { names: ['bpf_cgroup_release'] };
const object: ReleasingCalls = { names: ['bpf_obj_drop'] };
const cpumask: ReleasingCalls = { names: ['bpf_cpumask_release'] };
const key: ReleasingCalls = { names: ['bpf_key_put'] };
const connection: ReleasingCalls = { names: ['bpf_ct_release'] };

const releases: Record<string, ReleasingCalls> = {
  bpf_ringbuf_reserve: { names: ['bpf_ringbuf_submit', 'bpf_ringbuf_discard'] },
  bpf_ringbuf_reserve_dynptr: {
    names: ['bpf_ringbuf_submit_dynptr', 'bpf_ringbuf_discard_dynptr'],
    argument: 3,
  },
  bpf_sk_lookup_tcp: socket,
  bpf_sk_lookup_udp: socket,
  bpf_skc_lookup_tcp: socket,
  bpf_map_lookup_elem: socket,
  bpf_task_acquire: task,
  bpf_task_from_pid: task,
  bpf_task_from_vpid: task,
  bpf_cgroup_acquire: cgroup,
  bpf_cgroup_ancestor: cgroup,
  bpf_cgroup_from_id: cgroup,
  bpf_task_get_cgroup1: cgroup,
  bpf_cpumask_create: cpumask,
  bpf_cpumask_acquire: cpumask,
  bpf_obj_new_impl: object,
  bpf_refcount_acquire_impl: object,
  bpf_percpu_obj_new_impl: { names: ['bpf_percpu_obj_drop'] },
  bpf_get_task_exe_file: { names: ['bpf_put_file'] },
  bpf_lookup_user_key: key,
  bpf_lookup_system_key: key,
  bpf_crypto_ctx_create: { names: ['bpf_crypto_ctx_release'] },
  bpf_skb_ct_lookup: connection,
  bpf_xdp_ct_lookup: connection,
};

/** The calls that end what a call began; of an iterator, by the kernel's rule for their names. */
export function releasesOf(callee: string): ReleasingCalls | undefined {
  const iterator = /^(bpf_iter_\w+)_new$/.exec(callee)?.[1];
  return iterator
    ? { names: [`${iterator}_destroy`], argument: 0 }
    : Object.hasOwn(releases, callee)
      ? releases[callee]
      : undefined;
}
