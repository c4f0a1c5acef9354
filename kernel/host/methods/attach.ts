/** Requests that attach programs and end attachments. */
import type { AddonLink } from '../../addon/addon';
import { isAddonError } from '../../addon/addon';
import type { LinkDescription } from '../../protocol';
import { attachError } from '../attach-errors';
import { failure } from '../errors';
import { linkOf } from '../held-link';
import { attachTo } from '../hooks';
import type { Handlers, HeldLink, Session } from '../session';

type AttachHandlers = Pick<Handlers, 'attach' | 'attachStructOps' | 'detach' | 'iterRead'>;

export const attachHandlers: AttachHandlers = {
  async attach(session, { program: handle, spec }, operation) {
    const program = session.program(handle);
    try {
      return hold(session, await attachTo(session, program, spec, operation));
    } catch (error) {
      throw isAddonError(error) && error.code !== 'ECANCELED' ? attachError(error, program, spec) : error;
    }
  },

  async attachStructOps(session, { map: handle }, operation) {
    const map = session.map(handle);
    if (map.object === undefined || !map.structOps) {
      throw failure(
        'badRequest',
        'attachStructOps',
        `map ${map.name} (${map.type}) is no struct_ops map of an object`,
      );
    }
    const { addon, guardian } = session.host;
    // Without BPF_F_LINK the registration belongs to the map, which then holds on to itself.
    const linked = (map.flags & BPF_F_LINK) !== 0;
    const undone = linked ? () => {} : await guardian.promise({ kind: 'structOps', mapId: map.id });
    let link: AddonLink;
    try {
      link = await addon.attachStructOps(operation, session.object(map.object).object, map.name);
    } catch (error) {
      undone();
      throw error;
    }
    const description = `struct_ops ${map.name}`;
    const held = await linkOf(session, map.object, description, link, linked ? 'link' : 'struct_ops map');
    const { detach } = held;
    held.detach = async () => {
      await detach();
      undone();
    };
    return hold(session, held);
  },

  async detach(session, { link: handle }) {
    const link = session.links.get(handle);
    if (!link)
      throw failure('badRequest', 'detach', `this session has no link ${handle}; it was detached already`);
    session.links.delete(handle);
    await link.detach();
    return {};
  },

  async iterRead(session, { link: handle, maxBytes }, operation) {
    const link = session.links.get(handle)?.link;
    if (!link) throw failure('badRequest', 'iterRead', `this session has no iterator link ${handle}`);
    return session.host.addon.iterRead(operation, link, maxBytes);
  },
};

/** Map flag of struct_ops that are registered through a link. */
const BPF_F_LINK = 1 << 13;
/** Keeps a link in the session and says what it is. */
function hold(session: Session, link: HeldLink): { link: number } & LinkDescription {
  const handle = session.newHandle();
  session.links.set(handle, link);
  session.watchLinks();
  return {
    link: handle,
    description: link.description,
    mechanism: link.mechanism,
    ...(link.id === undefined ? {} : { id: link.id }),
  };
}
