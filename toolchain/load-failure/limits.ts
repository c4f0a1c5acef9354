/** What a kernel refuses because of how it was started or who asks, not because of what the program does. */
import type { LoadFinding } from './finding';
import type { FailedLoad } from './load-failure';
import { kernelName, type TargetFacts } from './target';

/** Types whose helpers are those of tracing programs (kernel/trace/bpf_trace.c, `bpf_tracing_func_proto`). */
const TRACING = /^(?:kprobe|(?:raw_)?tracepoint(?:_writable)?|perf_event|tracing|lsm)$/;

/**
 * Helpers that every tracing program may call, unless the kernel was locked down: then the kernel answers as if the
 * type of program had none of them (LOCKDOWN_BPF_READ_KERNEL, LOCKDOWN_BPF_WRITE_USER in security.h).
 */
export function explainLockdown({ lines, type }: FailedLoad): LoadFinding | undefined {
  if (!TRACING.test(type)) return undefined;
  for (const line of lines) {
    const helper =
      /^(?:unknown func|program of this type cannot use helper) (bpf_probe_(?:read(?:_kernel)?(?:_str)?|write_user))#\d+/.exec(
        line,
      )?.[1];
    if (helper === undefined) continue;
    const isRead = helper !== 'bpf_probe_write_user';
    return {
      id: 'bpf/lockdown',
      message: isRead
        ? `This kernel is locked down for confidentiality, so no BPF program may read its memory with \`${helper}\``
        : `This kernel is locked down, or the process has no CAP_SYS_ADMIN, so no BPF program may write with \`${helper}\``,
      help: 'The program is not at fault: see `cat /sys/kernel/security/lockdown`, which Secure Boot or lockdown= on the kernel\u2019s command line sets until the next start. A kernel in a VM is not locked down ("BPF: Select Kernel", --target vm). Arguments that BTF types (fentry, tp_btf) are read without a helper.',
    };
  }
  return undefined;
}

/** `BPF_COMPLEXITY_LIMIT_INSNS` and `BPF_MAXINSNS` of include/linux/bpf.h and linux/bpf_common.h. */
const MOST_INSTRUCTIONS = 1_000_000;
const MOST_WITHOUT_PRIVILEGE = 4096;

/** E2BIG without a word of the verifier: more instructions than the kernel takes from whoever loads them. */
export function explainSize(
  { name, errno, insnCount = 0, instruction, assembly = '' }: FailedLoad,
  target: TargetFacts | undefined,
): LoadFinding | undefined {
  if (errno !== 'E2BIG' || instruction !== undefined || assembly !== '') return undefined;
  const isPrivileged = target?.mayLoad !== false;
  const limit = isPrivileged ? MOST_INSTRUCTIONS : MOST_WITHOUT_PRIVILEGE;
  if (insnCount <= limit) return undefined;
  const of = isPrivileged ? '' : ' of somebody without CAP_BPF';
  return {
    id: 'bpf/program-size',
    message: `${name} has ${insnCount.toLocaleString('en-US')} instructions, and ${kernelName(target)} takes programs${of} of at most ${limit.toLocaleString('en-US')}`,
    help: isPrivileged
      ? 'Look for a loop that #pragma unroll or the compiler unrolled, or for large functions that are inlined at many places; split the program with tail calls.'
      : 'Load it with CAP_BPF, or on a kernel in a VM ("BPF: Select Kernel", --target vm).',
    places: [{ kind: 'program', name }],
  };
}
