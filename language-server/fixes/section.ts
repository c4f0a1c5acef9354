/** The section name that was meant: what is misspelled, or names what the kernel does not have. */
import type { Candidate, Situation } from './fix';

export function nameSection({ source, code, failure, trouble, program }: Situation): Candidate[] {
  const declared = source.programs.find(({ name }) => name === program?.name);
  if (!declared) return [];
  const { section, sectionSpan: span } = declared;
  // A section that a macro makes has no text of its own to change.
  if (source.text.slice(span.start, span.end) !== section) return [];
  const proposed = (trouble.by === 'hint' ? trouble.diagnostic.data?.sections : failure?.sections) ?? [];
  const taken = programsByContext[code.parameters[0]?.type.replace(/^const /, '') ?? ''];
  const fitting = proposed.filter((one) => taken?.sections.test(one) ?? true);
  // Where no name is close, what the program takes still says which type it is.
  const isUnknown = fitting.length === 0 && failure?.id === 'bpf/section';
  const names = isUnknown ? (taken?.usual ?? []) : fitting;
  return names.map((name) => ({
    title: `Change the section to \`SEC("${name}")\``,
    edits: [{ ...span, text: name }],
    // Of several that are close only the programmer knows which was meant.
    isAlternative: names.length > 1,
  }));
}

/** Sections of programs by the type of their context (libbpf's `section_defs`, include/uapi/linux/bpf.h). */
const programsByContext: Readonly<Record<string, { sections: RegExp; usual?: readonly string[] }>> = {
  'struct xdp_md': { sections: /^xdp(?:[./]|$)/, usual: ['xdp'] },
  'struct __sk_buff': {
    sections: /^(?:tcx?|netkit|socket|action|classifier|cgroup_skb|sk_skb|lwt_\w+|flow_dissector)(?:\/|$)/,
    usual: ['tc', 'socket', 'cgroup_skb/ingress', 'cgroup_skb/egress'],
  },
  'struct sk_msg_md': { sections: /^sk_msg$/, usual: ['sk_msg'] },
  'struct bpf_sock_ops': { sections: /^sockops$/, usual: ['sockops'] },
  'struct bpf_sk_lookup': { sections: /^sk_lookup$/, usual: ['sk_lookup'] },
  'struct sk_reuseport_md': { sections: /^sk_reuseport(?:\/|$)/, usual: ['sk_reuseport'] },
  'struct bpf_nf_ctx': { sections: /^netfilter$/, usual: ['netfilter'] },
  'struct bpf_perf_event_data': { sections: /^perf_event$/, usual: ['perf_event'] },
  'struct bpf_cgroup_dev_ctx': { sections: /^cgroup\/dev$/, usual: ['cgroup/dev'] },
  'struct bpf_sysctl': { sections: /^cgroup\/sysctl$/, usual: ['cgroup/sysctl'] },
  'struct bpf_sockopt': {
    sections: /^cgroup\/[gs]etsockopt$/,
    usual: ['cgroup/getsockopt', 'cgroup/setsockopt'],
  },
  'struct bpf_sock_addr': { sections: /^cgroup\/(?:bind|connect|sendmsg|recvmsg|get(?:peer|sock)name)\w*$/ },
  'struct pt_regs': { sections: /^[ku](?:ret)?probe\b|^k(?:ret)?syscall\/|^usdt\// },
};
