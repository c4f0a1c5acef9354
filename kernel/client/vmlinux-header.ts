/** The kernel's types as a header for clang, written once for each build of a kernel. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { KernelClient } from './client';

const underWay = new Map<string, Promise<string>>();

/**
 * A directory below `cache` that holds the `vmlinux.h` of the client's kernel. Undefined when that kernel has no
 * BTF, so that clang says of the file itself what is missing. Rejects with a KernelError when the host fails.
 */
export async function vmlinuxDirectory(client: KernelClient, cache: string): Promise<string | undefined> {
  const { kernel, capabilities } = client.hello;
  if (!capabilities.btf.ok) return undefined;
  return inCache(cache, kernel, async () => (await client.request('vmlinuxHeader', {})).text);
}

/**
 * The same for the kernel that runs on this machine, without a session: its BTF is open to everybody. For clang's
 * findings while no kernel can be asked for a verdict. Rejects when there is no BTF, or no addon that reads it.
 */
export async function machineVmlinuxDirectory(distDirectory: string, cache: string): Promise<string> {
  const kernel = { release: os.release(), machine: os.machine(), build: os.version() };
  return inCache(cache, kernel, () => headerWithoutSession(distDirectory));
}

/**
 * The same from a kernel's unpacked image, which takes this machine less than a guest that is emulated.
 * `build` is its `uname -v`. Rejects when the image has no BTF.
 */
export async function imageVmlinuxDirectory(
  distDirectory: string,
  cache: string,
  kernel: { release: string; machine: string; build: string },
  vmlinux: string,
): Promise<string> {
  return inCache(cache, kernel, () => headerWithoutSession(distDirectory, vmlinux));
}

/** Reading BTF takes no privileges, but the addon, which only the kernel host loads. */
async function headerWithoutSession(distDirectory: string, ...vmlinux: string[]): Promise<string> {
  const args = [path.join(distDirectory, 'kernel-host.js'), '--vmlinux-header', ...vmlinux];
  const env = { ...process.env, ELECTRON_RUN_AS_NODE: '1' };
  const { stdout } = await promisify(execFile)(process.execPath, args, {
    env,
    maxBuffer: LARGEST_HEADER_BYTES,
  });
  return stdout;
}

/** Kernels' headers take 3 to 5 MB. */
const LARGEST_HEADER_BYTES = 64 << 20;

async function inCache(
  cache: string,
  kernel: { release: string; machine: string; build: string },
  make: () => Promise<string>,
): Promise<string> {
  // Two builds may carry the same release; `uname -v` tells them apart.
  const build = createHash('sha256').update(kernel.build).digest('hex').slice(0, 12);
  const directory = path.join(cache, 'vmlinux', `${kernel.release}-${kernel.machine}-${build}`);
  const written = await stat(path.join(directory, 'vmlinux.h')).catch(() => undefined);
  if (written && written.size > 0) return directory;
  let making = underWay.get(directory);
  if (!making) {
    making = write(directory, make).finally(() => underWay.delete(directory));
    underWay.set(directory, making);
  }
  return making;
}

async function write(directory: string, make: () => Promise<string>): Promise<string> {
  const text = await make();
  await mkdir(directory, { recursive: true });
  // Several processes may write the same header; whoever is last puts a whole one in place.
  const partial = path.join(directory, `vmlinux.h.${process.pid}.part`);
  await writeFile(partial, text);
  await rename(partial, path.join(directory, 'vmlinux.h'));
  return directory;
}
