/** Every hook: how a program is attached to it, in words what that is, and how it ends. */
import { readFileSync, statSync } from 'node:fs';
import type { AddonLink, Operation } from '../addon/addon';
import { isAddonError } from '../addon/addon';
import type { AttachSpec } from '../protocol';
import { failure } from './errors';
import type { Cleanup } from './guardian';
import { undo } from './guardian';
import { goneReason } from './link-watch';
import type { HeldLink, HeldProgram, Session } from './session';

const XDP_FLAGS = { generic: 2, native: 4, offload: 8 } as const;
const NFPROTO = { ipv4: 2, ipv6: 10 } as const;
const NF_INET = { prerouting: 0, localIn: 1, forward: 2, localOut: 3, postrouting: 4 } as const;
const BPF_F_NETFILTER_IP_DEFRAG = 1;

export async function linkOf(
  session: Session,
  object: number,
  description: string,
  link: AddonLink,
  mechanism = 'link',
): Promise<HeldLink> {
  const { addon } = session.host;
  // What is not a link may be a map, whose information reads as nonsense in a link's structure.
  const id = mechanism === 'link' || mechanism === 'tcx' ? await idOf(session, link) : undefined;
  return {
    description,
    mechanism: mechanism === 'link' && id === undefined ? 'perf' : mechanism,
    object,
    link,
    ...(id === undefined ? {} : { id }),
    detach: () => addon.linkDetach(null, link),
    goneReason: () => (id === undefined ? Promise.resolve(undefined) : goneReason(addon, link)),
  };
}

/** The link's id; undefined for perf events and sockets, which the kernel has no link object for. */
async function idOf(session: Session, link: AddonLink): Promise<number | undefined> {
  try {
    return (await session.host.addon.linkInfo(null, session.host.addon.linkFd(link))).id;
  } catch (error) {
    if (isAddonError(error) && error.code !== 'ECANCELED') return undefined;
    throw error;
  }
}

function where(netns: string | undefined): string {
  return netns ? ` in ${netns}` : '';
}

