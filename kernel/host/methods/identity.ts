/** Requests about the kernel itself: who it is and what it can do. */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import type { Ability, HostCapabilities, KernelIdentity } from '../../protocol';
import { PROTOCOL_VERSION } from '../../protocol';
import type { Addon } from '../../addon/addon';
import type { Handlers } from '../session';
import { hasKprobes, noKprobes } from '../kprobes';
import { findTracefs, tracefsMissing } from '../tracefs';

/** Capability numbers of capability.h. */
const Capability = { NET_ADMIN: 12, SYS_ADMIN: 21, PERFMON: 38, BPF: 39 } as const;

export const identityHandlers: Pick<Handlers, 'hello'> = {
  async hello({ host }) {
    return {
      protocol: PROTOCOL_VERSION,
      host: `bpf-studio host, libbpf ${host.addon.libbpfVersion}, pid ${process.pid}`,
      kernel: identifyKernel(host.addon),
      capabilities: findCapabilities(),
    };
  },
};

export function identifyKernel(addon: Addon): KernelIdentity {
  const release = os.release();
  const [major = 0, minor = 0, patch = 0] = (/^(\d+)\.(\d+)(?:\.(\d+))?/.exec(release) ?? [])
    .slice(1)
    .map((part) => Number(part ?? 0));
  return {
    release,
    version: { major, minor, patch },
    machine: os.machine(),
    build: os.version(),
    possibleCpus: addon.possibleCpus,
    onlineCpus: os.cpus().length,
  };
}

export function findCapabilities(): HostCapabilities {
  return {
    load: canLoad(),
    btf: hasBtf(),
    tracing: canTrace(),
    kprobes: hasKprobes() ? { ok: true } : { ok: false, reason: noKprobes() },
    network: canAttachToNetwork(),
    jit: jitIsOn(),
  };
}

function hasCapability(number: number): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return (BigInt(`0x${mask}`) & (1n << BigInt(number))) !== 0n;
}

function canLoad(): Ability {
  if (hasCapability(Capability.SYS_ADMIN) || hasCapability(Capability.BPF)) return { ok: true };
  return {
    ok: false,
    reason:
      'This process may not load BPF programs: it is not root and has neither CAP_BPF nor CAP_SYS_ADMIN.',
  };
}

function hasBtf(): Ability {
  if (existsSync('/sys/kernel/btf/vmlinux')) return { ok: true };
  return {
    ok: false,
    reason:
      'This kernel has no BTF at /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF): no vmlinux.h, CO-RE, fentry or iterators.',
  };
}

function canTrace(): Ability {
  if (!hasCapability(Capability.SYS_ADMIN) && !hasCapability(Capability.PERFMON)) {
    return { ok: false, reason: 'Tracing needs root or CAP_PERFMON; this process has neither.' };
  }
  const directory = findTracefs();
  if (!directory) return { ok: false, reason: tracefsMissing() };
  try {
    accessSync(`${directory}/events`, constants.R_OK);
    return { ok: true };
  } catch {
    return { ok: false, reason: `${directory}/events cannot be read by this process.` };
  }
}

function canAttachToNetwork(): Ability {
  if (hasCapability(Capability.NET_ADMIN)) return { ok: true };
  return { ok: false, reason: 'Attaching XDP and tc programs needs CAP_NET_ADMIN; this process lacks it.' };
}

function jitIsOn(): boolean {
  try {
    return readFileSync('/proc/sys/net/core/bpf_jit_enable', 'utf8').trim() !== '0';
  } catch {
    // Absent when the kernel has no JIT for this machine.
    return false;
  }
}
