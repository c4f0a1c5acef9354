/** Requests that list what is loaded in the kernel and what programs can be attached to. */
import { closeSync, openSync, readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Addon, AddonLinkInfo } from '../../addon/addon';
import { isAddonError } from '../../addon/addon';
import type { NetworkInterface, Results } from '../../protocol';
import { failure } from '../errors';
import type { Handlers } from '../session';
import { findTracefs, tracefsMissing } from '../tracefs';
import { mapDescriptionById } from './maps';

type ListHandlers = Pick<
  Handlers,
  | 'listPrograms'
  | 'listMaps'
  | 'listLinks'
  | 'listBtf'
  | 'listInterfaces'
  | 'listProcesses'
  | 'listKernelFunctions'
  | 'listTracepoints'
  | 'listCgroups'
  | 'listNetworkNamespaces'
  | 'listBinarySymbols'
>;

export const listHandlers: ListHandlers = {
  async listPrograms({ host: { addon } }, _params, operation) {
    const [ids, holders] = await Promise.all([addon.listProgramIds(operation), addon.listHolders(operation)]);
    const pids = new Map(holders.programs);
    const programs = await each(addon, ids, addon.programOpenById, async (fd, id) => {
      const info = await addon.programInfo(null, fd);
      return {
        ...pick(info, ['type', 'name', 'tag', 'mapIds', 'btfId', 'runCount', 'runTimeNs', 'verifiedInsns']),
        id,
        loadedAtSeconds: bootTimeSeconds() + Number(info.loadTime / 1_000_000n) / 1000,
        pids: pids.get(id) ?? [],
      };
    });
    return { programs };
  },

  async listMaps({ host: { addon } }, _params, operation) {
    const [ids, holders] = await Promise.all([addon.listMapIds(operation), addon.listHolders(operation)]);
    const pids = new Map(holders.maps);
    const maps = await each(addon, ids, addon.mapOpenById, async (fd, id) => {
      const { handle: _handle, ...description } = await mapDescriptionById(addon, fd);
      return { ...description, pids: pids.get(id) ?? [] };
    });
    return { maps };
  },

  async listLinks({ host: { addon } }, _params, operation) {
    const ids = await addon.listLinkIds(operation);
    const links = await each(addon, ids, addon.linkOpenById, async (fd, id) => {
      const info = await addon.linkInfo(null, fd);
      return { id, type: info.type, programId: info.programId, description: describeLink(addon, info) };
    });
    return { links };
  },

  async listBtf({ host: { addon } }, _params, operation) {
    const ids = await addon.listBtfIds(operation);
    return { btfs: await each(addon, ids, addon.btfOpenById, (fd) => addon.btfInfo(null, fd)) };
  },

  async listInterfaces({ host: { addon } }, { netns }, operation) {
    const found = await addon.listInterfaces(operation, netns);
    return {
      interfaces: found.map(({ xdpNative, xdpGeneric, xdpOffload, ...one }): NetworkInterface => {
        const xdp = [
          { mode: 'native', programId: xdpNative },
          { mode: 'generic', programId: xdpGeneric },
          { mode: 'offload', programId: xdpOffload },
        ].find(({ programId }) => programId !== 0);
        return { ...one, ...(xdp ? { xdp } : {}) };
      }),
    };
  },

  async listProcesses() {
    const processes = (await readdir('/proc'))
      .filter((name) => /^\d+$/.test(name))
      .flatMap((pid) => describeProcess(pid) ?? []);
    return { processes };
  },

  async listKernelFunctions({ host: { addon } }, { contains, limit }, operation) {
    const source = functionList();
    return { ...(await addon.listKernelFunctions(operation, source, contains, limit)), source };
  },

  async listTracepoints(_session, { contains, limit }) {
    const tracefs = findTracefs();
    if (!tracefs) throw failure('unsupported', 'listTracepoints', tracefsMissing());
    const tracepoints = (await readFile(path.join(tracefs, 'available_events'), 'utf8'))
      .split('\n')
      .filter((line) => line.includes(':') && line.includes(contains))
      .map((line) => {
        const [category = '', name = ''] = line.split(':');
        return { category, name };
      });
    return { tracepoints: tracepoints.slice(0, limit), total: tracepoints.length };
  },

  async listCgroups(_session, { limit }) {
    const root = cgroupRoot();
    if (!root) {
      throw failure('unsupported', 'listCgroups', 'cgroup v2 is not mounted on this machine', {
        hint: 'Mount it: `sudo mount -t cgroup2 none /sys/fs/cgroup/unified`.',
      });
    }
    const cgroups = [root];
    for (let at = 0; at < cgroups.length && cgroups.length < limit; at++) {
      const parent = cgroups[at] ?? root;
      for (const entry of readdirSync(parent, { withFileTypes: true })) {
        if (entry.isDirectory() && cgroups.length < limit) cgroups.push(path.join(parent, entry.name));
      }
    }
    return { cgroups };
  },

  async listNetworkNamespaces() {
    const directory = '/run/netns';
    const names = await readdir(directory).catch(() => [] as string[]);
    return { namespaces: names.map((name) => ({ name, path: path.join(directory, name) })) };
  },

  async listBinarySymbols({ host: { addon } }, { binary, contains, limit }, operation) {
    return addon.listBinarySymbols(operation, binary, contains, limit);
  },
};