/** Attaches a loaded program as the spec says. */
export async function attachTo(
  session: Session,
  program: HeldProgram,
  spec: AttachSpec,
  operation: Operation,
): Promise<HeldLink> {
  const { addon } = session.host;
  const { object } = session.object(program.object);
  const { name } = program;
  const made = (description: string, link: AddonLink, mechanism?: string) =>
    linkOf(session, program.object, description, link, mechanism);
  switch (spec.hook) {
    case 'auto':
      return made(`${program.section} (${name})`, await addon.attachAuto(operation, object, name));
    case 'kprobe': {
      const what = `${spec.return ? 'kretprobe' : 'kprobe'} ${spec.function}${spec.offset ? `+${spec.offset}` : ''}`;
      return made(what, await addon.attachKprobe(operation, object, name, spec));
    }
    case 'kprobeMulti': {
      const what = spec.pattern ?? spec.functions?.join(', ');
      if (!what) throw failure('badRequest', 'attach', 'kprobeMulti needs a pattern or a list of functions');
      const kind = spec.return ? 'kretprobe.multi' : 'kprobe.multi';
      return made(`${kind} ${what}`, await addon.attachKprobeMulti(operation, object, name, spec));
    }
    case 'tracepoint':
      return made(
        `tracepoint ${spec.category}:${spec.name}`,
        await addon.attachTracepoint(operation, object, name, spec),
      );
    case 'rawTracepoint':
      return made(`raw_tp ${spec.name}`, await addon.attachRawTracepoint(operation, object, name, spec));
    case 'trace':
      return made(program.section, await addon.attachTrace(operation, object, name));
    case 'uprobe': {
      const place = spec.function ?? `0x${(spec.offset ?? 0n).toString(16)}`;
      const what = `${spec.return ? 'uretprobe' : 'uprobe'} ${spec.binary}:${place}${spec.pid ? ` in process ${spec.pid}` : ''}`;
      return ofProcess(await made(what, await addon.attachUprobe(operation, object, name, spec)), spec.pid);
    }
    case 'usdt': {
      const what = `usdt ${spec.binary}:${spec.provider}:${spec.name}${spec.pid ? ` in process ${spec.pid}` : ''}`;
      return ofProcess(await made(what, await addon.attachUsdt(operation, object, name, spec)), spec.pid);
    }
    case 'perfEvent':
      return attachPerfEvent(session, program, spec, operation);
    case 'xdp': {
      const flags = spec.mode ? XDP_FLAGS[spec.mode] : 0;
      const link = await addon.attachXdp(operation, object, name, { ...spec, flags });
      const mode = spec.mode ?? (await xdpMode(session, program, spec.interface, spec.netns));
      return made(`xdp on ${spec.interface} (${mode})${where(spec.netns)}`, link);
    }
    case 'tc':
      return attachTc(session, program, spec, operation);
    case 'netkit': {
      const link = await addon.attachNetkit(operation, object, name, { ...spec, peer: spec.side === 'peer' });
      return made(`netkit ${spec.interface} (${spec.side})${where(spec.netns)}`, link);
    }
    case 'cgroup':
      return made(`cgroup ${spec.path}`, await addon.attachCgroup(operation, object, name, spec));
    case 'sockmap':
      return attachSockmap(session, program, spec.map, operation);
    case 'iter': {
      const map = spec.map === undefined ? undefined : session.map(spec.map);
      const link = await addon.attachIter(operation, object, name, { map: map?.fd, pid: spec.pid });
      return made(`${program.section}${map ? ` over map ${map.name}` : ''}`, link);
    }
    case 'netfilter': {
      const link = await addon.attachNetfilter(operation, object, name, {
        family: NFPROTO[spec.family],
        hookNumber: NF_INET[spec.hookNumber],
        priority: spec.priority,
        flags: spec.defragment ? BPF_F_NETFILTER_IP_DEFRAG : 0,
        netns: spec.netns,
      });
      return made(
        `netfilter ${spec.family} ${spec.hookNumber} priority ${spec.priority}${where(spec.netns)}`,
        link,
      );
    }
    case 'netns':
      return made(
        `${program.section} on network namespace ${spec.netns ?? 'of the host'}`,
        await addon.attachNetns(operation, object, name, spec),
      );
    case 'socket': {
      const link = await addon.attachSocket(operation, object, name, spec);
      const held = await made(`socket filter on ${spec.interface}${where(spec.netns)}`, link, 'socket');
      const exists = async () =>
        (await addon.listInterfaces(null, spec.netns)).some((one) => one.name === spec.interface);
      held.goneReason = async () => ((await exists()) ? undefined : `interface ${spec.interface} is gone`);
      return held;
    }
  }
}

/** A probe in one process does nothing any more when that has ended. */
function ofProcess(link: HeldLink, pid: number | undefined): HeldLink {
  if (pid === undefined) return link;
  const before = link.goneReason;
  link.goneReason = async () => {
    try {
      process.kill(pid, 0);
    } catch (error) {
      // EPERM: it is there, and another user's.
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return `process ${pid} has ended`;
    }
    return before();
  };
  return link;
}

async function attachPerfEvent(
  session: Session,
  program: HeldProgram,
  spec: Extract<AttachSpec, { hook: 'perfEvent' }>,
  operation: Operation,
): Promise<HeldLink> {
  const { addon } = session.host;
  const { object } = session.object(program.object);
  if ((spec.samplePeriod === undefined) === (spec.sampleFrequency === undefined)) {
    throw failure('badRequest', 'attach', 'a perf event needs either samplePeriod or sampleFrequency');
  }
  const everyCpu = spec.cpu === undefined && spec.pid === undefined;
  const cpus = everyCpu ? onlineCpus() : [spec.cpu];
  const links: AddonLink[] = [];
  const detach = async () => {
    await Promise.all(links.map((link) => addon.linkDetach(null, link)));
  };
  try {
    for (const cpu of cpus) {
      links.push(await addon.attachPerfEvent(operation, object, program.name, { ...spec, cpu }));
    }
  } catch (error) {
    await detach();
    throw error;
  }
  const place = everyCpu ? `${cpus.length} CPUs` : spec.pid ? `process ${spec.pid}` : `CPU ${spec.cpu}`;
  const held: HeldLink = {
    description: `perf event type ${spec.type} config ${spec.config} on ${place}`,
    mechanism: 'perf',
    object: program.object,
    detach,
    goneReason: () => Promise.resolve(undefined),
  };
  return ofProcess(held, spec.pid);
}

