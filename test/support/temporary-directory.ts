/**
 * One temporary directory for a run of the tests, removed with all that they leave in it: a worker that is ended has no
 * time to clean up. Everybody may enter it, as some tests act as another user.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export default function setup(): () => void {
  // Short, because a socket's path may have no more than 107 bytes.
  const directory = mkdtempSync(path.join(os.tmpdir(), 'bpfs-'));
  chmodSync(directory, 0o755);
  process.env['TMPDIR'] = directory;
  return () => rmSync(directory, { recursive: true, force: true });
}
