/**
 * Context structures of BPF_PROG_TEST_RUN as linux/bpf.h and the kernel's test_run.c define them. These are UAPI:
 * fields are only ever added at the end, so offsets are constants of every kernel on every 64-bit machine.
 */

export type FieldKind = 'u8' | 'u16' | 'u32' | 'u64' | 'be16' | 'be32' | 'ip4' | 'ip6';

export interface ContextField {
  name: string;
  offset: number;
  kind: FieldKind;
  /** Number of elements of an array field. */
  count?: number;
  /** Symbolic values. */
  names?: Record<string, number>;
}

export interface ContextLayout {
  /** `struct __sk_buff` */
  struct: string;
  size: number;
  fields: ContextField[];
  /** Fields that a test run takes; all others must be zero. From the kernel's net/bpf/test_run.c. */
  settable: string[];
}

export const SIZES: Record<FieldKind, number> = {
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  be16: 2,
  be32: 4,
  ip4: 4,
  ip6: 16,
};

const AF = { AF_INET: 2, AF_INET6: 10 };

/** Fields laid out one after the other, each at a multiple of its size. `-N` leaves N bytes free. */
function sequence(
  ...parts: ([string, FieldKind, number?, Record<string, number>?] | number)[]
): ContextField[] {
  let offset = 0;
  return parts.flatMap((part) => {
    if (typeof part === 'number') {
      offset += part;
      return [];
    }
    const [name, kind, count, names] = part;
    const field: ContextField = {
      name,
      offset,
      kind,
      ...(count === undefined ? {} : { count }),
      ...(names ? { names } : {}),
    };
    offset += SIZES[kind] * (count ?? 1);
    return [field];
  });
}

const skBuff: ContextLayout = {
  struct: 'struct __sk_buff',
  size: 192,
  fields: sequence(
    ['len', 'u32'],
    ['pkt_type', 'u32'],
    ['mark', 'u32'],
    ['queue_mapping', 'u32'],
    ['protocol', 'u32'],
    ['vlan_present', 'u32'],
    ['vlan_tci', 'u32'],
    ['vlan_proto', 'u32'],
    ['priority', 'u32'],
    ['ingress_ifindex', 'u32'],
    ['ifindex', 'u32'],
    ['tc_index', 'u32'],
    ['cb', 'u32', 5],
    ['hash', 'u32'],
    ['tc_classid', 'u32'],
    ['data', 'u32'],
    ['data_end', 'u32'],
    ['napi_id', 'u32'],
    ['family', 'u32', undefined, AF],
    ['remote_ip4', 'ip4'],
    ['local_ip4', 'ip4'],
    ['remote_ip6', 'ip6'],
    ['local_ip6', 'ip6'],
    ['remote_port', 'u32'],
    ['local_port', 'u32'],
    ['data_meta', 'u32'],
    ['flow_keys', 'u64'],
    ['tstamp', 'u64'],
    ['wire_len', 'u32'],
    ['gso_segs', 'u32'],
    ['sk', 'u64'],
    ['gso_size', 'u32'],
    ['tstamp_type', 'u8'],
    3,
    ['hwtstamp', 'u64'],
  ),
  settable: [
    'mark',
    'priority',
    'ingress_ifindex',
    'ifindex',
    'cb',
    'tstamp',
    'wire_len',
    'gso_segs',
    'gso_size',
    'hwtstamp',
  ],
};

const xdpMd: ContextLayout = {
  struct: 'struct xdp_md',
  size: 24,
  fields: sequence(
    ['data', 'u32'],
    ['data_end', 'u32'],
    ['data_meta', 'u32'],
    ['ingress_ifindex', 'u32'],
    ['rx_queue_index', 'u32'],
    ['egress_ifindex', 'u32'],
  ),
  settable: ['data', 'ingress_ifindex', 'rx_queue_index'],
};

const skLookup: ContextLayout = {
  struct: 'struct bpf_sk_lookup',
  size: 72,
  fields: sequence(
    ['cookie', 'u64'],
    ['family', 'u32', undefined, AF],
    ['protocol', 'u32', undefined, { IPPROTO_TCP: 6, IPPROTO_UDP: 17 }],
    ['remote_ip4', 'ip4'],
    ['remote_ip6', 'ip6'],
    ['remote_port', 'be16'],
    2,
    ['local_ip4', 'ip4'],
    ['local_ip6', 'ip6'],
    ['local_port', 'u32'],
    ['ingress_ifindex', 'u32'],
  ),
  settable: [
    'family',
    'protocol',
    'remote_ip4',
    'remote_ip6',
    'remote_port',
    'local_ip4',
    'local_ip6',
    'local_port',
  ],
};

const flowKeys: ContextLayout = {
  struct: 'struct bpf_flow_keys',
  size: 56,
  fields: sequence(
    ['nhoff', 'u16'],
    ['thoff', 'u16'],
    ['addr_proto', 'u16'],
    ['is_frag', 'u8'],
    ['is_first_frag', 'u8'],
    ['is_encap', 'u8'],
    ['ip_proto', 'u8'],
    ['n_proto', 'be16'],
    ['sport', 'be16'],
    ['dport', 'be16'],
    ['ipv6_src', 'ip6'],
    ['ipv6_dst', 'ip6'],
    ['flags', 'u32'],
    ['flow_label', 'be32'],
  ),
  settable: ['flags'],
};
// The IPv4 addresses share the place of the IPv6 ones.
flowKeys.fields.push(
  { name: 'ipv4_src', offset: 16, kind: 'ip4' },
  { name: 'ipv4_dst', offset: 20, kind: 'ip4' },
);

/** The kernel reads hook and family of its own nf_hook_state and wants the pointers behind them to be zero. */
const nfHookState: ContextLayout = {
  struct: 'struct nf_hook_state',
  size: 48,
  fields: sequence(
    [
      'hook',
      'u8',
      undefined,
      {
        NF_INET_PRE_ROUTING: 0,
        NF_INET_LOCAL_IN: 1,
        NF_INET_FORWARD: 2,
        NF_INET_LOCAL_OUT: 3,
        NF_INET_POST_ROUTING: 4,
      },
    ],
    ['pf', 'u8', undefined, { NFPROTO_IPV4: 2, NFPROTO_IPV6: 10 }],
  ),
  settable: ['hook', 'pf'],
};

/** Eleven arguments and a spare: the most that a tracepoint has (MAX_BPF_FUNC_ARGS). */
const rawTracepoint: ContextLayout = {
  struct: 'struct bpf_raw_tracepoint_args',
  size: 96,
  fields: [{ name: 'args', offset: 0, kind: 'u64', count: 12 }],
  settable: ['args'],
};

export const layouts = { skBuff, xdpMd, skLookup, flowKeys, nfHookState, rawTracepoint } as const;
