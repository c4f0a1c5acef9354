/** The local target: a kernel host on this machine, with the privileges the user has or grants. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { privateDirectory } from './private-directory';
import type { RunningTarget, StartOptions, TargetProblem } from './target';

/** Capability numbers of capability.h: what the host needs when it is not root. */
const NEEDED = { CAP_BPF: 39, CAP_PERFMON: 38, CAP_NET_ADMIN: 12 } as const;

/** Whether this process can load BPF programs itself, without asking for more. */
export function hasBpfPrivileges(): boolean {
  return missingCapabilities().length === 0;
}

function missingCapabilities(): string[] {
  if (process.geteuid?.() === 0) return [];
  const status = readFileSync('/proc/self/status', 'utf8');
  // Only ambient capabilities survive the execve that starts the host.
  const mask = BigInt(`0x${/^CapAmb:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0'}`);
  return Object.entries(NEEDED)
    .filter(([, capability]) => (mask & (1n << BigInt(capability))) === 0n)
    .map(([name]) => name);
}

/** `has none of them`, `has no CAP_PERFMON`: what this user lacks, after a sentence that names all. */
function whatIsMissing(): string {
  const missing = missingCapabilities();
  return missing.length === Object.keys(NEEDED).length
    ? 'has none of them'
    : `has no ${missing.join(' and no ')} that a process it starts would keep (ambient)`;
}

/** The host gives itself less time to release what it holds (kernel/host/main.ts). */
const STOP_MS = 8_000;
/** A killed process is gone at once, unless a thread of it is stuck in the kernel. */
const KILLED_MS = 1_000;

/**
 * What this machine's kernel faulted on, by the keys of kernel/host/faults.ts. Kept here because the host that met the
 * fault may be stuck in the kernel, and a person ends it; the next one has to know.
 */
const faulted = new Set<string>();

type HostReport = { ready: true } | { problem: string } | { faulted: string };

interface HostCommand {
  command: string;
  args: string[];
  /** Who grants root; absent: this process starts the host with what it has. */
  through?: 'sudo' | 'pkexec';
}

/** The command that starts the host, or why none can. */
function hostCommand(options: StartOptions, args: string[]): HostCommand | TargetProblem {
  const bundle = path.join(options.distDirectory, 'kernel-host.js');
  if (!existsSync(bundle) || !existsSync(path.join(options.distDirectory, 'bpf-studio.node'))) {
    return {
      code: 'addonFailed',
      message: `The kernel host is not built: ${options.distDirectory} lacks kernel-host.js or bpf-studio.node.`,
      hint: 'Run `npm run build`, or install the extension again.',
    };
  }
  if (hasBpfPrivileges()) return { command: process.execPath, args: [bundle, ...args] };
  switch (options.elevate) {
    case 'pkexec':
    case 'sudo': {
      // They start with an empty environment, and Electron's binary behaves as Node only when this is set.
      const host = ['env', 'ELECTRON_RUN_AS_NODE=1', process.execPath, bundle, ...args];
      return { command: options.elevate, args: host, through: options.elevate };
    }
    case 'never':
      return {
        code: 'noPrivileges',
        message: `Loading BPF programs on this machine needs root, or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN; user ${os.userInfo().username} ${whatIsMissing()}.`,
        hint: 'Use a VM kernel, which needs no root: "BPF: Select Kernel" in the editor, `--target vm` in a terminal, where `sudo -E bpf-studio …` works too.',
      };
  }
}

