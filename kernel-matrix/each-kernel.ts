/** The same work on several kernels, as many at a time as the machine carries. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import type { KernelClient } from '../kernel/client/client';
import { KernelError } from '../kernel/client/errors';
import type { OpenedKernel } from '../kernel/client/open';
import type { TargetProblem } from '../kernel/targets/target';
import type { Problem } from '../toolchain/problem';
import type { MatrixKernel } from './choose';

export type KernelOutcome<T> =
  | { kernel: MatrixKernel; value: T }
  /** It could not be started, or went away before the work was done. */
  | { kernel: MatrixKernel; problem: Problem };

export type Phase = 'starting' | 'working' | 'done' | 'failed';

export interface EachKernelOptions {
  /** Opens a session; what it opened is disposed of when the work on that kernel is done. */
  open(kernel: MatrixKernel, signal: AbortSignal): Promise<OpenedKernel | TargetProblem>;
  /** VMs at a time; this machine's kernel takes no place. */
  parallel: number;
  signal: AbortSignal;
  onPhase?(kernel: MatrixKernel, phase: Phase): void;
}

/**
 * Starts each kernel, does the work on it and ends it. Outcomes are in the order of `kernels`; one that fails does
 * not stop the others. Rejects only when the work throws what is no KernelError. Nothing runs on when it resolves.
 */
export async function eachKernel<T>(
  kernels: readonly MatrixKernel[],
  options: EachKernelOptions,
  work: (client: KernelClient, kernel: MatrixKernel) => Promise<T>,
): Promise<KernelOutcome<T>[]> {
  const outcomes = new Map<MatrixKernel, KernelOutcome<T>>();
  const waiting = kernels.filter(({ target }) => target.kind === 'vm');
  const takeTurns = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      outcomes.set(next, await onKernel(next, options, work));
    }
  };
  const here = kernels.filter(({ target }) => target.kind === 'local');
  const places = Math.min(Math.max(1, options.parallel), waiting.length);
  const settled = await Promise.allSettled([
    ...here.map(async (kernel) => void outcomes.set(kernel, await onKernel(kernel, options, work))),
    ...Array.from({ length: places }, takeTurns),
  ]);
  for (const each of settled) if (each.status === 'rejected') throw each.reason;
  return kernels.map((kernel) => outcomes.get(kernel) as KernelOutcome<T>);
}

async function onKernel<T>(
  kernel: MatrixKernel,
  { open, signal, onPhase }: EachKernelOptions,
  work: (client: KernelClient, kernel: MatrixKernel) => Promise<T>,
): Promise<KernelOutcome<T>> {
  const failed = (problem: Problem): KernelOutcome<T> => {
    onPhase?.(kernel, 'failed');
    return { kernel, problem };
  };
  if (signal.aborted) return failed(cancelled);
  onPhase?.(kernel, 'starting');
  let opened: OpenedKernel | undefined;
  try {
    const answer = await open(kernel, signal);
    if (!('client' in answer)) {
      return failed({ code: `kernel/${answer.code}`, message: answer.message, hint: answer.hint });
    }
    opened = answer;
    onPhase?.(kernel, 'working');
    const value = await work(opened.client, kernel);
    onPhase?.(kernel, 'done');
    return { kernel, value };
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    const hint = error.hint ?? 'Run it again; if it fails again, try this kernel alone.';
    return failed({ code: `kernel/${error.code}`, message: error.message, hint });
  } finally {
    await opened?.dispose();
  }
}

const cancelled: Problem = {
  code: 'kernel/cancelled',
  message: 'It was cancelled before this kernel was started.',
  hint: 'Run it again.',
};

/** Memory that QEMU is given for a guest, and what QEMU itself takes. */
const VM_BYTES = 2.25 * 2 ** 30;

/** How many VMs run side by side without taking the machine's memory or each other's time: one a core. */
export function vmsAtATime(cores = os.availableParallelism(), freeBytes = availableMemory()): number {
  return Math.max(1, Math.min(cores, Math.floor(freeBytes / VM_BYTES)));
}

/** What programs can have without swapping; os.freemem() leaves out the page cache, which gives way. */
function availableMemory(): number {
  try {
    const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1];
    return kilobytes === undefined ? os.freemem() : Number(kilobytes) * 1024;
  } catch {
    // No /proc, as on another system.
    return os.freemem();
  }
}
