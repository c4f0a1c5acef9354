/** Which types of maps a helper takes, where it takes not just any (check_map_func_compatibility of kernel/bpf/verifier.c). */
import { mapTypeNames } from '../../load-failure/target';

const takes: Record<string, string[]> = {
  bpf_tail_call: ['prog_array'],
  bpf_perf_event_read: ['perf_event_array'],
  bpf_perf_event_read_value: ['perf_event_array'],
  bpf_perf_event_output: ['perf_event_array'],
  bpf_skb_output: ['perf_event_array'],
  bpf_xdp_output: ['perf_event_array'],
  bpf_get_stackid: ['stack_trace'],
  bpf_skb_under_cgroup: ['cgroup_array'],
  bpf_current_task_under_cgroup: ['cgroup_array'],
  bpf_redirect_map: ['devmap', 'devmap_hash', 'cpumap', 'xskmap'],
  bpf_sk_redirect_map: ['sockmap'],
  bpf_msg_redirect_map: ['sockmap'],
  bpf_sock_map_update: ['sockmap'],
  bpf_sk_redirect_hash: ['sockhash'],
  bpf_msg_redirect_hash: ['sockhash'],
  bpf_sock_hash_update: ['sockhash'],
  bpf_get_local_storage: ['cgroup_storage', 'percpu_cgroup_storage'],
  bpf_sk_select_reuseport: ['reuseport_sockarray', 'sockmap', 'sockhash'],
  bpf_map_push_elem: ['queue', 'stack', 'bloom_filter'],
  bpf_map_peek_elem: ['queue', 'stack', 'bloom_filter'],
  bpf_map_pop_elem: ['queue', 'stack'],
  bpf_map_lookup_percpu_elem: ['percpu_array', 'percpu_hash', 'lru_percpu_hash'],
  bpf_sk_storage_get: ['sk_storage'],
  bpf_sk_storage_delete: ['sk_storage'],
  bpf_inode_storage_get: ['inode_storage'],
  bpf_inode_storage_delete: ['inode_storage'],
  bpf_task_storage_get: ['task_storage'],
  bpf_task_storage_delete: ['task_storage'],
  bpf_cgrp_storage_get: ['cgrp_storage'],
  bpf_cgrp_storage_delete: ['cgrp_storage'],
  bpf_ringbuf_output: ['ringbuf'],
  bpf_ringbuf_reserve: ['ringbuf'],
  bpf_ringbuf_query: ['ringbuf'],
  bpf_ringbuf_reserve_dynptr: ['ringbuf'],
  bpf_user_ringbuf_drain: ['user_ringbuf'],
};

/** What one does with the entries of a map that only some helpers take. */
const servedBy: Record<string, string> = {
  ringbuf: 'bpf_ringbuf_output or bpf_ringbuf_reserve',
  perf_event_array: 'bpf_perf_event_output',
  prog_array: 'bpf_tail_call',
  devmap: 'bpf_redirect_map',
  devmap_hash: 'bpf_redirect_map',
  cpumap: 'bpf_redirect_map',
  xskmap: 'bpf_redirect_map',
  queue: 'bpf_map_push_elem, bpf_map_peek_elem and bpf_map_pop_elem',
  stack: 'bpf_map_push_elem, bpf_map_peek_elem and bpf_map_pop_elem',
  bloom_filter: 'bpf_map_push_elem and bpf_map_peek_elem',
  stack_trace: 'bpf_get_stackid',
  cgroup_array: 'bpf_current_task_under_cgroup or bpf_skb_under_cgroup',
  sk_storage: 'bpf_sk_storage_get',
  inode_storage: 'bpf_inode_storage_get',
  task_storage: 'bpf_task_storage_get',
  cgrp_storage: 'bpf_cgrp_storage_get',
};

/** `a map of type hash`, by the number that the kernel prints. */
export function mapOfType(number: string | undefined): string {
  const name = mapTypeNames[Number(number)];
  return name ? `a map of type ${name}` : `a map of type ${number ?? '?'}`;
}

/** What goes together with a helper, or with the type of map it was given. */
export function mapAdvice(helper: string | undefined, number: string | undefined): string | undefined {
  const wanted = helper === undefined ? undefined : takes[helper];
  if (wanted) {
    const types = wanted.map((type) => `BPF_MAP_TYPE_${type.toUpperCase()}`).join(', ');
    return `${helper} takes maps of type ${types}: declare the map so, or use a helper for the type it has.`;
  }
  const given = mapTypeNames[Number(number)];
  const helpers = given === undefined ? undefined : servedBy[given];
  return helpers && `Maps of type BPF_MAP_TYPE_${given?.toUpperCase()} are used with ${helpers}.`;
}
