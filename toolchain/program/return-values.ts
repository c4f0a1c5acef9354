/** What a program's return value means, by program type: names from linux/bpf.h, linux/pkt_cls.h and linux/netfilter.h. */

const XDP: Record<number, string> = {
  0: 'XDP_ABORTED',
  1: 'XDP_DROP',
  2: 'XDP_PASS',
  3: 'XDP_TX',
  4: 'XDP_REDIRECT',
};
const TC: Record<number, string> = {
  [-1]: 'TC_ACT_UNSPEC',
  0: 'TC_ACT_OK',
  1: 'TC_ACT_RECLASSIFY',
  2: 'TC_ACT_SHOT',
  3: 'TC_ACT_PIPE',
  4: 'TC_ACT_STOLEN',
  5: 'TC_ACT_QUEUED',
  6: 'TC_ACT_REPEAT',
  7: 'TC_ACT_REDIRECT',
  8: 'TC_ACT_TRAP',
};
const SK: Record<number, string> = { 0: 'SK_DROP', 1: 'SK_PASS' };
const LWT: Record<number, string> = {
  0: 'BPF_OK',
  2: 'BPF_DROP',
  7: 'BPF_REDIRECT',
  128: 'BPF_LWT_REROUTE',
};
const NETFILTER: Record<number, string> = {
  0: 'NF_DROP',
  1: 'NF_ACCEPT',
  2: 'NF_STOLEN',
  3: 'NF_QUEUE',
  4: 'NF_REPEAT',
  5: 'NF_STOP',
};
const CGROUP: Record<number, string> = { 0: 'denied', 1: 'allowed' };

const NAMES: Record<string, Record<number, string>> = {
  xdp: XDP,
  sched_cls: TC,
  sched_act: TC,
  sk_skb: SK,
  sk_msg: SK,
  sk_lookup: SK,
  sk_reuseport: SK,
  lwt_in: LWT,
  lwt_out: LWT,
  lwt_xmit: LWT,
  lwt_seg6local: { 0: 'BPF_OK', 2: 'BPF_DROP', 7: 'BPF_REDIRECT' },
  flow_dissector: { 0: 'BPF_OK', 2: 'BPF_DROP', 129: 'BPF_FLOW_DISSECTOR_CONTINUE' },
  netfilter: NETFILTER,
  // Bit 0 of an egress verdict lets the packet pass, bit 1 tells the sender of congestion.
  cgroup_skb: { 0: 'dropped', 1: 'passed', 2: 'dropped, congestion told', 3: 'passed, congestion told' },
  cgroup_sock: CGROUP,
  // Bit 1 of a bind verdict skips the check for CAP_NET_BIND_SERVICE.
  cgroup_sock_addr: {
    ...CGROUP,
    2: 'denied, without the privileged-port check',
    3: 'allowed, without the privileged-port check',
  },
  cgroup_device: CGROUP,
  cgroup_sysctl: CGROUP,
  cgroup_sockopt: CGROUP,
};

/** Types whose negative return values are errno numbers. */
const ERRNO_TYPES = new Set(['lsm', 'syscall', 'tracing', 'struct_ops', 'ext']);

/** Errno names that programs return; the numbers are the same on all architectures BPF runs on but MIPS and others with own tables. */
const ERRNO: Record<number, string> = {
  1: 'EPERM',
  2: 'ENOENT',
  3: 'ESRCH',
  4: 'EINTR',
  5: 'EIO',
  7: 'E2BIG',
  9: 'EBADF',
  11: 'EAGAIN',
  12: 'ENOMEM',
  13: 'EACCES',
  14: 'EFAULT',
  16: 'EBUSY',
  17: 'EEXIST',
  19: 'ENODEV',
  22: 'EINVAL',
  28: 'ENOSPC',
  34: 'ERANGE',
  36: 'ENAMETOOLONG',
  38: 'ENOSYS',
  75: 'EOVERFLOW',
  95: 'EOPNOTSUPP',
};

export interface ReturnValue {
  /** As the program returned it: signed, the way C's `int` has it. */
  value: number;
  /** `XDP_DROP`, `-EPERM`; undefined where the type has no names for values. */
  name?: string;
  /** `XDP_DROP (1)`, `42`, `17: not an XDP action; the kernel drops the packet as XDP_ABORTED does`. */
  text: string;
}

/**
 * @param type Program type in lower case, `xdp`, `sched_cls`.
 * @param raw The u32 that BPF_PROG_TEST_RUN reports.
 */
export function describeReturnValue(type: string, raw: number): ReturnValue {
  const value = raw | 0;
  const name = NAMES[type]?.[value] ?? errnoName(type, value);
  if (name !== undefined) return { value, name, text: `${name} (${value})` };
  if (type === 'xdp')
    return { value, text: `${raw} (not an XDP action; the kernel warns and treats it as XDP_ABORTED)` };
  if (type === 'socket_filter')
    return { value, text: raw === 0 ? '0 (packet dropped)' : `${raw} (bytes of the packet to keep)` };
  return { value, text: String(value) };
}

function errnoName(type: string, value: number): string | undefined {
  return ERRNO_TYPES.has(type) ? negativeErrno(value) : undefined;
}

/** `-ENOENT` of -2; undefined for what is no error number that BPF programs meet. */
export function negativeErrno(value: number): string | undefined {
  const name = value < 0 ? ERRNO[-value] : undefined;
  return name === undefined ? undefined : `-${name}`;
}

/** Verdicts that drop a packet on purpose, by program type. */
const DROPS: Record<string, (value: number) => boolean> = {
  xdp: (value) => value === 1,
  sched_cls: (value) => value === 2,
  sched_act: (value) => value === 2,
  sk_skb: (value) => value === 0,
  sk_msg: (value) => value === 0,
  sk_lookup: (value) => value === 0,
  sk_reuseport: (value) => value === 0,
  lwt_in: (value) => value === 2,
  lwt_out: (value) => value === 2,
  lwt_xmit: (value) => value === 2,
  lwt_seg6local: (value) => value === 2,
  flow_dissector: (value) => value === 2,
  netfilter: (value) => value === 0,
  cgroup_skb: (value) => (value & 1) === 0,
  socket_filter: (value) => value === 0,
};

/** Whether a program of that type that returns `raw` drops the packet because it wants to. */
export function isDropVerdict(type: string, raw: number): boolean {
  return DROPS[type]?.(raw | 0) ?? false;
}

/** Whether it ends with what the kernel treats as an error: XDP_ABORTED, or a number that is no XDP action. */
export function isAbortVerdict(type: string, raw: number): boolean {
  return type === 'xdp' && (raw >>> 0 === 0 || raw >>> 0 > 4);
}

/** The value that a program type's return value has by its name in C; undefined for other names. */
export function namedReturnValue(programType: string, name: string): number | undefined {
  const found = Object.entries(NAMES[programType] ?? {}).find(([, candidate]) => candidate === name);
  return found && Number(found[0]);
}
