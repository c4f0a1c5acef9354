/** Every hook: how a program is attached to it, in words what that is, and how it ends. */
import { readFileSync } from 'node:fs';
import type { AddonLink, Operation } from '../addon/addon';
import { isAddonError } from '../addon/addon';
import type { AttachSpec } from '../protocol';
import { failure } from './errors';
import { linkOf, where } from './held-link';
import { attachTc } from './tc';
import type { HeldLink, HeldProgram, Session } from './session';

const XDP_FLAGS = { generic: 2, native: 4, offload: 8 } as const;
const NFPROTO = { ipv4: 2, ipv6: 10 } as const;
const NF_INET = { prerouting: 0, localIn: 1, forward: 2, localOut: 3, postrouting: 4 } as const;
const BPF_F_NETFILTER_IP_DEFRAG = 1;

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
  const { attachTypeNumber } = addon.objectPrograms(object).find(({ name }) => name === program.name)!;
  const place = { map: map.fd, attachType: attachTypeNumber };
  let { fd } = program;
  await addon.sockmapAttach(operation, { ...place, program: fd });
  return {
    description,
    mechanism: 'prog_attach',
    object: program.object,
    detach: () => addon.sockmapDetach(null, { ...place, program: fd }),
    exchange: async (other, exchanging) => {
      await addon.sockmapAttach(exchanging, { ...place, program: other.fd });
      ({ fd } = other);
    },
    goneReason: () => Promise.resolve(undefined),
  };
}
