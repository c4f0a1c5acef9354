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

/** The kernel's categories that an id of ours may fall into: the kernel has seven, the catalogue ten times as many. */
export const categories: Record<string, Category[]> = {
  'bpf/packet-bounds': ['Memory Safety'],
  'bpf/map-bounds': ['Memory Safety'],
  'bpf/memory-bounds': ['Memory Safety'],
  'bpf/index-negative': ['Memory Safety', 'Register Type Safety'],
  'bpf/index-unbounded': ['Memory Safety', 'Register Type Safety'],
  'bpf/size-negative': ['Memory Safety', 'Call Type Safety'],
  'bpf/size-unbounded': ['Memory Safety', 'Call Type Safety'],
  'bpf/size-zero': ['Memory Safety', 'Call Type Safety'],
  'bpf/stack-size': ['Memory Safety', 'Program Structure'],
  'bpf/stack-bounds': ['Memory Safety'],
  'bpf/stack-uninitialised': ['Memory Safety', 'Register Type Safety'],
  'bpf/misaligned': ['Memory Safety'],
  'bpf/null-deref': ['Register Type Safety'],
  'bpf/scalar-pointer': ['Register Type Safety'],
  'bpf/use-after-release': ['Register Type Safety'],
  'bpf/user-pointer': ['Register Type Safety', 'Memory Safety'],
  'bpf/wrong-pointer': ['Register Type Safety', 'Memory Safety'],
  'bpf/struct-access': ['Register Type Safety', 'Memory Safety'],
  'bpf/context-access': ['Register Type Safety', 'Memory Safety', 'Policy'],
  'bpf/read-only': ['Memory Safety', 'Register Type Safety', 'Policy'],
  'bpf/atomic': ['Memory Safety', 'Register Type Safety'],
  'bpf/pointer-arithmetic': ['Register Type Safety'],
  'bpf/pointer-leak': ['Register Type Safety', 'Policy'],
  'bpf/uninitialised': ['Register Type Safety'],
  'bpf/return-value': ['Register Type Safety', 'Policy', 'Call Type Safety'],
  'bpf/null-argument': ['Call Type Safety'],
  'bpf/helper-argument': ['Call Type Safety'],
  'bpf/kfunc-argument': ['Call Type Safety'],
  'bpf/untrusted-pointer': ['Call Type Safety', 'Execution Context Safety'],
  'bpf/reference-not-held': ['Call Type Safety', 'Resource Lifetime Safety'],
  'bpf/subprogram': ['Call Type Safety', 'Program Structure'],
  'bpf/unreleased-reference': ['Resource Lifetime Safety'],
  'bpf/lock': ['Resource Lifetime Safety', 'Execution Context Safety'],
  'bpf/irq': ['Resource Lifetime Safety', 'Execution Context Safety'],
  'bpf/dynptr': ['Resource Lifetime Safety', 'Call Type Safety', 'Memory Safety'],
  'bpf/iterator': ['Resource Lifetime Safety', 'Call Type Safety'],
  'bpf/graph': ['Call Type Safety', 'Resource Lifetime Safety', 'Execution Context Safety'],
  'bpf/kptr': ['Memory Safety', 'Call Type Safety'],
  'bpf/timer': ['Call Type Safety'],
  'bpf/rcu': ['Execution Context Safety'],
  'bpf/preempt': ['Execution Context Safety'],
  'bpf/sleepable': ['Execution Context Safety'],
  'bpf/exception': ['Program Structure', 'Execution Context Safety', 'Resource Lifetime Safety'],
  'bpf/helper-not-allowed': ['Policy', 'Call Type Safety'],
  'bpf/unknown-helper': ['Policy', 'Call Type Safety', 'Program Structure'],
  'bpf/kfunc-not-allowed': ['Policy'],
  'bpf/license': ['Policy'],
  'bpf/permission': ['Policy'],
  'bpf/infinite-loop': ['Program Structure'],
  'bpf/complexity': ['Program Structure'],
  'bpf/unreachable': ['Program Structure'],
  'bpf/instruction': ['Program Structure'],
  'bpf/recursion': ['Program Structure'],
  'bpf/tail-call': ['Program Structure', 'Policy'],
  'bpf/callback': ['Call Type Safety', 'Program Structure'],
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
