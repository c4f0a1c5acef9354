/** A recording as a debuggee shows it: where it has come to, and its maps as they were there. */
import type { KernelRequests } from '../../kernel/client/client';
import type { Outcome } from '../../toolchain/problem';
import { succeed } from '../../toolchain/problem';
import { openRun } from '../recorder/open-run';
import type { OpenedRun } from '../recorder/open-run';
import type { Recording } from '../recorder/recording';
import { VariableContext } from '../variables/context';
import { replayedKernel } from './replayed-kernel';
import { Stepper } from './stepper';

export interface OpenedRecording {
  stepper: Stepper;
  context: VariableContext;
  /** What cannot be shown as it was at each step, for the console. */
  notices: string[];
}

/** @param kernel is asked for what the recording does not tell: maps that are not followed through a run. */
export function openRecording(recording: Recording, kernel: KernelRequests): Outcome<OpenedRecording> {
  const opened = openRun(recording);
  return opened.ok ? succeed(steppable(opened.value, kernel)) : opened;
}

/** The same of a run that is opened already. */
export function steppable(run: OpenedRun, kernel: KernelRequests): OpenedRecording {
  const { recording } = run;
  const past = replayedKernel(kernel, run.maps, [...recording.maps, ...recording.innerMaps]);
  const file = { path: recording.file, bytes: recording.object, object: run.object };
  return {
    stepper: new Stepper(run),
    context: new VariableContext({ file, maps: recording.maps, kernel: past }),
    notices: noticesOf(run),
  };
}

function noticesOf({ recording, maps }: OpenedRun): string[] {
  const all = [...recording.maps, ...recording.innerMaps];
  return maps.lost.map(({ map, reason }) => {
    const name = all.find(({ handle }) => handle === map)?.name ?? `map ${map}`;
    return `${name} is shown as after the run at every step: ${reason}.`;
  });
}
