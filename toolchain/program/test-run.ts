/**
 * Which program types BPF_PROG_TEST_RUN takes, since when, and with what inputs: from the kernel's
 * Documentation/bpf/bpf_prog_run.rst and net/bpf/test_run.c.
 */
import type { Framing } from '../packet/link-type';
import { layouts, type ContextLayout } from './context-layouts';

export interface TestRunSupport {
  /** First kernel that can run this type. */
  since: string;
  /** What the packet begins with; absent: the type takes no packet. */
  packet?: Framing;
  /** Fewest bytes that the kernel takes as a packet. */
  minimumPacket?: number;
  context?: ContextLayout;
  /** The context is a structure of the program's own (syscall programs). */
  ownContext?: boolean;
  contextRequired?: boolean;
  repeat: boolean;
  /** Whether the kernel can be told which CPU to run on. */
  cpu: boolean;
  /** What comes back as data: the packet, flow keys, or nothing. */
  output: 'packet' | 'flowKeys' | 'none';
  /** The kernel fills the Ethernet header of the output with zeros, because the program never saw one. */
  zeroedEthernet?: boolean;
  /** Context comes back as the program left it. */
  contextOutput: boolean;
}

const skb: TestRunSupport = {
  since: '4.12',
  packet: 'ethernet',
  minimumPacket: 14,
  context: layouts.skBuff,
  repeat: true,
  cpu: false,
  output: 'packet',
  contextOutput: true,
};
/** Programs that run above the link layer are given an Ethernet frame all the same. */
const networkLayer: TestRunSupport = { ...skb, zeroedEthernet: true };

const SUPPORT: Record<string, TestRunSupport> = {
  socket_filter: networkLayer,
  sched_cls: skb,
  sched_act: skb,
  cgroup_skb: networkLayer,
  lwt_in: networkLayer,
  lwt_out: networkLayer,
  lwt_xmit: networkLayer,
  lwt_seg6local: { ...networkLayer, since: '4.18' },
  xdp: { ...skb, context: layouts.xdpMd },
  flow_dissector: {
    since: '5.1',
    packet: 'ethernet',
    minimumPacket: 14,
    context: layouts.flowKeys,
    repeat: true,
    cpu: false,
    output: 'flowKeys',
    contextOutput: false,
  },
  raw_tracepoint: {
    since: '5.10',
    context: layouts.rawTracepoint,
    repeat: false,
    cpu: true,
    output: 'none',
    contextOutput: false,
  },
  sk_lookup: {
    since: '5.13',
    context: layouts.skLookup,
    contextRequired: true,
    repeat: true,
    cpu: false,
    output: 'none',
    contextOutput: true,
  },
  syscall: {
    since: '5.14',
    ownContext: true,
    repeat: false,
    cpu: false,
    output: 'none',
    contextOutput: false,
  },
  netfilter: {
    since: '6.4',
    packet: 'ip',
    minimumPacket: 20,
    context: layouts.nfHookState,
    repeat: true,
    cpu: false,
    output: 'none',
    contextOutput: false,
  },
};

/** Undefined for types that no kernel can test-run: {@link insteadOfTestRun} says what to do with those. */
export function testRunSupport(type: string): TestRunSupport | undefined {
  return SUPPORT[type];
}

/** What to tell somebody who wants to run a program of a type that the kernel cannot test-run. */
export function insteadOfTestRun(type: string): string {
  const why: Record<string, string> = {
    kprobe: 'it runs when the kernel or user function it is attached to is called',
    tracepoint: 'it runs when its tracepoint is reached',
    perf_event: 'it runs when its perf event fires',
    tracing: 'it runs when the kernel function or tracepoint it is attached to is reached',
    lsm: 'it runs when the kernel asks its security hook',
    struct_ops: 'it runs when the kernel calls the operation that it implements',
  };
  const reason = why[type] ?? 'it runs only at its hook';
  return `BPF_PROG_TEST_RUN has no support for programs of type ${type}: ${reason}. Attach it instead ("request": "attach").`;
}
