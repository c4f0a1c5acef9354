/** Gathers what toolchain/environment judges: tools, files and mounts here, abilities from the kernel in use. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { existsSync } from 'node:fs';
import type { EnvironmentFacts, KernelFacts } from '../../toolchain/environment/environment';
import { parseOsRelease } from '../../toolchain/environment/packages';
import { findKernels } from '../../kernel/targets/vm/kernels';
import { findQemu } from '../../kernel/targets/vm/qemu';
import { isProblem } from '../window-kernel/kernel';
import type { Services } from '../services';
import { readSettings } from '../settings';

const run = promisify(execFile);

export async function gatherFacts(services: Services): Promise<EnvironmentFacts> {
  const [kernel, clang, qemu, osRelease, mounts] = await Promise.all([
    kernelFacts(services),
    clangFacts(),
    qemuFacts(),
    readFile('/etc/os-release', 'utf8').catch(() => ''),
    readFile('/proc/self/mounts', 'utf8').catch(() => ''),
  ]);
  const headers = ['/usr/include', '/usr/local/include'];
  return {
    distribution: parseOsRelease(osRelease),
    isRoot: process.geteuid?.() === 0,
    clang,
    libbpfHeaders: headers.find((directory) => existsSync(`${directory}/bpf/bpf_helpers.h`)) ?? null,
    kernel,
    mountedTypes: mounts.split('\n').map((line) => line.split(' ')[2] ?? ''),
    qemu,
    vmKernels: findKernels()
      .filter((found) => found.usable.ok)
      .map(({ image, release }) => ({ path: image, release })),
  };
}

async function kernelFacts({ kernel }: Services): Promise<KernelFacts> {
  const started = await kernel.ensure();
  if (isProblem(started)) return { problem: started.message, hint: started.hint };
  const { label, client } = started;
  const { capabilities, kernel: identity } = client.hello;
  const { load, btf, tracing, network } = capabilities;
  return { label, release: identity.release, local: !label.startsWith('vm '), load, btf, tracing, network };
}

async function clangFacts(): Promise<EnvironmentFacts['clang']> {
  const { clang } = readSettings();
  const path = clang.path || 'clang';
  try {
    const { stdout } = await run(path, ['--version']);
    const version = /version (\S+)/.exec(stdout)?.[1] ?? stdout.split('\n')[0] ?? '';
    return { path, version, major: Number.parseInt(version, 10) };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

async function qemuFacts(): Promise<EnvironmentFacts['qemu']> {
  const path = findQemu();
  if (path === undefined) return { problem: 'qemu-system-x86_64 is not on PATH' };
  try {
    const { stdout } = await run(path, ['--version']);
    return { path, version: /version (\S+)/.exec(stdout)?.[1] ?? '' };
  } catch (error) {
    return { problem: `${path} does not start: ${(error as Error).message}` };
  }
}
