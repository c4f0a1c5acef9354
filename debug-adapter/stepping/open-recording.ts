/** A recording as a debuggee shows it: where it has come to, and its maps as they were there. */
import type { KernelRequests } from '../../kernel/client/client';
import type { Outcome } from '../../toolchain/problem';
import { succeed } from '../../toolchain/problem';
import { openRun } from '../recorder/open-run';
import type { Recording } from '../recorder/recording';
import { VariableContext } from '../variables/context';
import { replayedKernel } from './replayed-kernel';
import { Stepper } from './stepper';

export interface OpenedRecording {
  stepper: Stepper;
  context: VariableContext;
}

/** @param kernel is asked for what the recording does not tell: maps that are not followed through a run. */
export function openRecording(recording: Recording, kernel: KernelRequests): Outcome<OpenedRecording> {
  const opened = openRun(recording);
  if (!opened.ok) return opened;
  const run = opened.value;
  const followed = new Set(recording.snapshots.map(({ map }) => map));
  const past = replayedKernel(kernel, run.maps, (map) => followed.has(map));
  const file = { path: recording.file, bytes: recording.object, object: run.object };
  return succeed({
    stepper: new Stepper(run),
    context: new VariableContext({ file, maps: recording.maps, kernel: past }),
  });
}
