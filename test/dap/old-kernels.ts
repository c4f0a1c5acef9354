/** What the kernel that BPF_STUDIO_TEST_TARGET names is too old for; this machine's is too old for nothing. */
import { getCurrentTest } from 'vitest/suite';
import { parseTarget } from '../../kernel/targets/target';
import { inspectKernel } from '../../kernel/targets/vm/kernels';

/** `major * 100 + minor` of the first kernel that takes a fixture's programs, and what they need of it. */
const FIXTURES: Record<string, { since: number; for: string }> = {
  'steps.bpf.c': { since: 517, for: 'bpf_loop' },
  'long.bpf.c': { since: 517, for: 'bpf_loop' },
  'many.bpf.c': { since: 517, for: 'bpf_loop' },
  'outcomes.bpf.c': { since: 513, for: 'bpf_for_each_map_elem' },
  'endings_tc.bpf.c': { since: 607, for: 'bpf_throw' },
};

function versionOfTarget(): number {
  const target = parseTarget(process.env.BPF_STUDIO_TEST_TARGET ?? 'local');
  if ('problem' in target || target.kind === 'local' || target.kernel === undefined) return Infinity;
  const [major = 0, minor = 0] = inspectKernel(target.kernel, true).release.split('.').map(Number);
  return major * 100 + minor;
}
const version = versionOfTarget();

/** Snapshots and the flight recorder; what is said without is in hooks.test.ts. */
export const needsLive = () => needsKernel(512, 'atomics that return a value');

/** Skips the present test, and says why, where the kernel is older than what it needs. */
export function needsKernel(since: number, what: string): void {
  if (version >= since) return;
  const reason = `not run on Linux ${Math.floor(version / 100)}.${version % 100}: ${what} came with ${Math.floor(since / 100)}.${since % 100}`;
  console.log(reason);
  getCurrentTest()?.context.skip(reason);
}

/** The same for a test that is about a fixture. */
export function needsKernelFor(fixture: string): void {
  const need = FIXTURES[fixture];
  if (need && getCurrentTest()) needsKernel(need.since, need.for);
}
