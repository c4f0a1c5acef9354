// `npm run setup`: installs what this machine lacks to build, test and demonstrate BPF Studio, on Debian and Ubuntu.
// Says what and why before it does anything; nothing is installed twice. Uses no npm package, since it installs them.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/**
 * What is needed, for what, and how its presence is seen. `packages` are alternatives: the first that the
 * distribution has is installed (Debian and Ubuntu differ in some names).
 */
const requirements = [
  { for: ['build'], have: command('g++'), packages: ['g++'], why: 'compiles the addon' },
  { for: ['build'], have: command('make'), packages: ['make'], why: 'builds libbpf' },
  { for: ['build'], have: command('pkg-config'), packages: ['pkg-config'], why: 'finds an installed libbpf' },
  {
    for: ['build'],
    have: file('/usr/include/libelf.h'),
    packages: ['libelf-dev'],
    why: 'libbpf reads ELF with it',
  },
  {
    for: ['build'],
    have: file('/usr/include/zlib.h'),
    packages: ['zlib1g-dev'],
    why: 'libelf and libbpf use it',
  },
  { for: ['use'], have: newestClang, packages: () => versioned('clang'), why: 'compiles BPF programs' },
  {
    for: ['use'],
    have: command('qemu-system-x86_64'),
    packages: ['qemu-system-x86'],
    why: 'runs kernels in a VM, without root',
  },
  {
    for: ['test'],
    have: command('ip'),
    packages: ['iproute2'],
    why: 'makes network namespaces and veth pairs',
  },
  { for: ['test'], have: command('ping'), packages: ['iputils-ping'], why: 'makes traffic' },
  { for: ['test'], have: command('python3'), packages: ['python3'], why: 'makes TCP and UDP traffic' },
  {
    for: ['test'],
    have: commandIn('bpftool', ['/usr/sbin']),
    packages: ['bpftool', 'linux-tools-generic'],
    why: 'second opinion on maps and programs, and the benchmark',
  },
  { for: ['test'], have: command('tcpdump'), packages: ['tcpdump'], why: 'writes captures to compare with' },
  { for: ['test'], have: command('hexdump'), packages: ['bsdextrautils'], why: 'writes dumps to read back' },
  {
    for: ['use'],
    have: commandIn('depmod', ['/usr/sbin', '/sbin']),
    packages: ['kmod'],
    why: "lists the modules of a VM's kernel",
  },
  { for: ['test'], have: command('ps'), packages: ['procps'], why: 'shows what a test left running' },
  {
    for: ['test'],
    have: onPath(/^llvm-objcopy(-\d+)?$/),
    packages: () => versioned('llvm'),
    why: 'makes objects without BTF and the like',
  },
  { for: ['test'], have: command('zstd'), packages: ['zstd'], why: "unpacks kernels' images" },
  { for: ['test'], have: command('xz'), packages: ['xz-utils'], why: "unpacks test kernels' packages" },
  { for: ['test'], have: command('dpkg-deb'), packages: ['dpkg'], why: "unpacks test kernels' packages" },
  {
    for: ['editor'],
    have: commandIn(['chromium', 'chromium-browser', 'google-chrome'], ['/usr/bin', '/snap/bin']),
    packages: ['chromium', 'chromium-browser'],
    why: 'shows VS Code in tests and in the demo without a desktop',
  },
  {
    for: ['editor'],
    have: file('/usr/share/fonts/truetype/dejavu'),
    packages: ['fonts-dejavu-core'],
    why: 'a browser without fonts shows no text',
  },
  {
    for: ['editor', 'test'],
    have: file('/etc/ssl/certs/ca-certificates.crt'),
    packages: ['ca-certificates'],
    why: 'npm and apt over TLS',
  },
];

export const groups = ['build', 'use', 'test', 'editor'];

/**
 * Installs what is missing for the given groups, then the npm packages. Throws an Error that says what failed and
 * what to run by hand.
 */
export function setup({ only = groups, log = console.log } = {}) {
  const major = Number(process.versions.node.split('.')[0]);
  if (major < 20) {
    throw new Error(
      `Node ${process.versions.node} is too old: BPF Studio needs 20 or newer. Install one and run this again.`,
    );
  }
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`BPF Studio builds on Linux x86-64; this is ${process.platform} ${process.arch}.`);
  }
  const missing = requirements.filter(
    (item) => item.for.some((group) => only.includes(group)) && !item.have(),
  );
  if (missing.length === 0) log('setup: every system package is there');
  else installPackages(missing, log);
  installNodeModules(log);
}

function installPackages(missing, log) {
  const describe = () =>
    missing.map((item) => `  ${choosePackage(item) ?? nameOf(item)} – ${item.why}`).join('\n');
  if (!command('apt-get')()) {
    throw new Error(
      `These are missing, and this script can install them only with apt (Debian, Ubuntu):\n${describe()}\n` +
        "Install them with this system's package manager and run it again.",
    );
  }
  log(`setup: missing on this machine:\n${describe()}`);
  const elevate = os.userInfo().uid === 0 ? [] : ['sudo'];
  if (elevate.length > 0 && !command('sudo')()) {
    throw new Error('Installing packages needs root, and there is no sudo. Run as root: npm run setup');
  }
  // A first look without fetching anything: many machines have fresh lists. Any gap, and they are fetched.
  let chosen = missing.map(choosePackage);
  if (chosen.includes(null)) {
    apt(elevate, ['update'], log);
    chosen = missing.map(choosePackage);
  }
  const absent = missing.filter((_, index) => chosen[index] === null);
  if (absent.length > 0) {
    throw new Error(
      `apt knows none of ${absent.map(nameOf).join('; ')}. ` +
        "Enable the distribution's main (Ubuntu: and universe) component, run `sudo apt-get update`, and try again.",
    );
  }
  const wanted = [...new Set(chosen)];
  const install = ['install', '-y', '--no-install-recommends', ...wanted];
  if (!apt(elevate, install, log, { mayFail: true })) {
    // Stale lists name files that the archive has replaced since.
    apt(elevate, ['update'], log);
    apt(elevate, install, log);
  }
  const still = missing.filter((item) => !item.have());
  if (still.length > 0) {
    throw new Error(
      `After the installation these are still not found: ${still.map(({ why }) => why).join('; ')}. ` +
        `Installed were: ${wanted.join(', ')}. Check PATH (${process.env.PATH}).`,
    );
  }
}

