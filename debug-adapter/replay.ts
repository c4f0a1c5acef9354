/** `request: "launch"` with a `recording`: a run that was recorded somewhere, gone through without any kernel. */
import { readFile } from 'node:fs/promises';
import { KernelError } from '../kernel/client/errors';
import type { KernelRequests } from '../kernel/client/client';
import { describeReturnValue } from '../toolchain/program/return-values';
import type { Debuggee, DebuggeeThread, Listener } from './debuggee';
import { badRecording, recordingUnreadable } from './errors';
import { decodeRecording } from './recorder/recording';
import type { Recording } from './recorder/recording';
import { openRecording } from './stepping/open-recording';
import type { OpenedRecording } from './stepping/open-recording';
import { SourceFiles } from './stepping/source-files';
import { RecordedStepping } from './stepping/recorded-stepping';

const THREAD = 1;

async function readRecording(file: string): Promise<Recording> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw recordingUnreadable(file, code === 'ENOENT' ? 'there is no such file' : message);
  }
  const read = decodeRecording(bytes);
  if (!read.ok) throw badRecording(file, read.problem.message, read.problem.hint);
  return read.value;
}

/** Reads and opens a recording; throws an AdapterError with what the user should read. */
export async function openForReading(
  file: string,
): Promise<OpenedRecording & { recording: Recording; returned: string; summary: string }> {
  const recording = await readRecording(file);
  const opened = openRecording(recording, noKernel(recording), {
    sources: await SourceFiles.of(recording.sources),
  });
  if (!opened.ok) throw badRecording(file, opened.problem.message, opened.problem.hint);
  const { program, result, kernel, recordedAt } = recording;
  const returned = describeReturnValue(program.type, result.returnValue).text;
  const when = new Date(recordedAt).toLocaleString('en');
  const summary = `${program.name} (SEC("${program.section}")) returned ${returned} on Linux ${kernel}, ${when}.`;
  return { ...opened.value, recording, returned, summary };
}

export async function replay(file: string, listener: Listener): Promise<Debuggee> {
  const opened = await openForReading(file);
  const { recording, context, returned, summary } = opened;
  const { program } = recording;
  listener.output('stdout', [summary]);
  listener.output('console', opened.notices);
  const stepping = new RecordedStepping(opened, listener, returned);
  listener.state({ phase: 'finished', returned });
  const thread: DebuggeeThread = {
    id: THREAD,
    name: `${program.name} (${program.type}), recorded`,
    frame: `${program.name}() = ${returned}`,
  };
  return {
    threads: [thread],
    context,
    stepping,
    recording,
    place: async (wanted) => stepping.place(wanted),
    resume: () => stepping.move('continue', 'line'),
    announce: () => stepping.announce(),
    stop: async () => stepping.interrupt(),
  };
}

/** Stands for the kernel that is not there. */
function noKernel({ possibleCpus }: Recording): KernelRequests {
  return {
    hello: { kernel: { possibleCpus } },
    request: (method) =>
      Promise.reject(
        new KernelError({
          code: 'unsupported',
          operation: method,
          message: 'the recording does not have it: maps of this type are not followed through a run',
        }),
      ),
  };
}
