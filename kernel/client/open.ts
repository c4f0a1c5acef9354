/** A session with a kernel, wherever it is: on a host that runs already, or on one that this process starts. */
import { startTarget } from '../targets/index';
import type { RunningTarget, StartOptions, TargetProblem, TargetSpec } from '../targets/target';
import { KernelClient } from './client';

export type OpenKernelOptions =
  /** The socket of a shared host, e.g. the editor window's. */
  | { socket: string; name: string; signal?: AbortSignal | undefined }
  /** Start a target for this process alone; absent `target`: this machine with privileges, else a VM. */
  | ({ target?: TargetSpec | undefined; name: string } & StartOptions);

export interface OpenedKernel {
  client: KernelClient;
  /** `this machine`, `vm vmlinuz-…`; absent for a shared host, whose starter knows. */
  label?: string;
  /** Ends the session, and the target if it was started here. */
  dispose(): Promise<void>;
}

/**
 * Opens a session. What the user can mend is returned as a {@link TargetProblem}; a connection that fails throws a
 * KernelError.
 */
export async function openKernel(options: OpenKernelOptions): Promise<OpenedKernel | TargetProblem> {
  if ('socket' in options) {
    const client = await KernelClient.connect(options.socket, options.name, { signal: options.signal });
    return {
      client,
      async dispose() {
        client.dispose();
      },
    };
  }
  const target = await startTarget(options.target, options);
  if ('code' in target) return target;
  return connectTo(target, options);
}

async function connectTo(
  target: RunningTarget,
  { name, signal }: { name: string } & StartOptions,
): Promise<OpenedKernel> {
  try {
    const client = await KernelClient.connect(target.socketPath, name, { signal });
    return {
      client,
      label: target.label,
      async dispose() {
        client.dispose();
        await target.dispose();
      },
    };
  } catch (error) {
    await target.dispose();
    throw error;
  }
}
