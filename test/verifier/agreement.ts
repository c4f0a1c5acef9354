/**
 * Whether our explanation, made from an older kernel's log alone, says the same as the report that Linux 7.3 and later
 * make themselves.
 */
import type { KernelReport } from '../../toolchain/verifier/path';
import type { Failure } from '../../toolchain/verifier/report';

/** Categories of kernel/bpf/diagnostics.c. */
export type Category =
  | 'Register Type Safety'
  | 'Memory Safety'
  | 'Resource Lifetime Safety'
  | 'Call Type Safety'
  | 'Execution Context Safety'
  | 'Program Structure'
  | 'Policy';

/**
 * The kernel's category of an id. Where there are two the kernel itself divides what is one subject to a programmer: it
 * counts an unbounded index at the addition to a register's type and at the access to memory, a lock at its release to a
 * resource and at a call inside to the context. Ids that are not here have no reports.
 */
export const categories: Record<string, Category[]> = {
  'bpf/packet-bounds': ['Memory Safety'],
  'bpf/map-bounds': ['Memory Safety'],
  'bpf/memory-bounds': ['Memory Safety'],
  'bpf/stack-bounds': ['Memory Safety'],
  'bpf/stack-uninitialised': ['Memory Safety'],
  'bpf/index-negative': ['Memory Safety', 'Register Type Safety'],
  'bpf/index-unbounded': ['Memory Safety', 'Register Type Safety'],
  'bpf/null-deref': ['Register Type Safety'],
  'bpf/scalar-pointer': ['Register Type Safety'],
  'bpf/use-after-release': ['Register Type Safety'],
  'bpf/wrong-pointer': ['Register Type Safety'],
  'bpf/context-access': ['Register Type Safety'],
  'bpf/pointer-arithmetic': ['Register Type Safety'],
  'bpf/uninitialised': ['Register Type Safety'],
  'bpf/null-argument': ['Call Type Safety'],
  'bpf/helper-argument': ['Call Type Safety'],
  'bpf/kfunc-argument': ['Call Type Safety'],
  'bpf/untrusted-pointer': ['Call Type Safety'],
  'bpf/reference-not-held': ['Call Type Safety'],
  'bpf/graph': ['Call Type Safety'],
  'bpf/timer': ['Call Type Safety'],
  'bpf/unreleased-reference': ['Resource Lifetime Safety'],
  'bpf/dynptr': ['Resource Lifetime Safety', 'Call Type Safety'],
  'bpf/iterator': ['Resource Lifetime Safety', 'Call Type Safety'],
  'bpf/lock': ['Resource Lifetime Safety', 'Execution Context Safety'],
  'bpf/irq': ['Resource Lifetime Safety', 'Execution Context Safety'],
  'bpf/rcu': ['Execution Context Safety'],
  'bpf/preempt': ['Execution Context Safety'],
  'bpf/sleepable': ['Execution Context Safety'],
  'bpf/helper-not-allowed': ['Policy'],
  'bpf/kfunc-not-allowed': ['Policy'],
  'bpf/license': ['Policy'],
  'bpf/permission': ['Policy'],
  'bpf/infinite-loop': ['Program Structure'],
  'bpf/unreachable': ['Program Structure'],
  'bpf/recursion': ['Program Structure'],
};

export interface Comparison {
  name: string;
  id: string;
  category: string;
  ours: string;
  theirs: string;
  sameCategory: boolean;
  samePlace: boolean;
}

/** Compares an explanation with the kernel's report on the same program. Files by name, lines one-based. */
export function compare(name: string, failure: Failure, report: KernelReport): Comparison {
  const place = (file: string, line: number) => `${file.slice(file.lastIndexOf('/') + 1)}:${line}`;
  const ours = failure.at ? place(failure.at.path, failure.at.range.start.line + 1) : 'no place';
  const theirs = report.at ? place(report.at.file, report.at.line) : 'no place';
  return {
    name,
    id: failure.id,
    category: report.category,
    ours,
    theirs,
    sameCategory: (categories[failure.id] ?? []).some((one) => one === report.category),
    // Objects without line information have only instructions, which differ between kernels.
    samePlace: !report.at || ours === theirs,
  };
}
