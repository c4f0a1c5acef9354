/** What all tests of a run share. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export default function setup(): () => void {
  mountTracefs();
  return provideTemporaryDirectory();
}

/**
 * tracefs carries bpf_printk and the names of tracepoints; machines that were just set up have it unmounted. It stays
 * mounted, as others may have begun to use it.
 */
function mountTracefs(): void {
  if (process.geteuid?.() !== 0 || existsSync('/sys/kernel/tracing/trace_pipe')) return;
  try {
    execFileSync('mount', ['-t', 'tracefs', 'tracefs', '/sys/kernel/tracing'], { stdio: 'pipe' });
  } catch (error) {
    console.log(`tracefs cannot be mounted here, so that tests do without it: ${(error as Error).message}`);
  }
}

/**
 * One temporary directory, removed with all that the tests leave in it: a worker that is ended has no time to clean up.
 * Everybody may enter it, as some tests act as another user.
 */
function provideTemporaryDirectory(): () => void {
  // Short, because a socket's path may have no more than 107 bytes.
  const directory = mkdtempSync(path.join(os.tmpdir(), 'bpfs-'));
  chmodSync(directory, 0o755);
  process.env['TMPDIR'] = directory;
  return () => rmSync(directory, { recursive: true, force: true });
}
