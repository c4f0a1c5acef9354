/** Which processes there are, read from /proc. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';

/** The children of a process (of its main thread). */
export function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  return existsSync(file) ? readFileSync(file, 'utf8').split(' ').filter(Boolean).map(Number) : [];
}

/** Process id of a process's parent; 0 when it is gone. */
export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(statusOf(pid))?.[1] ?? 0);
}

/** Whether a process goes on: one that has ended and only waits to be reaped does not. */
export function isRunning(pid: number): boolean {
  return /^State:\s+[^ZX]/m.test(statusOf(pid));
}

/** A process's arguments with blanks between them; empty when it has ended. */
export function commandOf(pid: number): string {
  return read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ');
}

/** Processes that go on and whose command line contains a text. */
export function processesWith(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => commandOf(pid).includes(text) && isRunning(pid));
}

const statusOf = (pid: number): string => read(`/proc/${pid}/status`);

/** A process may end between being listed and being looked at. */
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
