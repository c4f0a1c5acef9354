/** Requests about programs that are attached: their snapshots and recorded runs, see ../protocol.ts. */
import { notAttached } from '../errors';
import type { LiveTraffic } from '../live/live-traffic';
import type { Handlers, SessionAccess } from './handler';

const DEFAULT_RUNS = 100;

export function liveHandlers(
  session: SessionAccess,
): Handlers<'bpf/listSnapshots' | 'bpf/openSnapshot' | 'bpf/flightRecorder' | 'bpf/runs' | 'bpf/openRun'> {
  const live = (command: string): LiveTraffic => {
    const found = session.started(command).live;
    if (!found) throw notAttached(command);
    return found;
  };
  return {
    'bpf/listSnapshots': () => ({ snapshots: live('bpf/listSnapshots').snapshots() }),
    'bpf/openSnapshot': ({ id }) => live('bpf/openSnapshot').openSnapshot(id),
    'bpf/flightRecorder': (given) => {
      const { enabled, stopWhen } = given;
      const wanted = { enabled, ...(stopWhen === undefined ? {} : { stopWhen }) };
      return live('bpf/flightRecorder').setFlightRecorder(wanted);
    },
    'bpf/runs': async (given) => ({
      runs: await live('bpf/runs').runs(given?.limit ?? DEFAULT_RUNS, given?.threadId),
    }),
    'bpf/openRun': ({ id }) => live('bpf/openRun').openRun(id),
  };
}
