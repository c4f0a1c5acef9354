/** Requests that DAP does not know: those of the views that show a session's maps and runs, see ../protocol.ts. */
import { writeFile } from 'node:fs/promises';
import { coverageOf } from '../coverage/count';
import { nothingRecorded, notCounted } from '../errors';
import type { CoverageResponse } from '../protocol';
import { encodeRecording } from '../recorder/recording';
import type { Handlers, SessionAccess } from './handler';

export function customHandlers(
  session: SessionAccess,
): Handlers<'bpf/deleteMapEntry' | 'bpf/setMapEntry' | 'bpf/saveRecording' | 'bpf/coverage' | 'bpf/refresh'> {
  const { view, listener } = session;
  return {
    'bpf/deleteMapEntry': async ({ map, key }) => {
      session.started('bpf/deleteMapEntry');
      return { deleted: await view.deleteEntry(map, key) };
    },
    'bpf/setMapEntry': async ({ map, key, value, flags }) => {
      session.started('bpf/setMapEntry');
      await view.setEntry(map, key, value, flags ?? 'any');
    },
    'bpf/saveRecording': async ({ path } = {}) => {
      const { recording } = session.started('bpf/saveRecording');
      if (!recording) throw nothingRecorded();
      if (path !== undefined) await writeFile(path, encodeRecording(recording));
    },
    'bpf/coverage': (): CoverageResponse => {
      const { run } = session.stepping('bpf/coverage').stepper;
      if (run.ending.kind === 'diverged') throw notCounted(run.ending.reason);
      return { program: run.recording.program.name, files: coverageOf(run) };
    },
    'bpf/refresh': async () => {
      if (await session.started('bpf/refresh').context.refresh()) listener.changed();
    },
  };
}
