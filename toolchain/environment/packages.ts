/** Commands that install what is missing, in the words of the distribution this machine runs. */

/** `ID` and `ID_LIKE` of os-release(5), the most specific first. */
export type Distribution = string[];

export function parseOsRelease(text: string): Distribution {
  const field = (key: string) => new RegExp(`^${key}="?([^"\\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return [field('ID'), ...field('ID_LIKE').split(' ')].filter((id) => id !== '');
}

type Family = 'debian' | 'fedora' | 'arch' | 'suse' | 'alpine';

const families: Record<string, Family> = {
  debian: 'debian',
  ubuntu: 'debian',
  fedora: 'fedora',
  rhel: 'fedora',
  centos: 'fedora',
  arch: 'arch',
  suse: 'suse',
  opensuse: 'suse',
  alpine: 'alpine',
};

const installers: Record<Family, string> = {
  debian: 'apt-get install -y',
  fedora: 'dnf install -y',
  arch: 'pacman -S --needed',
  suse: 'zypper install',
  alpine: 'apk add',
};

/** Component → package by family. */
const packages = {
  clang: { debian: 'clang', fedora: 'clang', arch: 'clang', suse: 'clang', alpine: 'clang' },
  libbpf: {
    debian: 'libbpf-dev',
    fedora: 'libbpf-devel',
    arch: 'libbpf',
    suse: 'libbpf-devel',
    alpine: 'libbpf-dev',
  },
  qemu: {
    debian: 'qemu-system-x86',
    fedora: 'qemu-system-x86-core',
    arch: 'qemu-system-x86',
    suse: 'qemu-x86',
    alpine: 'qemu-system-x86_64',
  },
} as const satisfies Record<string, Record<Family, string>>;

export type Component = keyof typeof packages;

/**
 * The command that installs a component, with `sudo` unless the user is root already. On a distribution that is not
 * known here the answer is a sentence, not a command.
 */
export function installCommand(component: Component, distribution: Distribution, isRoot: boolean): string {
  const id = distribution.find((name) => name in families);
  const family = id === undefined ? undefined : families[id];
  if (family === undefined)
    return `Install ${packages[component].debian} with this system's package manager.`;
  const name = packages[component][family];
  return `${isRoot ? '' : 'sudo '}${installers[family]} ${name}`;
}
