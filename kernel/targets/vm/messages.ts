/** What the starter tells the relay (the first line on its stdin) and what it hears (lines on its stdout): JSON. */
import type { TargetProblem } from '../target';
import type { VmKernel } from './kernels';

export interface RelayRequest {
  kernel: VmKernel;
  qemu: string;
  /** Node or Electron, for the guest. */
  node: string;
  dist: string;
  /** Only tests: see GuestSpec. */
  testAgent?: string;
}

export type RelayMessage =
  /** Milliseconds since the relay's process started; phases in the order of {@link Phase}. */
  | { event: 'phase'; name: Phase; ms: number }
  | { event: 'log'; line: string }
  | { event: 'ready'; socketPath: string; testSocketPath?: string; release: string }
  /** The VM could not be started; the relay ends. */
  | { event: 'problem'; problem: TargetProblem }
  /** After `ready`: the VM is gone; the relay ends. */
  | { event: 'gone'; reason: string };

export type Phase = 'prepared' | 'qemu' | 'init' | 'mounting' | 'host' | 'hello';
