/** What can be asked about programs that are attached to their hooks and go on running. */
import type {
  FlightRecorderArguments,
  FlightRecorderStateEvent,
  RecordedRunSummary,
  SnapshotEvent,
} from '../protocol';

export interface LiveTraffic {
  /** Those that can be opened, newest first. */
  snapshots(): SnapshotEvent[];
  /** Shows a snapshot in place of what is live, and reports `stopped`. */
  openSnapshot(id: number): Promise<void>;
  setFlightRecorder(wanted: FlightRecorderArguments): Promise<FlightRecorderStateEvent>;
  /** The newest recorded runs, newest first; of one thread's program only, if it is given. */
  runs(limit: number, thread?: number): Promise<RecordedRunSummary[]>;
  /** Shows a run from its end on in place of what is live, and reports `stopped`. */
  openRun(id: number): Promise<void>;
}
