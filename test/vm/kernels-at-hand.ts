/** For tests: kernels that `node scripts/kernels.mjs VERSION…` brought into the cache. */
import { findKernels, kernelCache, type VmKernel } from '../../kernel/targets/vm/kernels';

/** The newest usable kernel of a version such as `6.12`, or the words that tell how to get it. */
export function kernelAtHand(version: string): VmKernel | string {
  const kernel = findKernels([kernelCache()]).find(
    ({ usable, release }) => usable.ok && new RegExp(`^${version.replace('.', '\\.')}\\D`).test(release),
  );
  return kernel ?? `no Linux ${version} in ${kernelCache()}: node scripts/kernels.mjs ${version}`;
}
