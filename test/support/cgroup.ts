/** Control groups of a test's own. */
import { readFileSync, rmdirSync } from 'node:fs';

/** Where the unified hierarchy is mounted; undefined where it is not. */
export function cgroupRoot(): string | undefined {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1];
}

/** Removes a cgroup; answers false while a process that ended has not been reaped. */
export function removeCgroup(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false;
    throw error;
  }
}
