/** Runs the product as somebody who is not root, with a copy of `dist/` and a home that this user can read. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { dist } from './bpf-object';

/** `nobody`: owns nothing, is in no group that matters. */
const NOBODY = 65_534;

export interface User {
  uid: number;
  gid: number;
  env: NodeJS.ProcessEnv;
  /** The copy of the build. */
  dist: string;
  /** A directory of the user's own. */
  home: string;
  remove(): void;
}

/** Why no test can act as another user here; undefined when they can. */
export function whyNoOtherUser(): string | undefined {
  if (process.geteuid?.() !== 0) return 'only root can act as another user';
  try {
    execFileSync(process.execPath, ['--version'], { uid: NOBODY, gid: NOBODY, cwd: '/' });
    return undefined;
  } catch {
    return `user ${NOBODY} cannot execute ${process.execPath}`;
  }
}

/**
 * A user without privileges. `directoryName` is the last part of the path of the build's copy, for names that a shell
 * would mistake for something else.
 */
export function unprivilegedUser(directoryName = 'dist'): User {
  const root = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-user-'));
  chmodSync(root, 0o755);
  const copy = path.join(root, directoryName);
  cpSync(dist, copy, { recursive: true, filter: (file) => !file.endsWith('.map') });
  const home = path.join(root, 'home');
  const own = {
    HOME: home,
    XDG_CACHE_HOME: path.join(home, 'cache'),
    XDG_RUNTIME_DIR: path.join(home, 'run'),
  };
  for (const directory of Object.values(own)) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    chownSync(directory, NOBODY, NOBODY);
  }
  return {
    uid: NOBODY,
    gid: NOBODY,
    env: { PATH: process.env['PATH'], NO_COLOR: '1', TMPDIR: home, ...own },
    dist: copy,
    home,
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** Puts a kernel, as `bpf-studio kernels fetch` would, into the user's cache. `tree` holds its `boot` and modules. */
export function giveKernel(user: User, tree: string): void {
  const kernels = path.join(user.env['XDG_CACHE_HOME']!, 'bpf-studio', 'kernels');
  mkdirSync(kernels, { recursive: true });
  cpSync(tree, path.join(kernels, path.basename(tree)), { recursive: true });
  execFileSync('chown', [
    '-R',
    `${user.uid}:${user.gid}`,
    path.join(user.env['XDG_CACHE_HOME']!, 'bpf-studio'),
  ]);
}

/** A directory for PATH that holds only these programs. */
export function pathWith(user: User, ...programs: string[]): string {
  const directory = mkdtempSync(path.join(user.home, 'bin-'));
  for (const program of programs) {
    if (!existsSync(program)) throw new Error(`there is no ${program}`);
    execFileSync('ln', ['-s', realpathSync(program), path.join(directory, path.basename(program))]);
  }
  chmodSync(directory, 0o755);
  return directory;
}
