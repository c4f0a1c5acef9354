/** The kernel's types as a header for clang, written once for each build of a kernel. */
import { createHash } from 'node:crypto';
import { mkdir, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { KernelClient } from './client';

const underWay = new Map<string, Promise<string>>();

/**
 * A directory below `cache` that holds the `vmlinux.h` of the client's kernel. Undefined when that kernel has no
 * BTF, so that clang says of the file itself what is missing. Rejects with a KernelError when the host fails.
 */
export async function vmlinuxDirectory(client: KernelClient, cache: string): Promise<string | undefined> {
  const { kernel, capabilities } = client.hello;
  if (!capabilities.btf.ok) return undefined;
  // Two builds may carry the same release; `uname -v` tells them apart.
  const build = createHash('sha256').update(kernel.build).digest('hex').slice(0, 12);
  const directory = path.join(cache, 'vmlinux', `${kernel.release}-${kernel.machine}-${build}`);
  const written = await stat(path.join(directory, 'vmlinux.h')).catch(() => undefined);
  if (written && written.size > 0) return directory;
  let making = underWay.get(directory);
  if (!making) {
    making = write(client, directory).finally(() => underWay.delete(directory));
    underWay.set(directory, making);
  }
  return making;
}

async function write(client: KernelClient, directory: string): Promise<string> {
  const { text } = await client.request('vmlinuxHeader', {});
  await mkdir(directory, { recursive: true });
  // Several processes may write the same header; whoever is last puts a whole one in place.
  const partial = path.join(directory, `vmlinux.h.${process.pid}.part`);
  await writeFile(partial, text);
  await rename(partial, path.join(directory, 'vmlinux.h'));
  return directory;
}
