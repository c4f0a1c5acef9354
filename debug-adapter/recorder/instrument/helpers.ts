/**
 * What helpers write through their pointer arguments, by name. Source: the `bpf_func_proto` of each in kernel/bpf,
 * kernel/trace/bpf_trace.c and net/core/filter.c (which arguments are `ARG_PTR_TO_UNINIT_MEM` or have `MEM_WRITE`, and
 * which argument gives the size).
 */
import { HELPER_NAMES } from '../../../toolchain/insn/helper-names';

/** Memory that a helper writes: argument 1 to 5 points to it; its size in bytes, or the argument that holds it. */
export interface HelperWrite {
  pointer: number;
  size: number | { argument: number };
}

const sized = (pointer: number, argument: number): HelperWrite => ({ pointer, size: { argument } });
const fixed = (pointer: number, size: number): HelperWrite => ({ pointer, size });

const WRITES: Record<string, HelperWrite[]> = {
  probe_read: [sized(1, 2)],
  get_current_comm: [sized(1, 2)],
  skb_get_tunnel_key: [sized(2, 3)],
  skb_load_bytes: [sized(3, 4)],
  skb_get_tunnel_opt: [sized(2, 3)],
  probe_read_str: [sized(1, 2)],
  perf_event_read_value: [sized(3, 4)],
  perf_prog_read_value: [sized(2, 3)],
  getsockopt: [sized(4, 5)],
  get_stack: [sized(2, 3)],
  skb_load_bytes_relative: [sized(2, 3)],
  fib_lookup: [sized(2, 3)],
  sysctl_get_name: [sized(2, 3)],
  sysctl_get_current_value: [sized(2, 3)],
  sysctl_get_new_value: [sized(2, 3)],
  strtol: [fixed(4, 8)],
  strtoul: [fixed(4, 8)],
  probe_read_user: [sized(1, 2)],
  probe_read_kernel: [sized(1, 2)],
  probe_read_user_str: [sized(1, 2)],
  probe_read_kernel_str: [sized(1, 2)],
  read_branch_records: [sized(2, 3)],
  get_ns_current_pid_tgid: [sized(3, 4)],
  get_task_stack: [sized(2, 3)],
  load_hdr_opt: [sized(2, 3)],
  d_path: [sized(2, 3)],
  copy_from_user: [sized(1, 2)],
  snprintf_btf: [sized(1, 2)],
  check_mtu: [fixed(3, 4)],
  snprintf: [sized(1, 2)],
  get_branch_snapshot: [sized(1, 2)],
  get_func_arg: [fixed(3, 8)],
  get_func_ret: [fixed(2, 8)],
  xdp_load_bytes: [sized(3, 4)],
  copy_from_user_task: [sized(1, 2)],
};

/** Helpers that write no memory of the program's that a pointer argument leads to. */
const WRITE_NOTHING = new Set(
  `
    map_lookup_elem map_update_elem map_delete_elem ktime_get_ns trace_printk get_prandom_u32
    get_smp_processor_id skb_store_bytes l3_csum_replace l4_csum_replace tail_call clone_redirect
    get_current_pid_tgid get_current_uid_gid get_cgroup_classid skb_vlan_push skb_vlan_pop skb_set_tunnel_key
    perf_event_read redirect get_route_realm perf_event_output get_stackid csum_diff skb_set_tunnel_opt
    skb_change_proto skb_change_type skb_under_cgroup get_hash_recalc get_current_task probe_write_user
    current_task_under_cgroup skb_change_tail skb_pull_data csum_update set_hash_invalid get_numa_node_id
    skb_change_head xdp_adjust_head get_socket_cookie get_socket_uid set_hash setsockopt skb_adjust_room
    redirect_map sk_redirect_map sock_map_update xdp_adjust_meta override_return sock_ops_cb_flags_set
    msg_redirect_map msg_apply_bytes msg_cork_bytes msg_pull_data bind xdp_adjust_tail sock_hash_update
    msg_redirect_hash sk_redirect_hash lwt_push_encap lwt_seg6_store_bytes lwt_seg6_adjust_srh lwt_seg6_action
    rc_repeat rc_keydown skb_cgroup_id get_current_cgroup_id get_local_storage sk_select_reuseport
    skb_ancestor_cgroup_id sk_lookup_tcp sk_lookup_udp sk_release map_push_elem msg_push_data msg_pop_data
    rc_pointer_rel spin_lock spin_unlock sk_fullsock tcp_sock skb_ecn_set_ce get_listener_sock skc_lookup_tcp
    tcp_check_syncookie sk_storage_get sk_storage_delete send_signal tcp_gen_syncookie skb_output tcp_send_ack
    send_signal_thread jiffies64 xdp_output get_netns_cookie get_current_ancestor_cgroup_id sk_assign
    ktime_get_boot_ns seq_printf seq_write sk_cgroup_id sk_ancestor_cgroup_id ringbuf_output ringbuf_reserve
    ringbuf_submit ringbuf_discard ringbuf_query csum_level skc_to_tcp6_sock skc_to_tcp_sock
    skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock store_hdr_opt reserve_hdr_opt
    inode_storage_get inode_storage_delete seq_printf_btf skb_cgroup_classid redirect_neigh per_cpu_ptr
    this_cpu_ptr redirect_peer task_storage_get task_storage_delete get_current_task_btf bprm_opts_set
    ktime_get_coarse_ns sock_from_file  sys_close timer_init timer_start timer_cancel
    get_func_ip get_attach_cookie task_pt_regs trace_vprintk skc_to_unix_sock   strncmp
    get_func_arg_cnt get_retval set_retval xdp_get_buff_len xdp_store_bytes skb_set_tstamp kptr_xchg
    map_lookup_percpu_elem skc_to_mptcp_sock ktime_get_tai_ns cgrp_storage_get cgrp_storage_delete
  `
    .trim()
    .split(/\s+/),
);

/**
 * What a helper writes, or undefined when that is not known and anything may be written: map_pop_elem and
 * map_peek_elem, for instance, write a value of the map's size, which is not known from the instruction.
 */
export function helperWrites(id: number): readonly HelperWrite[] | undefined {
  const name = HELPER_NAMES[id - 1] ?? '';
  return WRITES[name] ?? (WRITE_NOTHING.has(name) ? [] : undefined);
}

/**
 * Helpers that leave nothing in R0, so that the verifier does not let it be read behind them: `RET_VOID`; and
 * set_hash_invalid, whose number says nothing. A failed tail call is one of them.
 */
const RETURN_NOTHING = new Set(
  `
    spin_lock spin_unlock tail_call set_hash_invalid
    ringbuf_submit ringbuf_discard ringbuf_submit_dynptr ringbuf_discard_dynptr
  `
    .trim()
    .split(/\s+/),
);

/** Whether a helper is known and returns something. */
export function returnsValue(id: number): boolean {
  const name = HELPER_NAMES[id - 1];
  return name !== undefined && !RETURN_NOTHING.has(name);
}