/**
 * Asks about each id through a descriptor. One that is gone meanwhile is left out, and so is a link that is being made:
 * it has an id before it can be had (EAGAIN of bpf_link_by_id(), kernel/bpf/syscall.c).
 */
async function each<T>(
  addon: Addon,
  ids: number[],
  open: (operation: null, id: number) => Promise<number>,
  ask: (fd: number, id: number) => Promise<T>,
): Promise<T[]> {
  const found: T[] = [];
  for (const id of ids) {
    let fd: number;
    try {
      fd = await open(null, id);
    } catch (error) {
      if (isAddonError(error) && ['ENOENT', 'EAGAIN'].includes(error.code)) continue;
      throw error;
    }
    try {
      found.push(await ask(fd, id));
    } finally {
      addon.closeFd(fd);
    }
  }
  return found;
}

function pick<T, K extends keyof T>(from: T, keys: K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>;
}

/** When the machine booted, in seconds since 1970: what the kernel's load times count from. */
function bootTimeSeconds(): number {
  return Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? 0);
}

function describeLink(addon: Addon, info: AddonLinkInfo): string {
  const attached = info.attachType === undefined ? '' : ` ${addon.attachTypeName(info.attachType)}`;
  const details = [
    info.name,
    info.ifindex === undefined
      ? ''
      : info.ifindex === 0
        ? 'on an interface that is gone'
        : `on interface ${info.ifindex}`,
    info.cgroupId ? `on cgroup ${info.cgroupId}` : '',
    info.netnsIno ? `on network namespace ${info.netnsIno}` : '',
    info.mapId ? `on map ${info.mapId}` : '',
    info.count ? `on ${info.count} functions` : '',
    info.priority === undefined ? '' : `priority ${info.priority}`,
  ];
  return `${info.type}${attached} ${details.filter(Boolean).join(' ')}`.trim();
}

const LONGEST_COMMAND_LINE = 1024;

/** Undefined for a process that ended meanwhile and for kernel threads, which have no executable. */
function describeProcess(pid: string): Results['listProcesses']['processes'][number] | undefined {
  try {
    return {
      pid: Number(pid),
      command: readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd(),
      arguments: readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        .slice(0, LONGEST_COMMAND_LINE)
        .replaceAll('\0', ' ')
        .trimEnd(),
      executable: readlinkSync(`/proc/${pid}/exe`),
      user: statSync(`/proc/${pid}`).uid,
    };
  } catch {
    return undefined;
  }
}

/**
 * The file that lists the functions kprobes can be put on. Without tracefs or dynamic ftrace, and where a security
 * policy keeps that list, all functions that the kernel has symbols for.
 */
function functionList(): string {
  const tracefs = findTracefs();
  const list = tracefs && path.join(tracefs, 'available_filter_functions');
  try {
    if (list) {
      closeSync(openSync(list, 'r'));
      return list;
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EPERM' && code !== 'EACCES') throw error;
  }
  return '/proc/kallsyms';
}

/** Where cgroup v2 is mounted. */
function cgroupRoot(): string | undefined {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .find((fields) => fields[2] === 'cgroup2')?.[1];
}
