/**
 * Brings a distribution's kernel package into the user's cache for the vm target: no root, nothing installed, and
 * the system's own package lists untouched.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { privateApt, runCommand, systemSources, type Apt, type AptSource } from './apt';
import { compareReleases, findKernels, inspectKernel, kernelCache, type VmKernel } from './kernels';

export interface FetchOptions {
  log(line: string): void;
  signal?: AbortSignal;
  /** Where unpacked kernels are kept; {@link kernelCache} when absent. */
  cache?: string;
}

export interface FetchProblem {
  message: string;
  hint: string;
}

/**
 * Which suites carry which kernel, the first that has it wins. Suites that are not listed for a version are asked
 * when none of these has it. `security` archives have a path of their own on Debian's hosts.
 */
const suites: Record<string, { byVersion: Record<string, string[]>; others: string[]; flavour: string }> = {
  debian: {
    byVersion: {
      '5.10': ['bullseye', 'bullseye-security'],
      '6.1': ['bookworm', 'bookworm-security'],
      '6.12': ['trixie', 'trixie-security', 'bookworm-security', 'bookworm-backports'],
      '7.3': ['trixie-backports', 'sid'],
    },
    others: ['trixie', 'trixie-backports', 'sid'],
    flavour: 'amd64',
  },
  ubuntu: {
    byVersion: {
      '5.4': ['focal-updates', 'focal'],
      '5.15': ['jammy-updates', 'focal-updates'],
      '6.8': ['noble-updates', 'jammy-updates'],
      '6.11': ['noble-updates'],
      '6.14': ['noble-updates', 'plucky-updates'],
    },
    others: [],
    flavour: 'generic',
  },
};

/**
 * Fetches the newest kernel of a version such as `6.12`; without one, of the distribution's own release. A usable
 * kernel of that version in the cache already is the answer at once.
 */
