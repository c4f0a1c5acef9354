/**
 * A recorded run as a line in time that can be gone along in both directions: the state of the machine is kept every so
 * many steps, and any other step is reached from the one before it by re-execution.
 */
import type { Machine } from './machine';
import type { Ending, MachineState } from './machine-state';

/** Steps between kept states: as many as re-execution does in a millisecond or two. Searches go by pieces as long. */
export const INTERVAL = 8192;

export class Timeline {
  /** Number of steps of the whole run. */
  readonly length: number;
  readonly ending: Ending;
  private readonly kept: MachineState[] = [];

  /** Runs a machine that has not run yet to its end. */
  constructor(
    readonly machine: Machine,
    each?: (machine: Machine) => void,
  ) {
    while (!machine.ending) {
      if (machine.step % INTERVAL === 0) this.kept.push(machine.save());
      each?.(machine);
      machine.run();
    }
    this.length = machine.step;
    this.ending = machine.ending;
    // A run that ends before its first instruction has nothing to go back to but its beginning.
    if (this.kept.length === 0) this.kept.push(machine.save());
  }

  /** Goes to the state before the step of that number; the run's end is step {@link length}. */
  seek(step: number): Machine {
    const { machine, kept } = this;
    const wanted = Math.max(0, Math.min(step, this.length));
    const index = Math.min(Math.floor(wanted / INTERVAL), kept.length - 1);
    if (machine.step > wanted || machine.step < index * INTERVAL) this.restore(index);
    while (machine.step < wanted) machine.run();
    return machine;
  }

  /** Goes on until the condition holds before an instruction, or to the end. True if it held. */
  forward(found: (machine: Machine) => boolean): boolean {
    const { machine } = this;
    while (!machine.ending) {
      machine.run();
      if (found(machine)) return true;
    }
    return false;
  }

  /** Goes back to the last earlier step for which the condition holds, or to the beginning. True if it held. */
  backward(found: (machine: Machine) => boolean): boolean {
    let end = this.machine.step;
    for (let index = Math.floor((end - 1) / INTERVAL); index >= 0 && end > 0; index--) {
      const kept = Math.min(index, this.kept.length - 1);
      this.restore(kept);
      let last = -1;
      while (this.machine.step < end) {
        if (found(this.machine)) last = this.machine.step;
        this.machine.run();
      }
      if (last >= 0) {
        this.seek(last);
        return true;
      }
      end = kept * INTERVAL;
    }
    this.seek(0);
    return false;
  }

  private restore(index: number): void {
    const state = this.kept[index] as MachineState;
    // Memory only goes back; from an earlier state it has to be written again step by step.
    if (state.memoryChanges <= this.machine.memory.changes) {
      this.machine.restore(state);
      return;
    }
    while (this.machine.step < state.step) this.machine.run();
  }
}