/** Starts a host and waits until it listens. */
export async function startLocal(options: StartOptions): Promise<RunningTarget | TargetProblem> {
  if (options.signal?.aborted) return cancelled();
  const directory = privateDirectory('host');
  const socketPath = path.join(directory, 'kernel.sock');
  const command = hostCommand(options, [
    ...['--listen', socketPath, '--uid', String(process.getuid?.() ?? 0)],
    ...[...faulted].flatMap((key) => ['--faulted', key]),
  ]);
  if ('code' in command) {
    await rm(directory, { recursive: true, force: true });
    return command;
  }
  const child = spawn(command.command, command.args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
  });
  const output = collectOutput(child, options.log);
  const exited = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(`${command.command} could not be started: ${error.message}`));
    child.on('exit', (status, signal) =>
      resolve(`the kernel host ended ${signal ? `by ${signal}` : `with status ${status}`}${output.tail()}`),
    );
  });
  // Its death is noticed through 'exit'; a write into the broken pipe must not end this process.
  child.stdin.on('error', () => {});
  const cleanUp = () => rm(directory, { recursive: true, force: true });
  const outcome = await Promise.race([
    readReports(child),
    exited.then((problem) => ({ problem })),
    aborted(options.signal),
  ]);
  if ('problem' in outcome || 'aborted' in outcome) {
    child.stdin.end();
    // It may still be asking for a password.
    child.kill();
    await exited;
    await cleanUp();
    if ('aborted' in outcome) return cancelled();
    return startProblem(command.through, outcome.problem);
  }
  const gone = exited.then(async (reason) => {
    await cleanUp();
    return reason;
  });
  return {
    label: 'this machine',
    socketPath,
    gone,
    async dispose() {
      // The host ends when its standard input does, after everything it loaded is released.
      child.stdin.end();
      if (await within(STOP_MS, gone)) return;
      options.log(`The kernel host did not end within ${STOP_MS / 1000} s.`);
      // Root's process is not ours to kill; it ends by itself once it can.
      if (!command.through) child.kill('SIGKILL');
      if (await within(KILLED_MS, gone)) return;
      options.log(
        `The kernel host, process ${child.pid}, still runs: it is stopped, or stuck in the kernel.`,
      );
      // It must not keep its starter from ending.
      for (const stream of child.stdio) stream?.destroy();
      child.unref();
    },
  };
}

function collectOutput(child: ChildProcess, log: (line: string) => void): { tail(): string } {
  const kept: string[] = [];
  let partial = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (partial + text).split('\n');
    partial = lines.pop() ?? '';
    for (const line of lines) {
      log(line);
      kept.push(line);
      if (kept.length > 20) kept.shift();
    }
  });
  return {
    tail: () =>
      [...kept, partial]
        .filter(Boolean)
        .map((line) => `\n${line}`)
        .join(''),
  };
}

/** Resolves with the host's first line of output. What it tells of faults later is kept for the next host. */
function readReports(child: ChildProcess): Promise<{ ready: true } | { problem: string }> {
  return new Promise((resolve) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      let report: HostReport;
      try {
        report = JSON.parse(line) as HostReport;
      } catch {
        // Who grants root may write here too; after the first line it changes nothing.
        report = { problem: `it wrote "${line}" instead of being ready` };
      }
      if ('faulted' in report) faulted.add(report.faulted);
      else resolve(report);
    });
  });
}

/** Whether it came to its end within that many milliseconds. */
async function within(ms: number, end: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => (timer = setTimeout(() => resolve(false), ms)));
  const inTime = await Promise.race([end.then(() => true), late]);
  clearTimeout(timer);
  return inTime;
}

function aborted(signal: AbortSignal | undefined): Promise<{ aborted: true }> {
  return new Promise((resolve) => {
    if (signal?.aborted) resolve({ aborted: true });
    signal?.addEventListener('abort', () => resolve({ aborted: true }), { once: true });
  });
}

function cancelled(): TargetProblem {
  return {
    code: 'cancelled',
    message: 'Starting the kernel host was cancelled.',
    hint: 'Start it again when you want it.',
  };
}

function startProblem(through: HostCommand['through'], problem: string): TargetProblem {
  if (/GLIBC_/.test(problem)) {
    return {
      code: 'addonFailed',
      message: problem,
      hint: 'This machine’s C library is older than the one the addon was built for: build it here with `npm run build`.',
    };
  }
  if (through) {
    return {
      code: 'noPrivileges',
      message: `Root was not granted through ${through}: ${problem}`,
      hint: 'Authorise it when asked, or use a VM kernel, which needs no root: "BPF: Select Kernel" in the editor, `--target vm` in a terminal.',
    };
  }
  return {
    code: 'addonFailed',
    message: `The kernel host could not be started: ${problem}`,
    hint: 'Run `bpf-studio doctor` to see what this machine lacks.',
  };
}
