/** tc: through a link where the kernel has tcx, otherwise as a filter on clsact. */
import { statSync } from 'node:fs';
import type { Operation } from '../addon/addon';
import { isAddonError } from '../addon/addon';
import type { AttachSpec } from '../protocol';
import type { Cleanup } from './guardian';
import { undo } from './guardian';
import { linkOf, where } from './held-link';
import type { HeldLink, HeldProgram, Session } from './session';

type TcSpec = Extract<AttachSpec, { hook: 'tc' }>;

export async function attachTc(
  session: Session,
  program: HeldProgram,
  spec: TcSpec,
  operation: Operation,
): Promise<HeldLink> {
  const { addon } = session.host;
  const { object } = session.object(program.object);
  const ingress = spec.direction === 'ingress';
  if (spec.implementation !== 'clsact') {
    try {
      const link = await addon.attachTcx(operation, object, program.name, { ...spec, ingress });
      return await linkOf(
        session,
        program.object,
        `${describe(spec)} (tcx)${where(spec.netns)}`,
        link,
        'tcx',
      );
    } catch (error) {
      // EINVAL: a kernel before 6.6 does not know the attach type.
      const unknown = isAddonError(error) && error.operation === 'BPF_LINK_CREATE' && error.code === 'EINVAL';
      if (!unknown || spec.implementation === 'tcx') throw error;
    }
  }
  return attachClsact(session, program, spec, operation);
}

function describe({ direction, interface: name }: TcSpec): string {
  return `tc ${direction} on ${name}`;
}

/** Interfaces (namespace and index) whose clsact qdisc this host made: whoever of it detaches last removes it. */
const ownQdiscs = new Set<string>();

async function attachClsact(
  session: Session,
  program: HeldProgram,
  spec: TcSpec,
  operation: Operation,
): Promise<HeldLink> {
  const { addon, guardian } = session.host;
  const { object } = session.object(program.object);
  const { netns } = spec;
  const ingress = spec.direction === 'ingress';
  const { ifindex, created } = await addon.tcCreateQdisc(operation, spec.interface, netns);
  const netnsInode = statSync(netns ?? '/proc/self/ns/net').ino;
  const key = `${netnsInode}:${ifindex}`;
  if (created) ownQdiscs.add(key);
  /** To be written down before the filter runs the program, by whose id it is found again. */
  const promise = async ({ fd }: HeldProgram) => {
    const { id: programId } = await addon.programInfo(null, fd);
    const filter = { ifindex, ingress, programId, createdQdisc: ownQdiscs.has(key) };
    const cleanup = { kind: 'tc', filter, netns, netnsInode } satisfies Cleanup;
    return { cleanup, undone: await guardian.promise(cleanup) };
  };
  let present = await promise(program);
  let isExchanging = false;
  const detach = async () => {
    if (await undo(addon, present.cleanup)) ownQdiscs.delete(key);
    present.undone();
  };
  try {
    await addon.tcAttach(operation, object, program.name, { ifindex, ingress, netns });
  } catch (error) {
    await detach();
    throw error;
  }
  return {
    description: `${describe(spec)} (clsact)${where(netns)}`,
    mechanism: 'clsact',
    object: program.object,
    detach,
    exchange: async (other, exchanging) => {
      const next = await promise(other);
      isExchanging = true;
      try {
        await addon.tcReplace(exchanging, other.fd, present.cleanup.filter, netns);
      } catch (error) {
        next.undone();
        throw error;
      } finally {
        isExchanging = false;
      }
      present.undone();
      present = next;
    },
    goneReason: async () => {
      const looked = present;
      if (await addon.tcIsAttached(null, looked.cleanup.filter, netns)) return undefined;
      // It came to run another program between the question and the look.
      if (isExchanging || present !== looked) return undefined;
      return `the filter or interface ${spec.interface} is gone`;
    },
  };
}