/** From a list such as `0-3,8`. */
function onlineCpus(): number[] {
  return readFileSync('/sys/devices/system/cpu/online', 'utf8')
    .trim()
    .split(',')
    .flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
}

/** Which mode the kernel chose, from where the interface lists the program. */
async function xdpMode(
  session: Session,
  program: HeldProgram,
  name: string,
  netns: string | undefined,
): Promise<string> {
  const { addon } = session.host;
  const [interfaces, { id }] = await Promise.all([
    addon.listInterfaces(null, netns),
    addon.programInfo(null, program.fd),
  ]);
  const found = interfaces.find((one) => one.name === name);
  if (found?.xdpGeneric === id) return 'generic';
  return found?.xdpOffload === id ? 'offload' : 'native';
}

/** Interfaces (namespace and index) whose clsact qdisc this host made: whoever of it detaches last removes it. */
const ownQdiscs = new Set<string>();

async function attachTc(
  session: Session,
  program: HeldProgram,
  spec: Extract<AttachSpec, { hook: 'tc' }>,
  operation: Operation,
): Promise<HeldLink> {
  const { addon, guardian } = session.host;
  const { object } = session.object(program.object);
  const ingress = spec.direction === 'ingress';
  const what = `tc ${spec.direction} on ${spec.interface}`;
  if (spec.implementation !== 'clsact') {
    try {
      const link = await addon.attachTcx(operation, object, program.name, { ...spec, ingress });
      return await linkOf(session, program.object, `${what} (tcx)${where(spec.netns)}`, link, 'tcx');
    } catch (error) {
      // EINVAL: a kernel before 6.6 does not know the attach type.
      const unknown = isAddonError(error) && error.operation === 'BPF_LINK_CREATE' && error.code === 'EINVAL';
      if (!unknown || spec.implementation === 'tcx') throw error;
    }
  }
  const { id: programId } = await addon.programInfo(null, program.fd);
  const qdisc = await addon.tcCreateQdisc(operation, spec.interface, spec.netns);
  const netnsInode = statSync(spec.netns ?? '/proc/self/ns/net').ino;
  const key = `${netnsInode}:${qdisc.ifindex}`;
  if (qdisc.created) ownQdiscs.add(key);
  const cleanup = {
    kind: 'tc',
    filter: { ifindex: qdisc.ifindex, ingress, programId, createdQdisc: ownQdiscs.has(key) },
    netns: spec.netns,
    netnsInode,
  } satisfies Cleanup;
  const undone = await guardian.promise(cleanup);
  const detach = async () => {
    if (await undo(addon, cleanup)) ownQdiscs.delete(key);
    undone();
  };
  try {
    await addon.tcAttach(operation, object, program.name, {
      ifindex: qdisc.ifindex,
      ingress,
      netns: spec.netns,
    });
  } catch (error) {
    await detach();
    throw error;
  }
  return {
    description: `${what} (clsact)${where(spec.netns)}`,
    mechanism: 'clsact',
    object: program.object,
    detach,
    goneReason: async () =>
      (await addon.tcIsAttached(null, cleanup.filter, spec.netns))
        ? undefined
        : `the filter or interface ${spec.interface} is gone`,
  };
}

async function attachSockmap(
  session: Session,
  program: HeldProgram,
  mapHandle: number,
  operation: Operation,
): Promise<HeldLink> {
  const { addon } = session.host;
  const { object } = session.object(program.object);
  const map = session.map(mapHandle);
  const description = `${program.section} on ${map.type} ${map.name}`;
  try {
    const link = await addon.attachSockmap(operation, object, program.name, { map: map.fd });
    return await linkOf(session, program.object, description, link);
  } catch (error) {
    // Links of sockmaps came with 6.10; before that the kernel calls the attach type invalid.
    if (!isAddonError(error) || error.code !== 'EINVAL') throw error;
  }
  await addon.attachSockmapWithoutLink(operation, object, program.name, { map: map.fd });
  return {
    description,
    mechanism: 'prog_attach',
    object: program.object,
    detach: () => addon.detachSockmap(null, object, program.name, { map: map.fd }),
    goneReason: () => Promise.resolve(undefined),
  };
}
