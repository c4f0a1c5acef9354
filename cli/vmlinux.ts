/** `bpf-studio vmlinux`: the kernel's types as C. */
import { writeFile } from 'node:fs/promises';
import { targetOption, text, usage, type Command } from './command';
import { withKernel } from './kernel';

export const command: Command = {
  help: `bpf-studio vmlinux [-o FILE] [--target TARGET]

Writes the types of the kernel as vmlinux.h, from its BTF, to standard output or FILE.

  -o, --output FILE   write here instead
  -t, --target        local, vm, vm:PATH-TO-VMLINUZ

  bpf-studio vmlinux > vmlinux.h
  bpf-studio vmlinux --target vm:/boot/vmlinuz-6.1.0-50-amd64 -o vmlinux.h`,
  options: { ...targetOption, output: { type: 'string', short: 'o' } },
  async run(args, io) {
    if (args.positionals.length > 0) {
      io.problem(usage('vmlinux', `vmlinux takes no argument ${args.positionals[0]}`).problem);
      return 2;
    }
    return withKernel(args, io, async ({ client }) => {
      const { text: header } = await client.request('vmlinuxHeader', {}, { signal: io.interrupted });
      const file = text(args, 'output');
      if (file === undefined) {
        io.out(header);
        return 0;
      }
      try {
        await writeFile(file, header);
      } catch (error) {
        io.problem({
          code: 'cli/write',
          message: `${file} could not be written: ${(error as Error).message}`,
          hint: 'Name another file with -o.',
        });
        return 2;
      }
      if (io.json)
        io.outJson({ file, bytes: Buffer.byteLength(header), kernel: client.hello.kernel.release });
      return 0;
    });
  },
};
