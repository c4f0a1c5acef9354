/** What a guest finds when it starts: shares of this machine, an initramfs, and the steps of its first process. */
import { existsSync, lstatSync, readFileSync, readdirSync, readlinkSync, realpathSync } from 'node:fs';
import path from 'node:path';
import { writeCpio, type CpioEntry } from './cpio';
import type { KernelModule } from './modules';

/** The port that carries the multiplexed protocol, and the one that tests may add. */
export const HOST_PORT = 'bpf-studio.host';
export const TEST_PORT = 'bpf-studio.test';

/** The bundle's files that the kernel host consists of, and where the guest has them. */
const hostFiles = ['kernel-host.js', 'bpf-studio.node'];
const GUEST_DIST = '/bpf-studio/dist';

/** A directory of this machine that the guest sees, read-only, over 9p. */
export interface Share {
  /** 9p mount tag, at most 31 bytes. */
  tag: string;
  source: string;
  /** Where the guest mounts it. */
  target: string;
}

export interface GuestSpec {
  /** The executable that runs this: Node, or VS Code's Electron, which acts as Node when told to. */
  node: string;
  electron: boolean;
  /** Directory with `kernel-host.js`, the addon and `vm-init`. */
  dist: string;
  modules: KernelModule[];
  /** Where the kernel's remaining modules are, for loading on demand; absent when unknown. */
  modulesDirectory?: string;
  release: string;
  /** The kernel's build configuration, to be found at /boot/config-RELEASE as everywhere. */
  configuration?: Buffer;
  /** Only tests: a script that Node runs in the guest beside the kernel host, with {@link TEST_PORT}. */
  testAgent?: string;
}

export interface Guest {
  shares: Share[];
  initramfs: Buffer;
}

/** mount(2) flags. */
const MS = { rdonly: 1, nosuid: 2, nodev: 4, noexec: 8 } as const;
/**
 * msize is the most that QEMU's 9p device takes in one message. The shares are read-only and outlive nothing, so
 * everything read may stay in the guest's page cache (`cache=loose`).
 */
const NINE_P = 'trans=virtio,version=9p2000.L,msize=512000,cache=loose';

