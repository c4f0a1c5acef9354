/** Runs dist/cli.js as a user would. */
import { spawn, type SpawnOptions } from 'node:child_process';
import path from 'node:path';
import { dist } from '../support/bpf-object';

export interface Finished {
  status: number | null;
  stdout: string;
  stderr: string;
  /** Lines of standard output as JSON. */
  json(): Record<string, unknown>[];
}

export interface Running {
  pid: number;
  finished: Promise<Finished>;
  /** Resolves when the pattern has appeared on standard output or error; rejects when the command ends before. */
  seen(pattern: RegExp): Promise<void>;
  signal(name: NodeJS.Signals): void;
  closeStdout(): void;
}

export function start(args: string[], environment: Record<string, string> = {}): Running {
  const command = [process.execPath, path.join(dist, 'cli.js'), ...args];
  return startCommand(command, { env: { ...process.env, NO_COLOR: '1', ...environment } });
}

/** The same for a whole command line, which may start with a program that starts ours. */
export function startCommand(
  command: string[],
  options: Pick<SpawnOptions, 'env' | 'uid' | 'gid' | 'cwd'>,
): Running {
  const child = spawn(command[0]!, command.slice(1), { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  let check: () => void = () => {};
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
    check();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
    check();
  });
  const finished = new Promise<Finished>((resolve) =>
    child.on('close', (status) =>
      resolve({
        status,
        stdout,
        stderr,
        json: () =>
          stdout
            .split('\n')
            .filter(Boolean)
            .map((line) => JSON.parse(line) as Record<string, unknown>),
      }),
    ),
  );
  return {
    pid: child.pid!,
    finished,
    seen: (pattern) =>
      new Promise((resolve, reject) => {
        check = () => {
          if (pattern.test(stdout) || pattern.test(stderr)) resolve();
        };
        check();
        void finished.then(() => reject(new Error(`it ended without ${pattern}:\n${stdout}${stderr}`)));
      }),
    signal: (name) => void child.kill(name),
    closeStdout: () => void child.stdout.destroy(),
  };
}

export function bpfStudio(...args: string[]): Promise<Finished> {
  return start(args).finished;
}
