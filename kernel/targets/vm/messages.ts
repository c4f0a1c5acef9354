/** What the starter tells the relay (the first line on its stdin) and what it hears (lines on its stdout): JSON. */
import type { TargetProblem } from '../target';
import type { VmKernel } from './kernels';

export interface RelayRequest {
  kernel: VmKernel;
  qemu: string;
  /** Node or Electron, for the guest. */
  node: string;
  electron: boolean;
  dist: string;
  /** Only tests: see GuestSpec. */
  testAgent?: string;
}

export type RelayMessage =
  /** Milliseconds since the relay's process started; phases in the order of {@link Phase}. */
  | { event: 'phase'; name: Phase; ms: number }
  | { event: 'log'; line: string }
  | { event: 'ready'; socketPath: string; testSocketPath?: string }
  /** The VM could not be started; the relay ends. */
  | { event: 'problem'; problem: TargetProblem }
  /** After `ready`: the VM is gone; the relay ends. */
  | { event: 'gone'; reason: string };

export type Tell = (message: RelayMessage) => void;

/** Milliseconds since this process started, Node's own start included. */
export function now(): number {
  return Math.round(process.uptime() * 1000);
}

/**
 * `prepared`: image unpacked, initramfs written. `qemu`: QEMU runs. `init`: the guest's first process does.
 * `mounting`: its modules are loaded. `host`: Node starts in the guest. `hello`: the kernel host answered.
 */
export type Phase = 'prepared' | 'qemu' | 'init' | 'mounting' | 'host' | 'hello';
