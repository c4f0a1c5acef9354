/** Where the vmlinux.h comes from that a source is compiled with when its project has none. */
import os from 'node:os';
import type { MatrixKernel } from '../kernel-matrix/choose';
import type { OpenedKernel } from '../kernel/client/open';
import {
  imageVmlinuxDirectory,
  machineVmlinuxDirectory,
  vmlinuxDirectory,
} from '../kernel/client/vmlinux-header';
import { cacheDirectory } from '../toolchain/clang/flags';
import type { Problem } from '../toolchain/problem';

export interface HeaderSource {
  /** `uname -m` of the target. */
  machine: string;
  /** `uname -r` of the kernel whose types they are; absent when none is chosen. */
  release?: string;
  /** A directory with the header; undefined when there is none. */
  directory(): Promise<string | undefined>;
}

/** The types of the session's kernel, or this machine's when there is no session. */
export async function headersOf(session: Promise<OpenedKernel | Problem>): Promise<HeaderSource> {
  const opened = await session;
  const cache = cacheDirectory();
  if ('client' in opened) {
    const { machine, release } = opened.client.hello.kernel;
    return { machine, release, directory: () => vmlinuxDirectory(opened.client, cache) };
  }
  return machineHeaders();
}

/** The types of the kernel that runs here; its BTF is open to everybody. */
export function machineHeaders(): HeaderSource {
  return {
    machine: os.machine(),
    release: os.release(),
    // Not worth more words than clang's own, that it has no vmlinux.h.
    directory: () =>
      machineVmlinuxDirectory(__dirname, cacheDirectory()).catch((error: Error) => verbose(error.message)),
  };
}

/** The types of a kernel that is not running yet, read from its image; this machine's when that cannot be. */
export async function headersOfImage({ image, release }: MatrixKernel): Promise<HeaderSource> {
  if (!image) return machineHeaders();
  const { bootableImage } = await import('../kernel/targets/vm/image');
  const { buildOf } = await import('../kernel/targets/vm/kernels');
  const build = buildOf(image);
  const machine = os.machine();
  const directory = async (): Promise<string | undefined> => {
    const unpacked = await bootableImage(image.image);
    if ('problem' in unpacked || build === undefined) return undefined;
    const identity = { release, machine, build };
    return imageVmlinuxDirectory(__dirname, cacheDirectory(), identity, unpacked.file).catch((error: Error) =>
      verbose(error.message),
    );
  };
  return { machine, release, directory };
}

function verbose(line: string): undefined {
  if (process.env.BPF_STUDIO_VERBOSE) process.stderr.write(`${line}\n`);
}
