/** What the session keeps of a link. */
import type { AddonLink } from '../addon/addon';
import { isAddonError } from '../addon/addon';
import { goneReason } from './link-watch';
import type { HeldLink, Session } from './session';

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

export function where(netns: string | undefined): string {
  return netns ? ` in ${netns}` : '';
}