export async function fetchKernel(
  version: string | undefined,
  options: FetchOptions,
): Promise<VmKernel | FetchProblem> {
  const cache = options.cache ?? kernelCache();
  if (version !== undefined && !/^\d+\.\d+(\.\d+)?$/.test(version)) {
    return { message: `“${version}” is not a kernel version.`, hint: 'Write it like 6.12.' };
  }
  const present = version && findKernels([cache]).find((k) => k.usable.ok && isOfVersion(k.release, version));
  if (present) {
    options.log(`Linux ${present.release} is in ${cache} already.`);
    return present;
  }
  const system = describeSystem();
  if ('message' in system) return system;

  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(path.join(path.dirname(cache), 'fetch-'));
  try {
    const apt = privateApt(work, options.log, options.signal);
    const found = await findPackage(apt, system, version);
    if ('message' in found) return found;
    const packages = [found.name, ...(await companions(apt, found.name, found.release))];
    const files = await apt.download(packages, path.join(work, 'debs'));
    const root = path.join(work, 'root');
    for (const file of files) await runCommand('dpkg-deb', ['-x', file, root], work, options.signal);
    keepNeeded(root, found.release);
    await indexModules(root, found.release, options);
    const target = path.join(cache, found.release);
    rmSync(target, { recursive: true, force: true });
    renameSync(root, target);
    const [kernel] = findKernels([cache]).filter((k) => k.release === found.release);
    if (!kernel)
      return { message: `${packages.join(', ')} holds no kernel image.`, hint: 'Choose another version.' };
    options.log(`Linux ${kernel.release} is in ${target}.`);
    return inspectKernel(kernel.image);
  } catch (error) {
    const message = (error as Error).message;
    return {
      message: `The kernel could not be fetched: ${message}`,
      hint: 'Check the network and that `apt-get update` works on this machine; or name an image of your own.',
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

interface System {
  distribution: string;
  codename: string;
  sources: AptSource[];
}

function describeSystem(): System | FetchProblem {
  const hint =
    'Unpack a kernel package of your distribution and name its image: --target vm:PATH-TO-VMLINUZ.';
  if (!existsSync('/usr/bin/apt-get') || !existsSync('/usr/bin/dpkg-deb')) {
    return { message: 'Kernels can be fetched only where apt is, as on Debian and Ubuntu.', hint };
  }
  const release = readFileSync('/etc/os-release', 'utf8');
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(release)?.[1] ?? '';
  const distribution = [field('ID'), ...field('ID_LIKE').split(' ')].find((id) => id in suites);
  const codename = field('UBUNTU_CODENAME') || field('VERSION_CODENAME');
  if (distribution === undefined) {
    return { message: `Which packages carry kernels on ${field('ID') || 'this system'} is not known.`, hint };
  }
  const sources = systemSources().filter((source) => source.components.includes('main'));
  if (!sources.some((source) => source.suites.includes(codename))) {
    return { message: `No source in /etc/apt offers the suite “${codename}” of this system.`, hint };
  }
  return { distribution, codename, sources };
}

/** Looks through the suites, likely ones first, one after another so that seldom more than one list is read. */
async function findPackage(
  apt: Apt,
  system: System,
  version: string | undefined,
): Promise<{ name: string; release: string } | FetchProblem> {
  const { byVersion, others, flavour } = suites[system.distribution]!;
  const own = [`${system.codename}-security`, `${system.codename}-updates`, system.codename];
  const likely = version === undefined ? own : (byVersion[version] ?? own);
  const rounds = [
    ...likely.map((suite) => [suite]),
    [...own, ...others].filter((suite) => !likely.includes(suite)),
  ];
  const seen = new Set<string>();
  let failure: Error | undefined;
  for (const round of rounds) {
    const sources = round.flatMap((suite) => sourceOf(system, suite) ?? []);
    if (sources.length === 0) continue;
    try {
      await apt.useSuites(sources);
    } catch (error) {
      // A suite may have left the archive; another may have the version.
      failure = error as Error;
      continue;
    }
    const names = await apt.search(`^linux-image-[0-9]+\\.[0-9]+\\.[0-9]+.*-${flavour}$`);
    const candidates = names
      .map((name) => ({ name, release: name.replace('linux-image-', '') }))
      .filter(({ release }) => !/cloud|rt-|unsigned/.test(release));
    for (const { release } of candidates) seen.add(/^\d+\.\d+/.exec(release)![0]);
    const best = candidates
      .filter(({ release }) => version === undefined || isOfVersion(release, version))
      .sort((a, b) => compareReleases(b.release, a.release))[0];
    if (best) return best;
  }
  if (seen.size === 0 && failure) throw failure;
  const offered = [...seen].sort(compareReleases).join(', ');
  return {
    message: `The archive of ${system.distribution} offers no Linux ${version ?? 'kernel'}.`,
    hint: offered ? `It offers ${offered}.` : 'Check that `apt-get update` works on this machine.',
  };
}

/** The archive of a suite: that of the system's own release, or of its security updates for security suites. */
function sourceOf(system: System, suite: string): AptSource | undefined {
  const model = suite.endsWith('-security') ? `${system.codename}-security` : system.codename;
  const source = system.sources.find(({ suites }) => suites.includes(model));
  return source && { ...source, suites: [suite] };
}

/** Packages of the same release that hold the image or the modules where the main one does not. */
async function companions(apt: Apt, name: string, release: string): Promise<string[]> {
  const named = (await apt.dependencies(name)).filter(
    (dependency) =>
      /^linux-(binary|modules|base|image)/.test(dependency) && dependency.endsWith(`-${release}`),
  );
  // Ubuntu keeps 9p here, and nothing depends on it.
  const extra = await apt.search(`^linux-modules-extra-${release.replace(/[.+]/g, '\\$&')}$`);
  return [...new Set([...named, ...extra])].filter((other) => other !== name);
}

/** `6.12` is the version of `6.12.107+deb13-amd64`, but not of `6.120.1`. */
function isOfVersion(release: string, version: string): boolean {
  return release.startsWith(version) && !/^\d/.test(release.slice(version.length));
}

/** Modules worth their space in a guest that has no hardware: what it boots with, networking, file systems for tests. */
const keptModules = [
  ...['net', 'lib', 'crypto', 'kernel', 'arch/x86/crypto', 'mm', 'security'],
  ...['fs/9p', 'fs/netfs', 'fs/fscache', 'fs/overlayfs', 'fs/fuse', 'fs/nls', 'fs/configfs'],
  ...['drivers/virtio', 'drivers/char/virtio_console.ko', 'drivers/char/hw_random', 'drivers/block/loop.ko'],
  ...[
    'veth',
    'dummy',
    'tun',
    'tap',
    'macvlan',
    'macvtap',
    'ipvlan',
    'vrf',
    'vxlan',
    'geneve',
    'netkit',
    'ifb',
  ]
    .concat([
      'bonding',
      'bareudp',
      'gtp',
      'nlmon',
      'vsockmon',
      'netdevsim',
      'wireguard',
      'team',
      'net_failover',
    ])
    .concat(['virtio_net', 'amt', 'mdio', 'phy/phylink'])
    .map((name) => `drivers/net/${name}`),
];

/** Removes what a VM has no use for (300 MB of drivers and debug symbols become 40 MB). */
function keepNeeded(root: string, release: string): void {
  rmSync(path.join(root, 'usr/share'), { recursive: true, force: true });
  rmSync(path.join(root, 'etc'), { recursive: true, force: true });
  for (const name of list(path.join(root, 'boot')).filter((file) => file.startsWith('System.map'))) {
    rmSync(path.join(root, 'boot', name));
  }
  const kernel = path.join(modulesDirectory(root, release), 'kernel');
  const prune = (relative: string): void => {
    for (const entry of list(path.join(kernel, relative))) {
      const below = path.posix.join(relative, entry);
      const module = below.replace(/\.ko(\.\w+)?$/, '.ko');
      const kept = keptModules.some(
        (k) => module === k || module === `${k}.ko` || module.startsWith(`${k}/`),
      );
      if (kept) continue;
      if (keptModules.some((k) => k.startsWith(`${below}/`))) prune(below);
      else rmSync(path.join(kernel, below), { recursive: true });
    }
  };
  prune('');
}

function modulesDirectory(root: string, release: string): string {
  const candidates = ['usr/lib/modules', 'lib/modules'].map((name) => path.join(root, name, release));
  return candidates.find((directory) => existsSync(path.join(directory, 'kernel'))) ?? candidates[0]!;
}

function list(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** Writes modules.dep and modules.alias, without which nothing can be loaded on demand in the guest. */
async function indexModules(root: string, release: string, options: FetchOptions): Promise<void> {
  const depmod = ['/usr/sbin/depmod', '/sbin/depmod'].find((file) => existsSync(file));
  if (!depmod) {
    options.log('depmod (package kmod) is not here: the VM cannot load modules such as veth on demand.');
    return;
  }
  // depmod wants lib/modules; where the package has usr/lib/modules, its usr is the base.
  const base = path.resolve(modulesDirectory(root, release), '../../..');
  await runCommand(depmod, ['-b', base, release], os.tmpdir(), options.signal);
}
