/** Gathers what this machine says of itself without asking its kernel to do anything. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { EnvironmentFacts } from './environment';
import { parseOsRelease } from './packages';

/** Facts about this machine; the caller, who knows how, adds clang, the kernel, QEMU and the kernels for it. */
export function gatherFacts(
  given: Pick<EnvironmentFacts, 'clang' | 'kernel' | 'qemu' | 'vmKernels' | 'nodeVersion'> & {
    /** Directories where `bpf/bpf_helpers.h` may lie, the best first. */
    headerDirectories: string[];
  },
): EnvironmentFacts {
  const { headerDirectories, ...facts } = given;
  return {
    ...facts,
    distribution: parseOsRelease(readIfThere('/etc/os-release')),
    isRoot: process.geteuid?.() === 0,
    libbpfHeaders:
      headerDirectories.find((directory) => existsSync(path.join(directory, 'bpf/bpf_helpers.h'))) ?? null,
    mountedTypes: mountedTypes(readIfThere('/proc/self/mounts')),
  };
}

/** Third column of proc_pid_mounts(5). */
function mountedTypes(mounts: string): string[] {
  return [...new Set(mounts.split('\n').flatMap((line) => line.split(' ')[2] ?? []))];
}

function readIfThere(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}
