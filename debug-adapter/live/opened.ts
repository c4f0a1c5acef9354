/** What of the past is looked at in place of what is live: a snapshot, or a recorded run that is gone through. */
import { describeReturnValue } from '../../toolchain/program/return-values';
import type { Listener } from '../debuggee';
import type { Recording } from '../recorder/recording';
import type { KernelClient } from '../../kernel/client/client';
import { steppable } from '../stepping/open-recording';
import { RecordedStepping } from '../stepping/recorded-stepping';
import { framesOf } from '../stepping/moment';
import type { Moment, StepFrame } from '../stepping/moment';
import { scopesAt } from '../stepping/scopes';
import type { StepScope } from '../stepping/scopes';
import type { KeptRun } from './flight-feed';
import type { KeptSnapshot } from './snapshot-feed';
import { momentOfSnapshot } from './snapshot-moment';

export interface OpenedSnapshot {
  kind: 'snapshot';
  /** On which thread it is shown. */
  thread: number;
  moment: Moment;
  frames(): StepFrame[];
  scopes(frame: StepFrame): StepScope[];
}

export interface OpenedFlight {
  kind: 'run';
  thread: number;
  stepping: RecordedStepping;
  recording: Recording;
  /** What the program's frame is called at the run's end: `look() = XDP_DROP (1)`. */
  title: string;
}

export function openSnapshot({ program, snapshot }: KeptSnapshot, thread: number): OpenedSnapshot {
  const moment = momentOfSnapshot(program.facts, snapshot);
  return {
    kind: 'snapshot',
    thread,
    moment,
    frames: () => framesOf(moment),
    scopes: (frame) => scopesAt(moment, frame),
  };
}

/** @param listener is told where the run rests, on `thread`. */
export async function openFlight(
  { recorder, run }: KeptRun,
  thread: number,
  kernel: KernelClient,
  listener: Listener,
): Promise<OpenedFlight> {
  const opened = await recorder.open(run);
  const { recording } = opened;
  const onThread: Listener = {
    ...listener,
    stopped: (reason, description, _, more) => listener.stopped(reason, description, thread, more),
  };
  const { text } = describeReturnValue(recording.program.type, recording.result.returnValue);
  const stepping = new RecordedStepping(steppable(opened, kernel), onThread, text);
  return { kind: 'run', thread, stepping, recording, title: `${recording.program.name}() = ${text}` };
}
