/** Section names as libbpf reads them, from its documentation of program types and ELF sections. */

export interface Section {
  /** What is written in `SEC()`, with a snippet's place for what follows. */
  name: string;
  /** What such a program is called for. */
  meaning: string;
}

export const sections: readonly Section[] = [
  {
    name: 'xdp',
    meaning: 'Called for each packet a network interface receives, before the kernel has a socket buffer.',
  },
  { name: 'xdp.frags', meaning: 'XDP that accepts packets in several fragments.' },
  { name: 'xdp/devmap', meaning: 'Called for each packet redirected through a device map.' },
  { name: 'xdp/cpumap', meaning: 'Called for each packet redirected through a CPU map, on that CPU.' },
  { name: 'tc', meaning: 'Traffic control classifier: called for each packet at an interface, in or out.' },
  {
    name: 'tcx/ingress',
    meaning: 'Traffic control at an interface, incoming packets, attached as a link (6.6).',
  },
  {
    name: 'tcx/egress',
    meaning: 'Traffic control at an interface, outgoing packets, attached as a link (6.6).',
  },
  { name: 'netkit/primary', meaning: 'Called for packets of a netkit pair, at its primary device.' },
  { name: 'netkit/peer', meaning: 'Called for packets of a netkit pair, at its peer device.' },
  { name: 'socket', meaning: 'Socket filter: decides how much of each packet a socket receives.' },
  { name: 'kprobe/', meaning: 'Called when the kernel function is entered.' },
  { name: 'kretprobe/', meaning: 'Called when the kernel function returns.' },
  { name: 'kprobe.multi/', meaning: 'Called when any kernel function of a pattern is entered.' },
  { name: 'kretprobe.multi/', meaning: 'Called when any kernel function of a pattern returns.' },
  {
    name: 'ksyscall/',
    meaning: 'Called when the system call is entered, whatever the architecture calls it.',
  },
  { name: 'kretsyscall/', meaning: 'Called when the system call returns.' },
  { name: 'uprobe/', meaning: "Called when a program's function is entered: uprobe/BINARY:FUNCTION." },
  { name: 'uretprobe/', meaning: "Called when a program's function returns: uretprobe/BINARY:FUNCTION." },
  { name: 'usdt/', meaning: 'Called at a static probe of a program: usdt/BINARY:PROVIDER:NAME.' },
  { name: 'tracepoint/', meaning: 'Called at a kernel tracepoint: tracepoint/CATEGORY/NAME.' },
  { name: 'tp/', meaning: 'Called at a kernel tracepoint: tp/CATEGORY/NAME.' },
  { name: 'raw_tp/', meaning: "Called at a kernel tracepoint with the tracepoint's raw arguments." },
  { name: 'raw_tracepoint/', meaning: "Called at a kernel tracepoint with the tracepoint's raw arguments." },
  { name: 'tp_btf/', meaning: 'Called at a kernel tracepoint, its arguments typed by BTF.' },
  { name: 'fentry/', meaning: 'Called when the kernel function is entered, its arguments typed by BTF.' },
  { name: 'fexit/', meaning: 'Called when the kernel function returns, with arguments and return value.' },
  { name: 'fmod_ret/', meaning: 'Called before the kernel function; may set its return value instead.' },
  { name: 'lsm/', meaning: 'Called at a Linux Security Module hook; may refuse.' },
  { name: 'lsm.s/', meaning: 'LSM hook where the program may sleep.' },
  { name: 'lsm_cgroup/', meaning: 'LSM hook for the processes of a cgroup.' },
  {
    name: 'iter/',
    meaning: 'Called for each item of a kernel collection: iter/task, iter/bpf_map, iter/tcp …',
  },
  {
    name: 'perf_event',
    meaning: 'Called when a perf event fires: a sample of the CPU clock, a counter overflow.',
  },
  {
    name: 'cgroup_skb/ingress',
    meaning: 'Called for packets that sockets of a cgroup receive; may drop them.',
  },
  { name: 'cgroup_skb/egress', meaning: 'Called for packets that sockets of a cgroup send; may drop them.' },
  { name: 'cgroup/sock_create', meaning: 'Called when a process of the cgroup creates a socket.' },
  { name: 'cgroup/connect4', meaning: 'Called at connect(2) with an IPv4 address; may rewrite it.' },
  { name: 'cgroup/connect6', meaning: 'Called at connect(2) with an IPv6 address; may rewrite it.' },
  { name: 'cgroup/bind4', meaning: 'Called at bind(2) with an IPv4 address.' },
  { name: 'cgroup/bind6', meaning: 'Called at bind(2) with an IPv6 address.' },
  { name: 'cgroup/sendmsg4', meaning: 'Called when an unconnected IPv4 datagram is sent.' },
  { name: 'cgroup/recvmsg4', meaning: 'Called when an IPv4 datagram is received, with its source address.' },
  { name: 'cgroup/getsockopt', meaning: 'Called at getsockopt(2); may change the answer.' },
  { name: 'cgroup/setsockopt', meaning: 'Called at setsockopt(2); may change the value or refuse.' },
  { name: 'cgroup/sysctl', meaning: 'Called when a process of the cgroup reads or writes a sysctl.' },
  { name: 'cgroup/dev', meaning: 'Called when a process of the cgroup opens or makes a device.' },
  { name: 'sockops', meaning: 'Called at events of TCP connections of a cgroup.' },
  { name: 'sk_msg', meaning: 'Called when data is sent on a socket in a sockmap; may redirect it.' },
  {
    name: 'sk_skb/stream_parser',
    meaning: 'Finds message boundaries in what a socket in a sockmap receives.',
  },
  { name: 'sk_skb/stream_verdict', meaning: 'Decides about each message a socket in a sockmap receives.' },
  { name: 'sk_lookup', meaning: 'Chooses the socket for a new connection or datagram.' },
  { name: 'sk_reuseport', meaning: 'Chooses one of the sockets that share a port.' },
  { name: 'flow_dissector', meaning: "Takes a packet's headers apart in place of the kernel." },
  { name: 'netfilter', meaning: 'Called at a netfilter hook (6.4).' },
  { name: 'lwt_in', meaning: 'Lightweight tunnel: packets routed in.' },
  { name: 'lwt_out', meaning: 'Lightweight tunnel: packets routed out.' },
  { name: 'lwt_xmit', meaning: 'Lightweight tunnel: packets about to be transmitted.' },
  { name: 'struct_ops/', meaning: 'Implements a function of a kernel interface such as tcp_congestion_ops.' },
  { name: 'freplace/', meaning: 'Replaces a function of a program that is loaded already.' },
  { name: 'syscall', meaning: 'Called only by BPF_PROG_TEST_RUN; may make bpf system calls.' },
  { name: '.maps', meaning: 'Map definitions.' },
  { name: 'license', meaning: 'The license of the programs; some helpers are for GPL-compatible ones only.' },
];

/** The entry for a section as written: the longest name it begins with. `.s` after the type means: may sleep. */
export function sectionOf(written: string): Section | undefined {
  const plain = written.replace(/^\?/, '').replace(/^(\w+)\.s(\/|$)/, '$1$2');
  return sections
    .filter(
      ({ name }) =>
        plain === name || plain === name.replace(/\/$/, '') || (name.endsWith('/') && plain.startsWith(name)),
    )
    .sort((a, b) => b.name.length - a.name.length)[0];
}
