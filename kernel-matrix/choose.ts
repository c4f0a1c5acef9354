/** Which kernels a list such as `5.10,6.12,local` means, among those that are at hand. */
import { existsSync } from 'node:fs';
import os from 'node:os';
import { hasBpfPrivileges } from '../kernel/targets/local';
import type { TargetSpec } from '../kernel/targets/target';
import {
  compareReleases,
  fetchHint,
  findKernels,
  inspectKernel,
  type VmKernel,
} from '../kernel/targets/vm/kernels';
import { fail, succeed, type Outcome } from '../toolchain/problem';

export interface MatrixKernel {
  /** `uname -r`, known before it is started. */
  release: string;
  target: TargetSpec;
  /** Of a VM's kernel: its image. */
  image?: VmKernel;
}

/** This machine's own kernel. */
export function thisMachine(): MatrixKernel {
  return { release: os.release(), target: { kind: 'local' } };
}

export function inVm(image: VmKernel): MatrixKernel {
  return { release: image.release, target: { kind: 'vm', kernel: image.image }, image };
}

/** All that can be chosen, oldest first: kernels that a VM can run, and this machine's where programs may be loaded. */
export function kernelsAtHand(found: readonly VmKernel[] = findKernels()): MatrixKernel[] {
  const images = found.filter(({ usable }) => usable.ok).map(inVm);
  return oldestFirst(hasBpfPrivileges() ? [...images, thisMachine()] : images);
}

/**
 * Kernels for a comma-separated list, oldest first and each once. An item is the beginning of a release (`6.1` means
 * 6.1.x and not 6.12; of several the newest), `local`, `vm:PATH-TO-VMLINUZ`, or `all` that are at hand.
 */
export function chooseKernels(
  list: string,
  atHand: readonly MatrixKernel[] = kernelsAtHand(),
): Outcome<MatrixKernel[]> {
  const items = list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  const chosen: MatrixKernel[] = [];
  for (const item of items) {
    const found = chooseOne(item, atHand);
    if (!found.ok) return found;
    for (const kernel of found.value) {
      if (!chosen.some((one) => identity(one) === identity(kernel))) chosen.push(kernel);
    }
  }
  if (chosen.length === 0) {
    const message = items.length === 0 ? 'The list of kernels is empty.' : 'No kernel is at hand.';
    return fail('cli/kernels', `${message}${listOf(atHand)}`, fetchHint);
  }
  return succeed(oldestFirst(chosen));
}

function chooseOne(item: string, atHand: readonly MatrixKernel[]): Outcome<MatrixKernel[]> {
  if (item === 'all') return succeed([...atHand]);
  if (item === 'local') return succeed([thisMachine()]);
  if (item.startsWith('vm:')) {
    const image = inspectKernel(item.slice(3), true);
    if (image.usable.ok) return succeed([inVm(image)]);
    return fail('cli/kernels', `${item}: ${image.usable.reason}.`, image.usable.fix);
  }
  const matching = atHand.filter(({ release }) => beginsWith(release, item));
  // An image that can be had without privileges stands for the same release as this machine's own kernel.
  const newest = oldestFirst(matching).at(-1);
  if (newest) return succeed([newest]);
  if (existsSync(item)) {
    return fail('cli/kernels', `${item} is a file, not a version.`, `Write vm:${item} for a kernel image.`);
  }
  const version = /^\d+\.\d+/.exec(item)?.[0];
  return fail(
    'cli/kernels',
    `No kernel at hand is Linux ${item}.${listOf(atHand)}`,
    version
      ? `Fetch it: bpf-studio kernels fetch ${version}. Or name an image: vm:PATH-TO-VMLINUZ.`
      : 'Write versions such as 6.1, local, vm:PATH-TO-VMLINUZ, or all. bpf-studio kernels lists what is at hand.',
  );
}

/** `6.1` begins `6.1.0-50-amd64` and not `6.12.1`. */
function beginsWith(release: string, version: string): boolean {
  const next = release.charAt(version.length);
  return release.startsWith(version) && !(/\d$/.test(version) && /\d/.test(next));
}

function listOf(atHand: readonly MatrixKernel[]): string {
  const names = atHand.map(({ release, target }) => release + (target.kind === 'local' ? ' (local)' : ''));
  return names.length > 0 ? ` At hand: ${names.join(', ')}.` : ' None is at hand.';
}

function oldestFirst(kernels: readonly MatrixKernel[]): MatrixKernel[] {
  return [...kernels].sort((a, b) => compareReleases(a.release, b.release));
}

/** Two that are the same are asked once. */
export function identity({ target, release }: MatrixKernel): string {
  return target.kind === 'local' ? `local ${release}` : `vm ${target.kernel ?? ''}`;
}
