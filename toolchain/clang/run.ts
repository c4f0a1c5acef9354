/** Runs a tool with bounded time and output, and really ends it when the work is cancelled. */
import { spawn } from 'node:child_process';

export interface RunOptions {
  cwd?: string;
  stdin?: string;
  signal?: AbortSignal;
  /** The process is killed after this time. */
  timeoutMilliseconds: number;
  /** The process is killed when it has written more than this to one of its outputs. */
  maxOutputBytes: number;
}

export type RunResult =
  | { ended: 'exit'; status: number; stdout: Buffer; stderr: string }
  /** `signal`: killed by somebody else, or crashed. */
  | { ended: 'cancelled' | 'timeout' | 'tooMuchOutput' | 'signal'; stderr: string }
  /** The tool could not be started. */
  | { ended: 'failed'; message: string };

/** Runs `file` with `args`. Never rejects; resolves after the process is gone. */
export function run(file: string, args: readonly string[], options: RunOptions): Promise<RunResult> {
  return new Promise((resolve) => {
    if (options.signal?.aborted) return resolve({ ended: 'cancelled', stderr: '' });
    const child = spawn(file, args, { cwd: options.cwd, stdio: ['pipe', 'pipe', 'pipe'] });
    let why: 'cancelled' | 'timeout' | 'tooMuchOutput' | undefined;
    const stop = (reason: NonNullable<typeof why>): void => {
      why ??= reason;
      child.kill('SIGKILL');
    };
    const cancel = (): void => stop('cancelled');
    const timer = setTimeout(() => stop('timeout'), options.timeoutMilliseconds);
    options.signal?.addEventListener('abort', cancel, { once: true });
    const collect = (stream: NodeJS.ReadableStream): Buffer[] => {
      const parts: Buffer[] = [];
      let size = 0;
      stream.on('data', (part: Buffer) => {
        size += part.length;
        if (size > options.maxOutputBytes) stop('tooMuchOutput');
        else parts.push(part);
      });
      return parts;
    };
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    const finish = (result: RunResult): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', cancel);
      resolve(result);
    };
    child.on('error', (error) => finish({ ended: 'failed', message: error.message }));
    child.on('close', (status) => {
      const text = Buffer.concat(stderr).toString('utf8');
      if (why) finish({ ended: why, stderr: text });
      else if (status === null) finish({ ended: 'signal', stderr: text });
      else finish({ ended: 'exit', status, stdout: Buffer.concat(stdout), stderr: text });
    });
    // A process that ends before it has read everything closes the pipe; its exit status tells what happened.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.stdin ?? '');
  });
}
