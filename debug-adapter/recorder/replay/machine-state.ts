/** What there is to a moment of a re-executed run, and how such a run ends. */
import type { PacketState } from './packet';

/** A call that has not returned. */
export interface Frame {
  /** The call instruction: of the program, or of the helper that called this function. */
  call: number;
  /** The kernel called it, from within a helper. */
  isCallback: boolean;
  /** R6 to R10 of the caller, and which of them are known: bit n is Rn. */
  lo: Int32Array;
  hi: Int32Array;
  known: number;
}

export type Ending =
  /** The program returned. */
  | { kind: 'returned' }
  /** A tail call replaced it by another program, whose run is not recorded; or an exception ended it. */
  | { kind: 'left'; insn: number }
  /** Re-execution and recording disagree, or the trace ends too early or too late. */
  | { kind: 'diverged'; insn: number; reason: string };

/** All of a machine's state but the memory, which keeps its own history. */
export interface MachineState {
  step: number;
  pc: number;
  trace: number;
  /** Registers whose content is known: bit n is Rn. */
  known: number;
  lo: Int32Array;
  hi: Int32Array;
  frames: readonly Frame[];
  memoryChanges: number;
  packet: PacketState | undefined;
  ending: Ending | undefined;
}
