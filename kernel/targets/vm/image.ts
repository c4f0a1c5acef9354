/** Turns a compressed image into a vmlinux that QEMU starts without firmware and without decompressing it itself. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { compressionOf, hasPvhEntry, readKernelHeader } from './bzimage';
import { decompress } from './decompress';
import { kernelCache } from './kernels';

/** An unpacked kernel takes 60 MB; the ones used longest ago make room. */
const KEPT = 6;

/**
 * The file to give QEMU for an image: a vmlinux unpacked into the cache where that works (it spares the guest up to
 * 2.6 s of decompression under emulation), else the image itself. A damaged image is a problem.
 */
export async function bootableImage(image: string): Promise<{ file: string } | { problem: string }> {
  const { mtimeMs, size } = statSync(image);
  const key = createHash('sha256').update(`${image}\0${mtimeMs}\0${size}`).digest('hex').slice(0, 16);
  const directory = path.join(path.dirname(kernelCache()), 'vmlinux');
  const cached = path.join(directory, key);
  if (existsSync(cached)) {
    const now = new Date();
    utimesSync(cached, now, now);
    return { file: cached };
  }

  const data = await readFile(image);
  const header = readKernelHeader(data);
  if ('problem' in header) return { problem: `${image} cannot be started: ${header.problem}` };
  const { offset, length } = header.payload;
  const payload = data.subarray(offset, offset + length);
  if (payload.length < length)
    return { problem: `${image} is damaged: it ends before its compressed kernel does` };
  // lzma, lz4 and others are left to the image's own code, slower but as good.
  if (compressionOf(payload) === undefined) return { file: image };
  const vmlinux = await decompress(payload);
  if ('problem' in vmlinux) {
    return vmlinux.missingTool ? { file: image } : { problem: `${image} is damaged: ${vmlinux.problem}` };
  }
  // The build appends the unpacked size, little endian; gzip has it as its own last field.
  if (vmlinux.length !== payload.readUInt32LE(payload.length - 4)) {
    return { problem: `${image} is damaged: its compressed kernel does not have the size it should` };
  }
  if (!hasPvhEntry(vmlinux)) return { file: image };
  try {
    mkdirSync(directory, { recursive: true });
    writeFileSync(`${cached}.${process.pid}`, vmlinux);
    renameSync(`${cached}.${process.pid}`, cached);
    discardOldest(directory);
  } catch {
    // No cache (disk full, read-only home): the image starts all the same.
    return { file: image };
  }
  return { file: cached };
}

function discardOldest(directory: string): void {
  // Directories with a kernel's vmlinux.h lie beside the images.
  const files = readdirSync(directory)
    .filter((name) => /^[0-9a-f]{16}$/.test(name))
    .map((name) => path.join(directory, name));
  const age = (file: string): number => statSync(file).mtimeMs;
  for (const file of files.sort((a, b) => age(b) - age(a)).slice(KEPT)) rmSync(file, { force: true });
}
