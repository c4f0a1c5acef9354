/** `bpf-studio kernels`: what `--target vm` can start. */
import { defaultKernel, fetchHint, findKernels, inspectKernel } from '../kernel/targets/vm/kernels';
import type { Command } from './command';
import { table } from './table';

export const command: Command = {
  help: `bpf-studio kernels [PATH…]

Lists the kernel images that --target vm can run, newest first, and those it cannot, with the reason. The one marked *
is what --target vm means. Without PATH: /boot, the modules' directories, and the cache of fetched kernels.

  PATH   an image (vmlinuz), or a directory that holds some`,
  options: {},
  async run(args, io) {
    const paths = args.positionals;
    const kernels = paths.length > 0 ? findKernels(paths) : findKernels();
    // A file that the user named is looked at even if nothing about its name says kernel.
    if (kernels.length === 0) kernels.push(...paths.map((file) => inspectKernel(file, true)));
    const chosen = paths.length === 0 ? defaultKernel(kernels) : undefined;
    if (io.json) {
      for (const kernel of kernels) io.outJson({ ...kernel, default: kernel === chosen });
    } else if (kernels.length > 0) {
      io.out(
        table(
          ['', 'release', 'image', ''],
          kernels.map((kernel) => [
            kernel === chosen ? '*' : '',
            kernel.release || '?',
            kernel.image,
            kernel.usable.ok ? '' : kernel.usable.reason,
          ]),
        ),
      );
    }
    if (kernels.some(({ usable }) => usable.ok)) return 0;
    const unusable = kernels.map(({ usable }) => (usable.ok ? '' : usable.fix)).find((fix) => fix !== '');
    io.problem({
      code: 'kernel/noKernel',
      message:
        kernels.length > 0 ? 'None of these kernels can run in a VM.' : 'There is no kernel image here.',
      hint: unusable ?? fetchHint,
    });
    return 1;
  },
};
