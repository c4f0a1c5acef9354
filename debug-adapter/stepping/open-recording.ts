/** A recording as a debuggee shows it: where it has come to, and its maps as they were there. */
import type { KernelRequests } from '../../kernel/client/client';
import type { Outcome } from '../../toolchain/problem';
import { succeed } from '../../toolchain/problem';
import { openRun } from '../recorder/open-run';
import type { OpenedRun } from '../recorder/open-run';
import type { Recording } from '../recorder/recording';
import { VariableContext } from '../variables/context';
import { initialValue, inputsOf } from './inputs';
import type { InputChange, Inputs } from './inputs';
import { replayedKernel } from './replayed-kernel';
import type { EditEntry } from './replayed-kernel';
import { SourceFiles } from './source-files';
import { Stepper } from './stepper';

export interface OpenedRecording {
  stepper: Stepper;
  context: VariableContext;
  /** What the run was given, if it can be done again. */
  inputs?: Inputs;
  /** What cannot be shown as it was at each step, for the console. */
  notices: string[];
}

export interface OpeningOptions {
  /** Where the program's sources are read; this machine's disk when left out. */
  sources?: SourceFiles;
  /** Does the run again with something changed, and gives the kernel of the new run; left out where it cannot. */
  rerun?: (change: InputChange, what: string) => Promise<KernelRequests>;
}

/** @param kernel is asked for what the recording does not tell: maps that are not followed through a run. */
export function openRecording(
  recording: Recording,
  kernel: KernelRequests,
  options: OpeningOptions = {},
): Outcome<OpenedRecording> {
  const opened = openRun(recording);
  return opened.ok ? succeed(steppable(opened.value, kernel, options)) : opened;
}

/** The same of a run that is opened already. */
export function steppable(
  run: OpenedRun,
  kernel: KernelRequests,
  { sources = SourceFiles.onDisk(run.recording.sources), rerun }: OpeningOptions = {},
): OpenedRecording {
  const { recording } = run;
  const nameOf = (map: number) => recording.maps.find(({ handle }) => handle === map)?.name ?? 'a map';
  const edit: EditEntry | undefined =
    rerun &&
    (async (map, key, value) =>
      rerun({ entry: { map, key, value: initialValue(run, map, key, value) } }, nameOf(map)));
  const all = [...recording.maps, ...recording.innerMaps];
  const past = replayedKernel(kernel, run.maps, all, edit);
  const file = { path: recording.file, bytes: recording.object, object: run.object };
  return {
    stepper: new Stepper(run, sources),
    context: new VariableContext({ file, maps: recording.maps, kernel: past }),
    notices: noticesOf(run),
    ...(rerun ? { inputs: inputsOf(run, async (change, what) => void (await rerun(change, what))) } : {}),
  };
}

function noticesOf({ recording, maps }: OpenedRun): string[] {
  const all = [...recording.maps, ...recording.innerMaps];
  return maps.lost.map(({ map, reason }) => {
    const name = all.find(({ handle }) => handle === map)?.name ?? `map ${map}`;
    return `${name} is shown as after the run at every step: ${reason}.`;
  });
}
