/** Gathers what toolchain/environment judges: tools and files of this machine, abilities of the kernel in use. */
import { findKernels, fetchHint } from '../../kernel/targets/vm/kernels';
import type { TargetProblem } from '../../kernel/targets/target';
import { locateQemu } from '../../kernel/targets/vm/qemu';
import { findClang, forgetClang } from '../../toolchain/clang/discover';
import type { EnvironmentFacts, KernelFacts } from '../../toolchain/environment/environment';
import { gatherFacts as gatherMachineFacts } from '../../toolchain/environment/facts';
import type { Services } from '../services';
import { readSettings } from '../settings';
import { isProblem, type RunningKernel } from '../window-kernel/kernel';

/** Facts about this machine and about `kernel`, the one in use or why there is none. */
export async function gatherFacts(
  kernel: RunningKernel | TargetProblem,
  services: Services,
): Promise<EnvironmentFacts> {
  const qemu = locateQemu(readSettings().qemu.path);
  return gatherMachineFacts({
    kernel: kernelFacts(kernel),
    clang: await clangFacts(),
    qemu: typeof qemu === 'string' ? { path: qemu } : { problem: qemu.message },
    vmKernels: vmKernelFacts(),
    headerDirectories: [services.installed('dist/include'), '/usr/include', '/usr/local/include'],
  });
}

function kernelFacts(kernel: RunningKernel | TargetProblem): KernelFacts {
  if (isProblem(kernel)) return { problem: kernel.message, hint: kernel.hint };
  const { label, client } = kernel;
  const { capabilities, kernel: identity } = client.hello;
  return { label, release: identity.release, local: label === 'this machine', ...capabilities };
}

/** Looks anew each time: the user may have installed one since. */
async function clangFacts(): Promise<EnvironmentFacts['clang']> {
  forgetClang();
  const found = await findClang(readSettings().clang.path);
  return 'problem' in found ? { problem: found.problem.message } : found.clang;
}

function vmKernelFacts(): EnvironmentFacts['vmKernels'] {
  const found = findKernels();
  const usable = found.filter((kernel) => kernel.usable.ok);
  if (usable.length > 0) return { releases: usable.map(({ release }) => release) };
  const reasons = found.map(({ usable: why }) => (why.ok ? '' : why.reason)).join('; ');
  return { problem: reasons || 'no kernel image was found', hint: fetchHint };
}
