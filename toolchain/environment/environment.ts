/**
 * What *BPF: Check Environment* and `bpf-studio doctor` say: for each thing BPF Studio builds on, whether it is there,
 * what still works without it, and the command that brings it. A pure function of {@link EnvironmentFacts}.
 */
import { installCommand, type Distribution } from './packages';

export interface EnvironmentCheck {
  id: CheckId;
  title: string;
  /** `degraded`: there, or partly there, and something a user may want does not work. */
  state: 'ok' | 'degraded' | 'missing';
  /** What was found, or why not, in a few words. */
  found: string;
  /** What still works without it. Empty when the state is `ok`. */
  withoutIt: string;
  /** Commands to run, or, where no command can help, a sentence. Empty when the state is `ok`. */
  fix: string[];
}

export type CheckId =
  | 'kernel'
  | 'privileges'
  | 'network'
  | 'btf'
  | 'tracefs'
  | 'kprobes'
  | 'bpffs'
  | 'clang'
  | 'libbpf'
  | 'qemu'
  | 'vmKernels'
  | 'node';

/** Has the shape of the kernel protocol's `Ability`. */
export type Ability = { ok: true } | { ok: false; reason: string };

/** What a kernel host said of itself in answer to `hello`, or why there is none. */
export type KernelFacts =
  | {
      label: string;
      release: string;
      local: boolean;
      load: Ability;
      btf: Ability;
      tracing: Ability;
      kprobes: Ability;
      network: Ability;
    }
  | { problem: string; hint: string };

export interface EnvironmentFacts {
  distribution: Distribution;
  isRoot: boolean;
  /** Absent in an editor, which brings its own. */
  nodeVersion?: string;
  clang: { path: string; version: string; major: number } | { problem: string };
  /** Directory that holds `bpf/bpf_helpers.h`. */
  libbpfHeaders: string | null;
  kernel: KernelFacts;
  /** File system types that are mounted on this machine, from /proc/self/mounts. */
  mountedTypes: string[];
  qemu: { path: string } | { problem: string };
  /** Kernel images that can run in a VM, or how to get one. */
  vmKernels: { releases: string[] } | { problem: string; hint: string };
}

export const OLDEST_CLANG = 14;
export const OLDEST_NODE = 20;

export function checkEnvironment(facts: EnvironmentFacts): EnvironmentCheck[] {
  return [
    ...kernelChecks(facts),
    ...mountChecks(facts),
    clangCheck(facts),
    libbpfCheck(facts),
    qemuCheck(facts),
    vmKernelsCheck(facts),
    ...nodeCheck(facts),
  ];
}

function ok(id: CheckId, title: string, found: string): EnvironmentCheck {
  return { id, title, state: 'ok', found, withoutIt: '', fix: [] };
}

const noVerdicts =
  'Syntax checks and clang diagnostics work; there are no verdicts, runs or maps until a kernel is reached.';

function kernelChecks({ kernel, isRoot }: EnvironmentFacts): EnvironmentCheck[] {
  if ('problem' in kernel) {
    return [
      {
        id: 'kernel',
        title: 'Kernel',
        state: 'missing',
        found: kernel.problem,
        withoutIt: noVerdicts,
        fix: [kernel.hint],
      },
    ];
  }
  const check = (
    id: CheckId,
    title: string,
    ability: Ability,
    found: string,
    withoutIt: string,
    fix: string[],
  ): EnvironmentCheck =>
    ability.ok
      ? ok(id, title, found)
      : {
          id,
          title,
          state: id === 'privileges' ? 'missing' : 'degraded',
          found: ability.reason,
          withoutIt,
          fix,
        };
  const asRoot = kernel.local && !isRoot ? ['sudo bpf-studio doctor', 'bpf-studio doctor --target vm'] : [];
  return [
    ok('kernel', 'Kernel', `${kernel.release} (${kernel.label})`),
    check(
      'privileges',
      'Loading programs',
      kernel.load,
      'allowed',
      'Syntax checks and clang diagnostics work; the vm target verifies, runs and attaches without root.',
      asRoot.length > 0
        ? asRoot
        : ['Use another kernel: BPF: Select Kernel in the editor, --target vm in a terminal.'],
    ),
    check(
      'network',
      'Attaching to interfaces',
      kernel.network,
      'allowed',
      'Everything but attaching XDP, tc and netfilter programs works; test runs of them do.',
      asRoot.length > 0 ? asRoot : ['Give the process CAP_NET_ADMIN, or use the vm target.'],
    ),
    check(
      'btf',
      'Kernel BTF',
      kernel.btf,
      '/sys/kernel/btf/vmlinux',
      'Programs without CO-RE relocations work; vmlinux.h cannot be generated, and fentry, LSM and iterators cannot load.',
      ['Use a kernel built with CONFIG_DEBUG_INFO_BTF=y: the vm target can run one.'],
    ),
    check(
      'tracefs',
      'Tracing',
      kernel.tracing,
      'tracefs is readable',
      'Everything but attaching tracepoints by name and showing bpf_printk lines works.',
      kernel.local
        ? [`${isRoot ? '' : 'sudo '}mount -t tracefs tracefs /sys/kernel/tracing`]
        : ['Choose a kernel built with CONFIG_FTRACE=y.'],
    ),
    check(
      'kprobes',
      'Kprobes',
      kernel.kprobes,
      'built in',
      'Everything but attaching kprobes works: fentry, raw tracepoints and tracepoints observe the kernel too.',
      [
        'Choose a kernel built with CONFIG_KPROBE_EVENTS=y, as those of distributions are: the vm target can run one.',
      ],
    ),
  ];
}

