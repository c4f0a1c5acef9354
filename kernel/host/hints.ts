/** What a user can do about an errno, by the operation that failed with it. */

interface Hint {
  operation: RegExp;
  errno: string;
  /** Further condition on libbpf's warnings. */
  log?: RegExp;
  hint: string;
}

const hints: Hint[] = [
  {
    operation: /./,
    errno: 'EPERM',
    log: /consider raising RLIMIT_MEMLOCK/,
    hint: 'Kernels before 5.11 charge BPF memory to RLIMIT_MEMLOCK: raise it with `ulimit -l unlimited` before the host starts.',
  },
  {
    operation: /^(BPF_PROG_LOAD|bpf_object__(load|prepare))$/,
    errno: 'EPERM',
    hint: 'Loading needs root or CAP_BPF with CAP_PERFMON (tracing) or CAP_NET_ADMIN (networking). With them, a security policy of this kernel (lockdown, an LSM, a container) refuses this program type: choose a VM kernel with "BPF: Select Kernel" in the editor, --target vm in a terminal.',
  },
  {
    operation: /network namespace/,
    errno: 'ENOENT',
    hint: 'List the namespaces with `ip netns list`; a process has one at /proc/PID/ns/net.',
  },
  {
    operation: /./,
    errno: 'ENOMEM',
    hint: 'The kernel has no memory for it: reduce max_entries of large maps, or free memory.',
  },
  {
    operation: /MAP_CREATE/,
    errno: 'E2BIG',
    hint: 'The map is larger than this kernel allows: reduce max_entries or the value size.',
  },
  {
    operation: /./,
    errno: 'EOWNERDEAD',
    hint: '`sudo dmesg` shows where the kernel faulted. Restart the machine before you trust that kernel again, and choose a newer one, or one in a VM: "BPF: Select Kernel" in the editor, --target vm in a terminal.',
  },
];

/** The first hint that applies. */
export function hintFor(operation: string, errno: string, libbpfLog: string): string | undefined {
  return hints.find(
    (entry) =>
      entry.errno === errno && entry.operation.test(operation) && (!entry.log || entry.log.test(libbpfLog)),
  )?.hint;
}
