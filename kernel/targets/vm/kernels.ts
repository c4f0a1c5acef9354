/** Which kernels on this machine a VM can run, and why others cannot. */
import { closeSync, existsSync, openSync, readSync, readdirSync, realpathSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { HEADER_BYTES, readKernelHeader, type KernelHeader } from './bzimage';
import { missingModules } from './modules';

/**
 * What the guest needs before it can reach anything of the machine: the PCI transport, the serial port that carries
 * the protocol, and the 9p file system that shares the system's libraries.
 */
export const requiredModules = ['virtio_pci', 'virtio_console', '9pnet_virtio', '9p'] as const;

export interface VmKernel {
  /** Path of the image, usually called vmlinuz. */
  image: string;
  /** `uname -r` of the guest, read from the image; empty when the file is no kernel. */
  release: string;
  /** The image's whole version line. */
  banner: string;
  /** Directory with `modules.builtin` and the modules' files; absent when none was found. */
  modules?: string;
  usable: { ok: true } | { ok: false; reason: string; fix: string };
}

/** Where images are looked for when nobody says otherwise. */
export function defaultSearchPaths(): string[] {
  return ['/boot', '/usr/lib/modules', '/lib/modules', kernelCache()];
}

/** Holds one directory for each fetched kernel, with the package's files as they lie in the package. */
export function kernelCache(): string {
  const base = process.env['XDG_CACHE_HOME'] || path.join(os.homedir(), '.cache');
  return path.join(base, 'bpf-studio', 'kernels');
}

/** What to type when no kernel is at hand; said wherever one is missing. */
export const fetchHint =
  'Run “BPF: Download Kernel for VM” in VS Code or `bpf-studio kernels fetch` in a terminal: it downloads your ' +
  "distribution's kernel package into your cache, without root and without installing it. " +
  'Or name an image: --target vm:PATH-TO-VMLINUZ.';

/**
 * Every kernel image under `searchPaths`, newest first. A path may be an image, a directory of images (`/boot`), of
 * modules' directories (`/usr/lib/modules`), or of unpacked packages. Unusable ones are listed with the reason.
 */
export function findKernels(searchPaths: readonly string[] = defaultSearchPaths()): VmKernel[] {
  const images = new Set(searchPaths.flatMap(imagesUnder));
  return [...images]
    .map((image) => inspectKernel(image))
    .sort((a, b) => compareReleases(b.release, a.release) || a.image.localeCompare(b.image));
}

/**
 * The kernel that `vm` means when no image is named: the release that this machine runs itself if a usable image
 * of it is there, else the newest usable one.
 */
export function defaultKernel(kernels: readonly VmKernel[], running = os.release()): VmKernel | undefined {
  const usable = kernels.filter((kernel) => kernel.usable.ok);
  return usable.find((kernel) => kernel.release === running) ?? usable[0];
}

/** Looks at one image. `named`: the user chose this file, so that modules not found do not rule it out. */
export function inspectKernel(image: string, named = false): VmKernel {
  const unusable = (reason: string, fix: string, header?: KernelHeader): VmKernel => ({
    image,
    release: header?.release ?? '',
    banner: header?.banner ?? '',
    usable: { ok: false, reason, fix },
  });
  let header: ReturnType<typeof readKernelHeader>;
  try {
    header = readKernelHeader(readStart(image));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return unusable(`there is no file ${image}`, fetchHint);
    if (code === 'EACCES') {
      return unusable(
        `you may not read ${image}`,
        `Make it readable (\`sudo chmod a+r ${image}\`). ${fetchHint}`,
      );
    }
    return unusable(`${image} cannot be read: ${message}`, fetchHint);
  }
  if ('problem' in header) {
    return unusable(`${image} cannot be started: ${header.problem}`, 'Name a vmlinuz or bzImage.');
  }
  const { release, banner } = header;
  const modules = modulesOf(image, release);
  if (modules === undefined) {
    // A kernel of one's own may have all it needs built in; its boot tells.
    if (named) return { image, release, banner, usable: { ok: true } };
    return unusable(
      `the modules of ${release} are not on this machine`,
      `Install or unpack the package that holds /lib/modules/${release}. ${fetchHint}`,
      header,
    );
  }
  const missing = missingModules(modules, requiredModules);
  if (missing.length > 0) {
    const flavour = /cloud|kvm|azure|aws|gcp|minimal/.exec(release)?.[0];
    return {
      ...unusable(
        `${release} lacks ${missing.join(', ')}${flavour ? `, as kernels of the ${flavour} flavour do` : ''}`,
        `Use the distribution's general kernel (Debian: amd64, Ubuntu: generic). ${fetchHint}`,
        header,
      ),
      modules,
    };
  }
  return { image, release, banner, modules, usable: { ok: true } };
}

/** `uname -v` of a kernel: what its version line ends with. Undefined when the line is not as Linux builds it. */
export function buildOf({ banner }: VmKernel): string | undefined {
  return /#\d.*$/.exec(banner)?.[0].trimEnd();
}

/** Orders releases by their numbers, then by their text: `6.12.95` before `6.12.107`. Negative: a is older. */
export function compareReleases(a: string, b: string): number {
  const numbers = (release: string): number[] => (/^[\d.]+/.exec(release)?.[0] ?? '').split('.').map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.localeCompare(b, 'en', { numeric: true });
}

function imagesUnder(searchPath: string): string[] {
  const children = list(searchPath);
  if (children === undefined) return existsSync(searchPath) ? [realpathSync(searchPath)] : [];
  return children
    .flatMap((name) => {
      if (/^vmlinuz-/.test(name)) return [name];
      return [
        ...(list(path.join(searchPath, name)) ?? [])
          .filter((n) => n === 'vmlinuz')
          .map((n) => path.join(name, n)),
        // Unpacked packages: NAME/boot/vmlinuz-RELEASE, NAME/usr/lib/modules/RELEASE/vmlinuz.
        ...(list(path.join(searchPath, name, 'boot')) ?? [])
          .filter((n) => n.startsWith('vmlinuz-'))
          .map((n) => path.join(name, 'boot', n)),
        ...['lib/modules', 'usr/lib/modules'].flatMap((modules) =>
          (list(path.join(searchPath, name, modules)) ?? []).map((n) =>
            path.join(name, modules, n, 'vmlinuz'),
          ),
        ),
      ];
    })
    .map((relative) => path.join(searchPath, relative))
    .filter((file) => existsSync(file))
    .map((file) => realpathSync(file));
}

/** Names in a directory; undefined when it is none or may not be read. */
function list(directory: string): string[] | undefined {
  try {
    return readdirSync(directory);
  } catch {
    return undefined;
  }
}

/** Beside the image (`/usr/lib/modules/RELEASE/vmlinuz`), in the same tree as its `boot/`, or in the system's. */
function modulesOf(image: string, release: string): string | undefined {
  const directory = path.dirname(image);
  const tree = path.dirname(directory);
  return [
    directory,
    path.join(tree, 'lib/modules', release),
    path.join(tree, 'usr/lib/modules', release),
    path.join('/lib/modules', release),
  ].find((candidate) => existsSync(path.join(candidate, 'modules.builtin')));
}

function readStart(file: string): Buffer {
  if (!statSync(file).isFile()) throw new Error('it is not a file');
  const fd = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(HEADER_BYTES);
    return buffer.subarray(0, readSync(fd, buffer, 0, HEADER_BYTES, 0));
  } finally {
    closeSync(fd);
  }
}
