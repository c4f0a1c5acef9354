/** `bpf-studio kernels`: what `--target vm` can start. */
import { fetchKernel } from '../kernel/targets/vm/fetch';
import { defaultKernel, fetchHint, findKernels, inspectKernel } from '../kernel/targets/vm/kernels';
import type { Command } from './command';
import type { ExitStatus, Io } from './io';
import { table } from './table';

export const command: Command = {
  help: `bpf-studio kernels [PATH…]
bpf-studio kernels fetch [VERSION]…

Lists the kernel images that --target vm can run, newest first, and those it cannot, with the reason. The one marked *
is what --target vm means. Without PATH: /boot, the modules' directories, and the cache of fetched kernels.

\`fetch\` downloads the distribution's kernel package into the user's cache, without root and without installing it.

  PATH      an image (vmlinuz), or a directory that holds some
  VERSION   5.10, 6.12 …; without it the distribution's own

  bpf-studio kernels fetch 6.1 6.12`,
  options: {},
  async run(args, io) {
    const [action, ...versions] = args.positionals;
    if (action === 'fetch') return fetch(versions, io);
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

async function fetch(versions: string[], io: Io): Promise<ExitStatus> {
  let status: ExitStatus = 0;
  for (const version of versions.length > 0 ? versions : [undefined]) {
    const result = await fetchKernel(version, {
      log: (line) => io.err(`bpf-studio: ${line}\n`),
      signal: io.interrupted,
    });
    if ('image' in result) {
      if (io.json) io.outJson(result);
      else io.out(`${result.image}\n`);
      if (result.usable.ok) continue;
      io.problem({ code: 'kernel/noKernel', message: `${result.usable.reason}.`, hint: result.usable.fix });
    } else {
      io.problem({ code: 'kernel/fetch', message: result.message, hint: result.hint });
    }
    status = 2;
  }
  return status;
}