export function buildGuest(spec: GuestSpec): Guest {
  const node = realpathSync(spec.node);
  const system = systemDirectories();
  const shares: Share[] = [...system.shares];
  /** The guest's path of a host path, sharing the directory `root` that holds it unless it is shared already. */
  const inGuest = (file: string, root: string, tag: string, target: string): string => {
    if (system.shares.some((share) => isInside(file, share.source))) return file;
    if (!shares.some((share) => share.tag === tag)) shares.push({ tag, source: root, target });
    return path.join(target, path.relative(root, file));
  };

  // Read page by page over 9p, Node would take longer to start than the kernel (on 5.10 three times as long), so it
  // is carried in the initramfs. Electron is larger and needs the resources beside it: its directory is shared.
  const guestNode = spec.electron
    ? inGuest(node, path.dirname(node), 'node', '/bpf-studio/node')
    : '/bpf-studio/node';
  const agent = spec.testAgent === undefined ? undefined : realpathSync(spec.testAgent);
  const guestAgent = agent && inGuest(agent, path.dirname(agent), 'test', '/bpf-studio/test');
  if (spec.modulesDirectory !== undefined) {
    const target = `/kernel/lib/modules/${spec.release}`;
    shares.push({ tag: 'modules', source: realpathSync(spec.modulesDirectory), target });
  }

  const plan = [
    ['mount', 'proc', '/proc', 'proc', MS.nosuid | MS.nodev | MS.noexec, ''],
    ['mount', 'sysfs', '/sys', 'sysfs', MS.nosuid | MS.nodev | MS.noexec, ''],
    ['say', 'loading modules'],
    ...spec.modules.map((module) => ['insmod', `/modules/${module.fileName}`]),
    ['say', 'mounting'],
    // Directories before those inside them.
    ...[...shares]
      .sort((a, b) => a.target.length - b.target.length)
      .map((share) => ['mount', share.tag, share.target, '9p', MS.rdonly | MS.nosuid | MS.nodev, NINE_P]),
    ['mkdir', '/dev/shm'],
    ['mkdir', '/dev/pts'],
    ['?mount', 'tmpfs', '/dev/shm', 'tmpfs', MS.nosuid | MS.nodev, 'mode=1777'],
    ['?mount', 'devpts', '/dev/pts', 'devpts', MS.nosuid | MS.noexec, 'mode=620,ptmxmode=666'],
    ['mount', 'tmpfs', '/tmp', 'tmpfs', MS.nosuid | MS.nodev, 'mode=1777'],
    ['mount', 'tmpfs', '/run', 'tmpfs', MS.nosuid | MS.nodev, 'mode=755'],
    ['?mount', 'bpf', '/sys/fs/bpf', 'bpf', MS.nosuid | MS.nodev | MS.noexec, 'mode=700'],
    ['?mount', 'debugfs', '/sys/kernel/debug', 'debugfs', MS.nosuid | MS.nodev | MS.noexec, ''],
    ['?mount', 'tracefs', '/sys/kernel/tracing', 'tracefs', MS.nosuid | MS.nodev | MS.noexec, ''],
    ['?mount', 'securityfs', '/sys/kernel/security', 'securityfs', MS.nosuid | MS.nodev | MS.noexec, ''],
    ['?mount', 'cgroup2', '/sys/fs/cgroup', 'cgroup2', MS.nosuid | MS.nodev | MS.noexec, ''],
    ['up', 'lo'],
    ['hostname', 'bpf-studio'],
    ['?write', '/proc/sys/kernel/modprobe', '/modprobe'],
    ['env', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
    ['env', 'ELECTRON_RUN_AS_NODE=1'],
    ['port', HOST_PORT, 10_000],
    ...(guestAgent
      ? [
          ['port', TEST_PORT, 10_000],
          ['spawn', guestNode, guestAgent, `/dev/virtio-ports/${TEST_PORT}`],
        ]
      : []),
    ['say', 'starting the kernel host'],
    ['bridge', `/dev/virtio-ports/${HOST_PORT}`],
    ['run', guestNode, `${GUEST_DIST}/kernel-host.js`, '--channel', 'fd:3'],
  ];

  const file = (name: string, data: Buffer, executable = false): CpioEntry => ({
    kind: 'file',
    path: name,
    data,
    executable,
  });
  const members: CpioEntry[] = [
    file('/init', readFileSync(path.join(spec.dist, 'vm-init')), true),
    file('/boot.plan', Buffer.from(plan.map((step) => step.join('\t')).join('\n'))),
    { kind: 'symlink', path: '/modprobe', target: '/init' },
    { kind: 'symlink', path: '/var/run', target: '/run' },
    ...spec.modules.map((module) => file(`/modules/${module.fileName}`, module.data)),
    ...hostFiles.map((name) => file(`${GUEST_DIST}/${name}`, readFileSync(path.join(spec.dist, name)))),
    ...(spec.electron ? [] : [file(guestNode, loadedPart(node), true)]),
    ...(spec.configuration ? [file(`/boot/config-${spec.release}`, spec.configuration)] : []),
    ...system.symlinks,
    ...configuration(),
  ];
  const mountPoints = ['/proc', '/sys', '/dev', '/tmp', '/run', ...shares.map((share) => share.target)];
  const needed = directories([
    ...mountPoints,
    '/root',
    ...members.map((member) => path.dirname(member.path)),
  ]);
  return { shares, initramfs: writeCpio([...needed, ...members]) };
}

/** An executable without the symbols and debug information behind the last segment that is loaded. */
function loadedPart(executable: string): Buffer {
  const file = readFileSync(executable);
  const programHeaders = Number(file.readBigUInt64LE(32));
  let end = 0;
  for (let i = 0; i < file.readUInt16LE(56); i++) {
    const at = programHeaders + i * file.readUInt16LE(54);
    end = Math.max(end, Number(file.readBigUInt64LE(at + 8) + file.readBigUInt64LE(at + 32)));
  }
  return file.subarray(0, end);
}

function isInside(file: string, directory: string): boolean {
  return file === directory || file.startsWith(`${directory}/`);
}

/** The directories on the way to each of `paths`, and they themselves, each once, parents first. */
function directories(paths: readonly string[]): CpioEntry[] {
  const all = new Set<string>();
  for (const full of paths) {
    const parts = full.split('/').filter(Boolean);
    parts.forEach((_, i) => all.add(`/${parts.slice(0, i + 1).join('/')}`));
  }
  return [...all].map((directory) => ({ kind: 'directory', path: directory }));
}

/**
 * The directories that hold a system's programs and libraries. Most distributions have them all under /usr and
 * symbolic links beside it, which the guest gets as links; a real directory is shared on its own.
 */
function systemDirectories(): { shares: Share[]; symlinks: CpioEntry[] } {
  const shares: Share[] = [{ tag: 'usr', source: '/usr', target: '/usr' }];
  const symlinks: CpioEntry[] = [];
  for (const name of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']) {
    const full = `/${name}`;
    if (!existsSync(full)) continue;
    if (lstatSync(full).isSymbolicLink())
      symlinks.push({ kind: 'symlink', path: full, target: readlinkSync(full) });
    else shares.push({ tag: name, source: full, target: full });
  }
  return { shares, symlinks };
}

/** The few files of /etc that libraries and network tools read, and the links by which Debian chooses tools. */
function configuration(): CpioEntry[] {
  const file = (name: string, text: string): CpioEntry => ({
    kind: 'file',
    path: `/etc/${name}`,
    data: Buffer.from(text),
  });
  const copies = ['ld.so.cache', 'protocols', 'services'].filter((name) => existsSync(`/etc/${name}`));
  const alternatives = existsSync('/etc/alternatives') ? readdirSync('/etc/alternatives') : [];
  return [
    file('passwd', 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n'),
    file('group', 'root:x:0:\nnogroup:x:65534:\n'),
    file('hosts', '127.0.0.1 localhost bpf-studio\n::1 localhost\n'),
    file('nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files\n'),
    ...copies.map((name): CpioEntry => ({
      kind: 'file',
      path: `/etc/${name}`,
      data: readFileSync(`/etc/${name}`),
    })),
    ...alternatives
      .filter((name) => lstatSync(`/etc/alternatives/${name}`).isSymbolicLink())
      .map((name): CpioEntry => {
        const link = `/etc/alternatives/${name}`;
        return { kind: 'symlink', path: link, target: readlinkSync(link) };
      }),
  ];
}
