/**
 * Cleaning up after a host that was killed.
 *
 * Programs, maps and links end with the process that holds them. A few things do not: tc filters on clsact, tracefs
 * instances, struct_ops registered without a link. Before the host makes one of those it writes down how to undo it,
 * in the pipe of a second process in a session of its own, the guardian. When the host ends by whatever cause the
 * pipe ends, and the guardian undoes what was not undone.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, rmdirSync, statSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Addon, TcFilter } from '../addon/addon';

/** Something that outlives the process, and is undone only if it is still ours. */
export type Cleanup =
  | { kind: 'tc'; filter: TcFilter; netns?: string | undefined; netnsInode?: number | undefined }
  | { kind: 'traceInstance'; directory: string }
  | { kind: 'structOps'; mapId: number };

type Entry = { id: number; cleanup: Cleanup | null };

export class Guardian {
  private child: ChildProcess | undefined;
  private nextId = 1;
  private readonly open = new Map<number, Cleanup>();

  /** `bundle` is the script that {@link runGuardian} is reached by, with `--guardian`. */
  constructor(private readonly bundle: string) {}

  /** Call before making it; resolves when the guardian's pipe holds it. Returns what to call after it was undone. */
  async promise(cleanup: Cleanup): Promise<() => void> {
    const id = this.nextId++;
    this.open.set(id, cleanup);
    await this.write({ id, cleanup });
    return () => {
      this.open.delete(id);
      void this.write({ id, cleanup: null });
    };
  }

  /** The host ends in order: nothing is left to do. */
  end(): void {
    this.child?.stdin?.end();
  }

  private write(entry: Entry): Promise<void> {
    const child = this.child ?? this.start();
    return new Promise((resolve) => child.stdin?.write(`${JSON.stringify(entry)}\n`, () => resolve()));
  }

  private start(): ChildProcess {
    const child = spawn(process.execPath, [this.bundle, '--guardian'], {
      // A session of its own: what ends the host's process group does not reach it.
      detached: true,
      stdio: ['pipe', 'ignore', 'inherit'],
      env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
    });
    this.child = child;
    child.stdin.on('error', (error) => console.error(`kernel host: the guardian's pipe: ${error.message}`));
    child.on('error', (error) =>
      console.error(`kernel host: the guardian cannot be started: ${error.message}`),
    );
    child.on('exit', () => {
      this.child = undefined;
      // Somebody ended it; what is open needs another.
      for (const [id, cleanup] of this.open) void this.write({ id, cleanup });
    });
    child.unref();
    return child;
  }
}

/** The guardian's own process: reads until the host's end of the pipe is closed, then undoes what is open. */
export async function runGuardian(loadAddon: () => Addon): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
  const open = new Map<number, Cleanup>();
  for await (const line of createInterface({ input: process.stdin })) {
    const { id, cleanup } = JSON.parse(line) as Entry;
    if (cleanup) open.set(id, cleanup);
    else open.delete(id);
  }
  if (open.size === 0) return;
  const addon = loadAddon();
  for (const cleanup of [...open.values()].reverse()) await undoPatiently(addon, cleanup);
}

/** The host's descriptors are closed one by one; a tracefs instance is busy until its pipe's is. */
async function undoPatiently(addon: Addon, cleanup: Cleanup): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await undo(addon, cleanup);
      return;
    } catch (error) {
      if (attempt === 20) {
        console.error(`bpf-studio guardian: ${JSON.stringify(cleanup)} could not be undone: ${error}`);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Undoes it if it is there and still ours. Resolves to whether a tc qdisc went with it. */
export async function undo(addon: Addon, cleanup: Cleanup): Promise<boolean> {
  switch (cleanup.kind) {
    case 'tc':
      if (!isSameNamespace(cleanup.netns, cleanup.netnsInode)) return true;
      return addon.tcDetach(null, cleanup.filter, cleanup.netns);
    case 'traceInstance':
      if (existsSync(cleanup.directory)) rmdirSync(cleanup.directory);
      return false;
    case 'structOps':
      await unregister(addon, cleanup.mapId);
      return false;
  }
}

/** The path may have come to name another namespace, or none: then ours is gone with all that was in it. */
function isSameNamespace(netns: string | undefined, inode: number | undefined): boolean {
  if (netns === undefined) return true;
  return existsSync(netns) && statSync(netns).ino === inode;
}

async function unregister(addon: Addon, mapId: number): Promise<void> {
  if (!(await addon.listMapIds(null)).includes(mapId)) return;
  const fd = await addon.mapOpenById(null, mapId);
  try {
    await addon.mapDelete(null, fd, new Uint8Array(4));
  } finally {
    addon.closeFd(fd);
  }
}
