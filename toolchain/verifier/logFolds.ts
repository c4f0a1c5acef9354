/** Parts of a verifier log that can be folded away. */
import { parseLog } from './logIndex';

export interface LogFold {
  /** Zero-based lines of the log, both included; the first stays visible. */
  start: number;
  end: number;
  /**
   * `branch`: from where the verifier takes up another way to where it leaves it; `frame`: a function from its call to
   * its return; `precision`, `liveness`: what it notes about registers; `report`: 7.3's explanation.
   */
  kind: 'branch' | 'frame' | 'precision' | 'liveness' | 'report';
}

/** Kinds whose consecutive lines are one fold. */
const RUNS = { precision: 'precision', liveness: 'liveness', report: 'report' } as const;

/** Folds sorted by their first line; one inside another ends with it at the latest. */
export function logFolds(log: string): LogFold[] {
  const folds: LogFold[] = [];
  const add = (kind: LogFold['kind'], start: number, end: number): void => {
    if (end > start) folds.push({ kind, start, end });
  };
  let branch: number | undefined;
  let frames: number[] = [];
  let run: { kind: 'precision' | 'liveness' | 'report'; start: number; end: number } | undefined;
  /** Last line with words on it, so that the blank ones between two parts stay outside. */
  let last = 0;
  let call = -1;
  const closeRun = (): void => {
    if (run) add(run.kind, run.start, run.end);
    run = undefined;
  };
  const closePath = (): void => {
    for (const start of frames) add('frame', start, last);
    frames = [];
    if (branch !== undefined) add('branch', branch, last);
    branch = undefined;
  };
  for (const { kind, number, text } of parseLog(log)) {
    const running = RUNS[kind as keyof typeof RUNS];
    if (run && running !== run.kind) closeRun();
    if (running) run = run ? { ...run, end: number } : { kind: running, start: number, end: number };
    switch (kind) {
      case 'branch':
        closePath();
        branch = number;
        break;
      case 'instruction':
        call = number;
        break;
      case 'call':
        // `caller:` stands behind the call, `returning from callee:` behind the exit.
        if (text.startsWith('caller:')) frames.push(Math.max(call, 0));
        else if (text.startsWith('returning from callee:')) {
          const start = frames.pop();
          if (start !== undefined) add('frame', start, last);
        }
        break;
      case 'function':
        // The next function is verified by itself.
        if (text.startsWith('Validating ')) closePath();
        break;
      case 'statistics':
        closeRun();
        closePath();
        break;
      default:
        break;
    }
    if (kind !== 'blank') last = number;
  }
  closeRun();
  closePath();
  return folds.sort((a, b) => a.start - b.start || b.end - a.end);
}
