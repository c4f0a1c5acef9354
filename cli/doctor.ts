/** `bpf-studio doctor`: what this machine and the chosen kernel offer, and the command for what is missing. */
import {
  checkEnvironment,
  type EnvironmentCheck,
  type EnvironmentFacts,
  type KernelFacts,
} from '../toolchain/environment/environment';
import { gatherFacts } from '../toolchain/environment/facts';
import { locateQemu } from '../kernel/targets/vm/qemu';
import { fetchHint, findKernels } from '../kernel/targets/vm/kernels';
import type { OpenedKernel } from '../kernel/client/open';
import type { Problem } from '../toolchain/problem';
import { compileOptions, targetOption, text, type Command } from './command';
import { openSession } from './kernel';
import { clangFacts } from './compile';

export const command: Command = {
  help: `bpf-studio doctor [--target TARGET] [--clang PATH]

Checks what BPF Studio builds on: the kernel and what may be done in it, clang, libbpf's headers, QEMU, kernels for a
VM. For each thing missing: what works without it, and the command that brings it. Changes nothing.

  -t, --target   local, vm, vm:PATH-TO-VMLINUZ
  --clang PATH   this clang instead of the newest found

Exit status 1 when something is missing or degraded.`,
  options: { ...targetOption, ...compileOptions },
  async run(args, io) {
    const opened = await openSession(args, io);
    try {
      const qemu = locateQemu();
      const facts = gatherFacts({
        clang: await clangFacts(text(args, 'clang')),
        headerDirectories: [`${__dirname}/include`, '/usr/include', '/usr/local/include'],
        kernel: kernelFacts(opened),
        qemu: typeof qemu === 'string' ? { path: qemu } : { problem: qemu.message },
        vmKernels: vmKernels(),
        nodeVersion: process.version,
      });
      const checks = checkEnvironment(facts);
      if (io.json) for (const check of checks) io.outJson(check);
      else io.out(checks.map((check) => describe(check, io.color)).join(''));
      return checks.every(({ state }) => state === 'ok') ? 0 : 1;
    } finally {
      if ('client' in opened) await opened.dispose();
    }
  },
};

function kernelFacts(opened: OpenedKernel | Problem): KernelFacts {
  if (!('client' in opened)) return { problem: opened.message, hint: opened.hint };
  const { kernel, capabilities } = opened.client.hello;
  const label = opened.label ?? 'kernel host';
  return { label, release: kernel.release, local: label === 'this machine', ...capabilities };
}

function vmKernels(): EnvironmentFacts['vmKernels'] {
  const found = findKernels();
  const usable = found.filter((kernel) => kernel.usable.ok);
  if (usable.length > 0) return { releases: usable.map(({ release }) => release) };
  const reasons = found.map(({ usable: why }) => (why.ok ? '' : why.reason)).join('; ');
  return { problem: reasons || 'no kernel image was found', hint: fetchHint };
}

const marks = { ok: 'ok', degraded: '!!', missing: 'no' } as const;
const colors = { ok: 32, degraded: 33, missing: 31 } as const;

function describe(check: EnvironmentCheck, color: boolean): string {
  const mark = color ? `\u001b[${colors[check.state]}m${marks[check.state]}\u001b[0m` : marks[check.state];
  const lines = [`${mark}  ${check.title}: ${check.found}`];
  if (check.withoutIt) lines.push(`    ${check.withoutIt}`);
  for (const fix of check.fix) lines.push(`    → ${fix}`);
  return `${lines.join('\n')}\n`;
}
