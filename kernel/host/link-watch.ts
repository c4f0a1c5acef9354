/** Noticing that a link does nothing any more. The kernel keeps the link and clears what it was attached to. */
import type { Addon, AddonLink } from '../addon/addon';
import type { HeldLink } from './session';

const WATCH_MS = 1000;

/** Why the link is attached to nothing; undefined while it is, and for types that cannot lose their target. */
export async function goneReason(addon: Addon, link: AddonLink): Promise<string | undefined> {
  const fd = addon.linkFd(link);
  if (fd < 0) return undefined;
  const info = await addon.linkInfo(null, fd);
  if (info.ifindex === 0) return 'its interface is gone, or somebody detached it';
  if (info.cgroupId === 0) return 'its cgroup is gone, or somebody detached it';
  if (info.netnsIno === 0) return 'its network namespace is gone, or somebody detached it';
  if (info.type === 'sockmap' && info.mapId === 0) return 'its sockmap is gone, or somebody detached it';
  return undefined;
}

/** Looks after links once a second, and tells of each that is gone, once. Returns what ends it. */
export function watchLinks(
  links: ReadonlyMap<number, HeldLink>,
  gone: (handle: number, link: HeldLink, reason: string) => void,
): () => void {
  const told = new Set<number>();
  let busy = false;
  const look = async () => {
    if (busy) return;
    busy = true;
    for (const [handle, link] of [...links]) {
      if (told.has(handle)) continue;
      // A look that fails (the namespace's path is gone) says that the attachment is out of reach.
      const reason = await link.goneReason().catch((error: Error) => error.message);
      if (reason === undefined || !links.has(handle)) continue;
      told.add(handle);
      gone(handle, link, reason);
    }
    busy = false;
  };
  const timer = setInterval(() => void look(), WATCH_MS);
  return () => clearInterval(timer);
}
