/** Which kernel is meant, as settings, launch configurations and `--target` write it. */
export type TargetSpec = { kind: 'local' } | { kind: 'vm'; kernel?: string };

/** `local`, `vm`, `vm:PATH-TO-VMLINUZ`; anything else is a problem in words for the user. */
export function parseTarget(text: string): TargetSpec | { problem: string } {
  if (text === 'local') return { kind: 'local' };
  if (text === 'vm') return { kind: 'vm' };
  if (text.startsWith('vm:') && text.length > 3) return { kind: 'vm', kernel: text.slice(3) };
  return { problem: `"${text}" is not a target; write local, vm, or vm:PATH-TO-VMLINUZ` };
}

/** A kernel host that is up and listens on a Unix socket in a directory only this user can enter. */
export interface RunningTarget {
  /** For status items and messages: `this machine`, `vm vmlinuz-6.12.107+deb13-amd64`. */
  readonly label: string;
  readonly socketPath: string;
  /** Resolves when the host or its VM is gone, with the reason; never rejects. */
  readonly gone: Promise<string>;
  /** Ends the host (and VM); everything it loaded is gone from the kernel when this resolves. */
  dispose(): Promise<void>;
}

export interface StartOptions {
  /** Where the bundles are (`kernel-host.js`, the addon): the extension's or the CLI's own `dist/`. */
  distDirectory: string;
  /** How to get privileges for `local` when this process has none; `never` fails instead of asking. */
  elevate: 'pkexec' | 'sudo' | 'never';
  /** QEMU's executable for the vm target; empty or absent: what the environment names, else the one in PATH. */
  qemu?: string;
  log(line: string): void;
  signal?: AbortSignal;
}

/** Why a target could not be started, and what the user can do about it. */
export interface TargetProblem {
  code: 'noPrivileges' | 'noQemu' | 'noKernel' | 'bootFailed' | 'addonFailed' | 'cancelled' | 'internal';
  message: string;
  hint: string;
}
