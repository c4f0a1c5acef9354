import { describe, expect, it } from 'vitest';
import { checkEnvironment, type EnvironmentFacts } from './environment';
import { installCommand, parseOsRelease } from './packages';

const complete: EnvironmentFacts = {
  distribution: ['debian'],
  isRoot: false,
  nodeVersion: 'v20.20.2',
  clang: { path: '/usr/bin/clang-19', version: '19.1.7', major: 19 },
  libbpfHeaders: '/usr/include',
  kernel: {
    label: 'this machine',
    release: '6.12.0',
    local: true,
    load: { ok: true },
    btf: { ok: true },
    tracing: { ok: true },
    kprobes: { ok: true },
    network: { ok: true },
  },
  mountedTypes: ['ext4', 'bpf', 'tracefs'],
  qemu: { path: '/usr/bin/qemu-system-x86_64' },
  vmKernels: { releases: ['6.12.0'] },
};

const find = (facts: EnvironmentFacts, id: string) => {
  const check = checkEnvironment(facts).find((candidate) => candidate.id === id);
  if (!check) throw new Error(`no check ${id}`);
  return check;
};

describe('checkEnvironment', () => {
  it('finds nothing to fix where nothing is missing', () => {
    const checks = checkEnvironment(complete);
    expect(checks.map(({ id, state }) => `${id} ${state}`)).toEqual([
      'kernel ok',
      'privileges ok',
      'network ok',
      'btf ok',
      'tracefs ok',
      'kprobes ok',
      'bpffs ok',
      'clang ok',
      'libbpf ok',
      'qemu ok',
      'vmKernels ok',
      'node ok',
    ]);
    expect(checks.flatMap(({ fix }) => fix)).toEqual([]);
  });

  it('gives every finding what still works and a way out', () => {
    const nothing: EnvironmentFacts = {
      distribution: ['debian'],
      isRoot: false,
      nodeVersion: 'v18.0.0',
      clang: { problem: 'no clang on PATH' },
      libbpfHeaders: null,
      kernel: { problem: 'no privileges here, and no QEMU', hint: 'sudo apt-get install -y qemu-system-x86' },
      mountedTypes: [],
      qemu: { problem: 'qemu-system-x86_64 is not on PATH' },
      vmKernels: { problem: 'no vmlinuz in /boot', hint: 'bpf-studio kernels fetch' },
    };
    const checks = checkEnvironment(nothing);
    for (const check of checks) {
      expect(check.state, check.id).not.toBe('ok');
      expect(check.found, check.id).not.toBe('');
      expect(check.withoutIt, check.id).not.toBe('');
      expect(check.fix.length, check.id).toBeGreaterThan(0);
    }
    expect(find(nothing, 'clang').fix).toEqual(['sudo apt-get install -y clang']);
    expect(find(nothing, 'kernel').fix).toEqual(['sudo apt-get install -y qemu-system-x86']);
  });

  it('calls a clang below 14 too old and says which it found', () => {
    const old = { ...complete, clang: { path: '/usr/bin/clang-11', version: '11.0.1', major: 11 } };
    expect(find(old, 'clang').state).toBe('missing');
    expect(find(old, 'clang').found).toContain('11.0.1 (/usr/bin/clang-11) is too old');
  });

  it("repeats the kernel host's own reason", () => {
    const kernel = { ...complete.kernel, load: { ok: false, reason: 'needs CAP_BPF' } } as const;
    const check = find({ ...complete, kernel } as EnvironmentFacts, 'privileges');
    expect(check).toMatchObject({ state: 'missing', found: 'needs CAP_BPF' });
    expect(check.fix).toContain('sudo bpf-studio doctor');
  });

  it('does not ask for mounts on this machine when the kernel is in a VM', () => {
    const kernel = { ...complete.kernel, local: false } as EnvironmentFacts['kernel'];
    const checks = checkEnvironment({ ...complete, kernel, mountedTypes: [] });
    expect(checks.map(({ id }) => id)).not.toContain('bpffs');
  });
});

describe('installCommand', () => {
  it('speaks the package manager of the distribution', () => {
    const ubuntu = parseOsRelease('NAME="Ubuntu"\nID=ubuntu\nID_LIKE=debian\n');
    const rocky = parseOsRelease('ID="rocky"\nID_LIKE="rhel centos fedora"\n');
    expect(installCommand('qemu', ubuntu, false)).toBe('sudo apt-get install -y qemu-system-x86');
    expect(installCommand('libbpf', rocky, true)).toBe('dnf install -y libbpf-devel');
    expect(installCommand('clang', parseOsRelease('ID=nixos\n'), false)).toBe(
      "Install clang with this system's package manager.",
    );
  });
});