function mountChecks({ mountedTypes, isRoot, kernel }: EnvironmentFacts): EnvironmentCheck[] {
  const local = 'problem' in kernel || kernel.local;
  if (!local) return [];
  if (mountedTypes.includes('bpf')) return [ok('bpffs', 'BPF file system', 'mounted')];
  return [
    {
      id: 'bpffs',
      title: 'BPF file system',
      state: 'degraded',
      found: 'not mounted on this machine',
      withoutIt: 'Everything but maps and programs with a pin path (LIBBPF_PIN_BY_NAME) works.',
      fix: [`${isRoot ? '' : 'sudo '}mount -t bpf bpf /sys/fs/bpf`],
    },
  ];
}

function clangCheck({ clang, distribution, isRoot }: EnvironmentFacts): EnvironmentCheck {
  const title = 'clang';
  const fix = [installCommand('clang', distribution, isRoot)];
  const withoutIt =
    'Syntax checks work, and so does everything on object files (.o); sources are not compiled and get no verdict.';
  if ('problem' in clang)
    return { id: 'clang', title, state: 'missing', found: clang.problem, withoutIt, fix };
  const found = `${clang.version} (${clang.path})`;
  if (clang.major >= OLDEST_CLANG) return ok('clang', title, found);
  return {
    id: 'clang',
    title,
    state: 'missing',
    found: `${found} is too old; ${OLDEST_CLANG} or newer is needed`,
    withoutIt,
    fix,
  };
}

function libbpfCheck({ libbpfHeaders, distribution, isRoot }: EnvironmentFacts): EnvironmentCheck {
  const title = "libbpf's headers";
  if (libbpfHeaders !== null) return ok('libbpf', title, libbpfHeaders);
  return {
    id: 'libbpf',
    title,
    state: 'missing',
    found: 'bpf/bpf_helpers.h was not found',
    withoutIt:
      'Programs that bring their own copy of the headers compile; give its directory with -I in bpf.clang.args.',
    fix: [installCommand('libbpf', distribution, isRoot)],
  };
}

function qemuCheck({ qemu, distribution, isRoot }: EnvironmentFacts): EnvironmentCheck {
  if (!('problem' in qemu)) return ok('qemu', 'QEMU', qemu.path);
  return {
    id: 'qemu',
    title: 'QEMU',
    state: 'degraded',
    found: qemu.problem,
    withoutIt: "This machine's kernel works, with root; kernels in a VM, which need no root, do not.",
    fix: [installCommand('qemu', distribution, isRoot)],
  };
}

function vmKernelsCheck({ vmKernels }: EnvironmentFacts): EnvironmentCheck {
  const title = 'Kernels for a VM';
  if (!('problem' in vmKernels)) return ok('vmKernels', title, vmKernels.releases.join(', '));
  return {
    id: 'vmKernels',
    title,
    state: 'degraded',
    found: vmKernels.problem,
    withoutIt: "This machine's kernel works, with root; the vm target has nothing to start.",
    fix: [vmKernels.hint],
  };
}

function nodeCheck({ nodeVersion }: EnvironmentFacts): EnvironmentCheck[] {
  if (nodeVersion === undefined) return [];
  const major = Number(/^v?(\d+)/.exec(nodeVersion)?.[1] ?? 0);
  if (major >= OLDEST_NODE) return [ok('node', 'Node.js', nodeVersion)];
  return [
    {
      id: 'node',
      title: 'Node.js',
      state: 'missing',
      found: `${nodeVersion} is too old; ${OLDEST_NODE} or newer is needed`,
      withoutIt: 'The editor extension works, it brings its own; the bpf-studio command does not.',
      fix: ['npx --yes --package node@24 node dist/cli.js doctor'],
    },
  ];
}
