/** A session with the kernel that `--target` names, for the length of one subcommand. */
import { openKernel, type OpenedKernel } from '../kernel/client/open';
import { KernelError } from '../kernel/client/errors';
import { parseTarget, type TargetSpec } from '../kernel/targets/target';
import type { Problem } from '../toolchain/problem';
import { text, type Arguments } from './command';
import type { ExitStatus, Io } from './io';

/**
 * Starts opening a session. Reading files and compiling go on meanwhile, so the promise is taken up later; it never
 * rejects.
 */
export async function openSession(args: Arguments, io: Io): Promise<OpenedKernel | Problem> {
  const named = text(args, 'target');
  const target = named === undefined ? undefined : parseTarget(named);
  if (target && 'problem' in target) {
    return {
      code: 'cli/target',
      message: target.problem,
      hint: 'bpf-studio kernels lists the kernels a VM can run.',
    };
  }
  if (target?.kind === 'vm' && process.stderr.isTTY) io.err('bpf-studio: starting a VM …\n');
  try {
    const opened = await openKernel({
      target,
      name: 'bpf-studio',
      distDirectory: __dirname,
      elevate: mayAskForRoot(target) ? 'sudo' : 'never',
      log: (line) => {
        if (process.env.BPF_STUDIO_VERBOSE) io.err(`${line}\n`);
      },
      signal: io.interrupted,
    });
    if ('client' in opened) {
      closeWhenLate(opened, io.interrupted);
      return opened;
    }
    return { code: `kernel/${opened.code}`, message: opened.message, hint: opened.hint };
  } catch (error) {
    return problemOf(error);
  }
}

/** An orderly end after an interruption takes a moment; a host that does not answer is not waited for. */
const INTERRUPTED_MS = 8_000;

function closeWhenLate({ client }: OpenedKernel, interrupted: AbortSignal): void {
  const close = () => void setTimeout(() => client.dispose(), INTERRUPTED_MS).unref();
  if (interrupted.aborted) close();
  else interrupted.addEventListener('abort', close, { once: true });
}

/** sudo asks for a password: only somebody who named this machine and sits at a terminal is asked. */
function mayAskForRoot(target: TargetSpec | undefined): boolean {
  return target?.kind === 'local' && process.stdin.isTTY === true;
}

/**
 * Opens a session, hands it to `use`, and ends it whatever happens. Errors of the kernel host become the user's
 * problem; everything else is a bug of ours and goes on.
 */
export async function withKernel(
  args: Arguments,
  io: Io,
  use: (kernel: OpenedKernel) => Promise<ExitStatus>,
  /** What can be done without a kernel, before the problem is told. */
  otherwise: (problem: Problem) => Promise<void> = async () => {},
): Promise<ExitStatus> {
  const opened = await openSession(args, io);
  if (!('client' in opened)) {
    // A command line that makes no sense is not carried out in part.
    if (opened.code !== 'cli/target') await otherwise(opened);
    io.problem(opened);
    return 2;
  }
  try {
    return await use(opened);
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    io.problem(problemOf(error));
    return 2;
  } finally {
    await opened.dispose();
  }
}

export function problemOf(error: unknown): Problem {
  if (!(error instanceof KernelError)) throw error;
  const libbpf = error.libbpfLog?.trim();
  return {
    code: `kernel/${error.code}`,
    message: libbpf ? `${error.message}\n${libbpf}` : error.message,
    hint: error.hint ?? 'bpf-studio doctor shows what this kernel and this user can do.',
  };
}
