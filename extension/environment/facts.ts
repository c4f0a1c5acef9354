/** Gathers what toolchain/environment judges: tools and files of this machine, abilities of the kernel in use. */
import { findKernels, fetchHint } from '../../kernel/targets/vm/kernels';
import { findQemu, noQemu } from '../../kernel/targets/vm/qemu';
import { findClang, forgetClang } from '../../toolchain/clang/discover';
import type { EnvironmentFacts, KernelFacts } from '../../toolchain/environment/environment';
import { gatherFacts as gatherMachineFacts } from '../../toolchain/environment/facts';
import type { Services } from '../services';
import { readSettings } from '../settings';
import { isProblem } from '../window-kernel/kernel';

export async function gatherFacts(services: Services): Promise<EnvironmentFacts> {
  const qemu = findQemu();
  const [kernel, clang] = await Promise.all([kernelFacts(services), clangFacts()]);
  return gatherMachineFacts({
    kernel,
    clang,
    qemu: qemu === undefined ? { problem: noQemu.message } : { path: qemu },
    vmKernels: vmKernelFacts(),
    headerDirectories: [services.installed('dist/include'), '/usr/include', '/usr/local/include'],
  });
}

async function kernelFacts({ kernel }: Services): Promise<KernelFacts> {
  const started = await kernel.ensure();
  if (isProblem(started)) return { problem: started.message, hint: started.hint };
  const { label, client } = started;
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
