/** Where the vmlinux.h comes from that a source is compiled with when its project has none. */
import os from 'node:os';
import type { MatrixKernel } from '../kernel-matrix/choose';
import type { OpenedKernel } from '../kernel/client/open';
import {
  imageVmlinuxDirectory,
  machineVmlinuxDirectory,
  vmlinuxDirectory,
} from '../kernel/client/vmlinux-header';
import type { VmKernel } from '../kernel/targets/vm/kernels';
import { cacheDirectory } from '../toolchain/clang/flags';
import type { Problem } from '../toolchain/problem';

export interface HeaderSource {
  /** `uname -m` of the target. */
  machine: string;
  /** A directory with the header, and whose types they are; undefined when there is none. */
  directory(): Promise<GeneratedHeader | undefined>;
}

export interface GeneratedHeader {
  path: string;
  /** `uname -r` of the kernel. */
  release: string;
}

/** The types of the session's kernel, or this machine's when there is no session. */
export async function headersOf(session: Promise<OpenedKernel | Problem>): Promise<HeaderSource> {
  const opened = await session;
  if (!('client' in opened)) return { machine: os.machine(), directory: machineHeader };
  const { machine, release } = opened.client.hello.kernel;
  const directory = async (): Promise<GeneratedHeader | undefined> => {
    const path = await vmlinuxDirectory(opened.client, cacheDirectory());
    return path === undefined ? undefined : { path, release };
  };
  return { machine, directory };
}

/** The types of the newest of several kernels that are not running yet and whose types can be read. */
export function headersOfNewest(kernels: readonly MatrixKernel[]): HeaderSource {
  const newestFirst = [...kernels].reverse();
  const directory = async (): Promise<GeneratedHeader | undefined> => {
    for (const { image } of newestFirst) {
      const header = image ? await imageHeader(image) : await machineHeader();
      if (header) return header;
    }
    return machineHeader();
  };
  return { machine: os.machine(), directory };
}

/** The types of the kernel that runs here; its BTF is open to everybody. */
async function machineHeader(): Promise<GeneratedHeader | undefined> {
  try {
    return { path: await machineVmlinuxDirectory(__dirname, cacheDirectory()), release: os.release() };
  } catch (error) {
    // Not worth more words than clang's own, that it has no vmlinux.h.
    return verbose((error as Error).message);
  }
}

/** The types of a VM's kernel, from its image. */
async function imageHeader(image: VmKernel): Promise<GeneratedHeader | undefined> {
  const { bootableImage } = await import('../kernel/targets/vm/image');
  const { buildOf } = await import('../kernel/targets/vm/kernels');
  const build = buildOf(image);
  const unpacked = await bootableImage(image.image);
  if ('problem' in unpacked || build === undefined) return undefined;
  const { release } = image;
  const identity = { release, machine: os.machine(), build };
  try {
    const path = await imageVmlinuxDirectory(__dirname, cacheDirectory(), identity, unpacked.file);
    return { path, release };
  } catch (error) {
    return verbose((error as Error).message);
  }
}

function verbose(line: string): undefined {
  if (process.env.BPF_STUDIO_VERBOSE) process.stderr.write(`${line}\n`);
}
