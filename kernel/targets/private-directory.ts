/** Directories for sockets, which only this user can enter. */
import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/**
 * Makes a directory for this process, whose name begins with `bpf-studio-` and what it is for, and removes this user's
 * directories for the same whose process was killed.
 */
export function privateDirectory(purpose: 'host' | 'vm'): string {
  const runtime = process.env['XDG_RUNTIME_DIR'];
  const base = runtime && existsSync(runtime) ? runtime : os.tmpdir();
  for (const name of readdirSync(base)) {
    const pid = new RegExp(`^bpf-studio-${purpose}-(\\d+)-`).exec(name)?.[1];
    const directory = path.join(base, name);
    if (pid && !existsSync(`/proc/${pid}`) && isOurs(directory)) {
      rmSync(directory, { recursive: true, force: true });
    }
  }
  // mkdtemp makes it with mode 0700.
  return mkdtempSync(path.join(base, `bpf-studio-${purpose}-${process.pid}-`));
}

/** Others' directories in /tmp are not ours to remove. */
function isOurs(directory: string): boolean {
  return lstatSync(directory, { throwIfNoEntry: false })?.uid === process.getuid?.();
}