function choosePackage({ packages }) {
  const names = typeof packages === 'function' ? packages() : packages;
  return names.find(isAvailable) ?? null;
}

/** Whether apt could install it from the lists it has. */
function isAvailable(name) {
  const { stdout } = spawnSync('apt-cache', ['policy', name], { encoding: 'utf8' });
  const candidate = /Candidate: (\S+)/.exec(stdout ?? '')?.[1];
  return candidate !== undefined && candidate !== '(none)';
}

function apt(elevate, args, log, { mayFail = false } = {}) {
  const [program, ...rest] = [
    ...elevate,
    'env',
    'DEBIAN_FRONTEND=noninteractive',
    'apt-get',
    '-q',
    '-o',
    'DPkg::Lock::Timeout=300',
    ...args,
  ];
  log(`setup: ${[...elevate, 'apt-get', ...args].join(' ')}`);
  // sudo asks for its password on the terminal; apt itself must not wait for an answer.
  const result = spawnSync(program, rest, {
    stdio: [elevate.length > 0 && process.stdin.isTTY ? 'inherit' : 'ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    timeout: 15 * 60_000,
    maxBuffer: 1 << 26,
  });
  if (result.status === 0) return true;
  if (mayFail) return false;
  const output = `${result.error?.message ?? ''}\n${result.stdout ?? ''}\n${result.stderr ?? ''}`.trim();
  throw new Error(`${program} ${rest.join(' ')} failed:\n${output.split('\n').slice(-15).join('\n')}`);
}

/** `npm ci` when node_modules is missing or older than what package-lock.json asks for. */
function installNodeModules(log) {
  const installed = path.join(root, 'node_modules', '.package-lock.json');
  const lock = path.join(root, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  if (existsSync(installed) && sameVersions(lock, installed)) return;
  log('setup: npm ci');
  const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    timeout: 10 * 60_000,
  });
  if (result.status !== 0) {
    throw new Error(
      `npm ci failed${result.error ? ` (${result.error.message})` : ''}. Check the network and npm's registry, then run it again.`,
    );
  }
}

/** A fresh checkout gives package-lock.json a new time without changing it. */
function sameVersions(lock, installed) {
  const versions = (file) =>
    JSON.stringify(
      Object.entries(JSON.parse(readFileSync(file, 'utf8')).packages)
        .filter(([name, { optional }]) => name !== '' && !optional)
        .map(([name, { version }]) => [name, version]),
    );
  return versions(lock) === versions(installed);
}

/** What to call it before apt's lists are there to choose from: the last alternative is the plainest. */
function nameOf({ packages }) {
  const names = typeof packages === 'function' ? packages() : packages;
  return names.at(-1);
}

function onPath(pattern) {
  return () =>
    (process.env.PATH ?? '')
      .split(path.delimiter)
      .some(
        (directory) => existsSync(directory) && readdirSync(directory).some((name) => pattern.test(name)),
      );
}

function file(name) {
  return () => existsSync(name);
}

function command(name) {
  return commandIn(name, []);
}

/** Whether one of the names is on PATH or in one of the further directories. */
function commandIn(names, directories) {
  return () => {
    const all = [...(process.env.PATH ?? '').split(path.delimiter), ...directories];
    return [names].flat().some((name) => all.some((directory) => existsSync(path.join(directory, name))));
  };
}

/** Some clang of at least version 14 with the BPF back end that comes with every distribution's. */
function newestClang() {
  for (const directory of (process.env.PATH ?? '').split(path.delimiter)) {
    if (!existsSync(directory)) continue;
    const names = readdirSync(directory).filter((name) => /^clang(-\d+)?$/.test(name));
    for (const name of names) {
      const { stdout } = spawnSync(path.join(directory, name), ['--version'], { encoding: 'utf8' });
      if (Number(/clang version (\d+)/.exec(stdout ?? '')?.[1] ?? 0) >= 14) return true;
    }
  }
  return false;
}

/** `clang-19`, `clang-18` … as apt knows them, newest first, then the plain name. */
function versioned(name) {
  const { stdout } = spawnSync('apt-cache', ['search', '--names-only', `^${name}-[0-9]+$`], {
    encoding: 'utf8',
  });
  const versions = [...(stdout ?? '').matchAll(new RegExp(`^${name}-(\\d+)\\b`, 'gm'))].map((match) =>
    Number(match[1]),
  );
  const newest = [...new Set(versions)].filter((version) => version >= 14).sort((a, b) => b - a);
  return [...newest.map((version) => `${name}-${version}`), name];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    setup();
    console.log('setup: done. Next: npm run build, npm test or npm run demo.');
  } catch (error) {
    console.error(`setup: ${error.message}`);
    process.exitCode = 1;
  }
}
