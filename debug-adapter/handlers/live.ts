/** Requests about programs that are attached: their snapshots and recorded runs, see ../protocol.ts. */
import { badInput, notAttached } from '../errors';
import type { LiveTraffic } from '../live/live-traffic';
import type { Handlers, SessionAccess } from './handler';

const DEFAULT_RUNS = 100;
const MAX_RUNS = 10_000;

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
    'bpf/runs': async (given) => {
      const { limit = DEFAULT_RUNS, threadId } = given ?? {};
      if (!Number.isInteger(limit) || limit < 1 || limit > MAX_RUNS)
        throw badInput(`"limit" is a number of runs from 1 to ${MAX_RUNS}.`);
      return { runs: await live('bpf/runs').runs(limit, threadId) };
    },
    'bpf/openRun': ({ id }) => live('bpf/openRun').openRun(id),
  };
}
