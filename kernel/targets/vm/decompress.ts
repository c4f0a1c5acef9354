import { spawn } from 'node:child_process';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import { compressionOf } from './bzimage';

const gunzip = promisify(zlib.gunzip);

/** The command of each format and the package that has it on Debian and Ubuntu. */
const tools = {
  xz: { command: 'xz', packageName: 'xz-utils' },
  zstd: { command: 'zstd', packageName: 'zstd' },
} as const;

/**
 * Unpacks gzip (by Node), xz and zstd (by the system's tools); data in no known format is returned as it is.
 * Garbage behind the compressed data is ignored: the kernel's build appends the unpacked size to an image's payload.
 */
export async function decompress(data: Buffer): Promise<Buffer | { problem: string; missingTool: boolean }> {
  const format = compressionOf(data);
  if (format === undefined) return data;
  try {
    if (format === 'gzip') return (await gunzip(data)) as Buffer;
    return await filter(tools[format].command, ['-dc'], data);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && format !== 'gzip') {
      const { command, packageName } = tools[format];
      const install = `sudo apt-get install --no-install-recommends ${packageName}`;
      return { problem: `${command} is not installed (${install})`, missingTool: true };
    }
    return { problem: (error as Error).message, missingTool: false };
  }
}

/** Runs a command that reads `input` and writes what we want; output counts if there is any, whatever the status. */
function filter(command: string, args: string[], input: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const output: Buffer[] = [];
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    child.on('error', reject);
    child.on('close', (status) => {
      const result = Buffer.concat(output);
      if (result.length > 0) resolve(result);
      else reject(new Error(complaint.trim() || `${command} ended with status ${status}`));
    });
    // A tool that is done before the garbage behind its data closes its end early.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
