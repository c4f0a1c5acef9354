/** What can be known of the kernel that refused an object. Each part is absent when it could not be asked for. */
import type { Btf } from '../btf/btf';

export interface TargetFacts {
  /** `uname -r`. */
  release: string;
  /** Name in lower case → whether this kernel can load the type, from probes. */
  programTypes?: Readonly<Record<string, boolean>>;
  mapTypes?: Readonly<Record<string, boolean>>;
  /** `CONFIG_…` → value; options that are off are not in it. Absent when the kernel shows no configuration. */
  config?: Readonly<Record<string, string>>;
  /** Whether the process that loads has the capabilities to load at all. */
  mayLoad?: boolean;
  /** The kernel's own types. */
  btf?: Btf;
}

/** `Linux 6.12`, or `This kernel`. */
export function kernelName(target: TargetFacts | undefined): string {
  const version = target && /^\d+\.\d+/.exec(target.release)?.[0];
  return version ? `Linux ${version}` : 'This kernel';
}

/** First Linux release with a program type (names as libbpf writes them), of those newer than 5.4. */
const programTypesSince: Readonly<Record<string, string>> = {
  struct_ops: '5.6',
  ext: '5.6',
  lsm: '5.7',
  sk_lookup: '5.9',
  syscall: '5.14',
  netfilter: '6.4',
};

/** The option that a program type needs besides CONFIG_BPF_SYSCALL. */
const programTypeOptions: Readonly<Record<string, string>> = {
  socket_filter: 'CONFIG_NET',
  sched_cls: 'CONFIG_NET',
  sched_act: 'CONFIG_NET',
  xdp: 'CONFIG_NET',
  kprobe: 'CONFIG_BPF_EVENTS',
  tracepoint: 'CONFIG_BPF_EVENTS',
  perf_event: 'CONFIG_BPF_EVENTS',
  raw_tracepoint: 'CONFIG_BPF_EVENTS',
  tracing: 'CONFIG_DEBUG_INFO_BTF',
  lsm: 'CONFIG_BPF_LSM',
  struct_ops: 'CONFIG_BPF_JIT',
  ext: 'CONFIG_BPF_JIT',
  lirc_mode2: 'CONFIG_BPF_LIRC_MODE2',
  cgroup_skb: 'CONFIG_CGROUP_BPF',
  cgroup_sock: 'CONFIG_CGROUP_BPF',
  cgroup_sock_addr: 'CONFIG_CGROUP_BPF',
  cgroup_device: 'CONFIG_CGROUP_BPF',
  cgroup_sysctl: 'CONFIG_CGROUP_BPF',
  cgroup_sockopt: 'CONFIG_CGROUP_BPF',
  sock_ops: 'CONFIG_CGROUP_BPF',
  netfilter: 'CONFIG_NETFILTER_BPF_LINK',
};

/** Whether the kernel shows its configuration and has the option in it, as `=y` or `=m`. */
export function hasOption(target: TargetFacts, option: string): boolean | undefined {
  return target.config && target.config[option] !== undefined;
}

/** Why a kernel does not know a program type: too old, or built without an option. Undefined when neither is known. */
export function missingProgramType(
  type: string,
  target: TargetFacts,
): { since?: string; option?: string } | undefined {
  const since = programTypesSince[type];
  if (since !== undefined && isOlder(target.release, since)) return { since };
  const option = programTypeOptions[type];
  if (option !== undefined && hasOption(target, option) === false) return { option };
  return undefined;
}

/** Whether a release, e.g. `5.10.0-32-amd64`, is before a version, e.g. `5.12`. */
export function isOlder(release: string, version: string): boolean {
  const number = (text: string): number => {
    const [, major = 0, minor = 0] = /^(\d+)\.(\d+)/.exec(text) ?? [];
    return Number(major) * 1000 + Number(minor);
  };
  return number(release) < number(version);
}

/** First Linux release with a map type, of those newer than 5.4. */
export const mapTypesSince: Readonly<Record<string, string>> = {
  struct_ops: '5.6',
  ringbuf: '5.8',
  inode_storage: '5.10',
  task_storage: '5.11',
  bloom_filter: '5.16',
  user_ringbuf: '6.1',
  cgrp_storage: '6.2',
  arena: '6.9',
  insn_array: '6.19',
};

/** `enum bpf_map_type` in the order of its numbers, in libbpf's words. */
export const mapTypeNames: readonly string[] = [
  'unspec',
  'hash',
  'array',
  'prog_array',
  'perf_event_array',
  'percpu_hash',
  'percpu_array',
  'stack_trace',
  'cgroup_array',
  'lru_hash',
  'lru_percpu_hash',
  'lpm_trie',
  'array_of_maps',
  'hash_of_maps',
  'devmap',
  'sockmap',
  'cpumap',
  'xskmap',
  'sockhash',
  'cgroup_storage',
  'reuseport_sockarray',
  'percpu_cgroup_storage',
  'queue',
  'stack',
  'sk_storage',
  'devmap_hash',
  'struct_ops',
  'ringbuf',
  'inode_storage',
  'task_storage',
  'bloom_filter',
  'user_ringbuf',
  'cgrp_storage',
  'arena',
  'insn_array',
];
