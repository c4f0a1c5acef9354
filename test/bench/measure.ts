/** Wall times measured side by side, so that what else the machine does falls on both. */
import { execFile } from 'node:child_process';

export interface Line {
  name: string;
  /** What was measured, with its unit: `0.21 s`, `p95 3.1 ms`. */
  ours: string;
  theirs: string;
  /** ours / theirs, or the absolute figure where nothing stands beside it. */
  value: number;
  bound: number;
  /** Why there is no value. */
  skipped?: string;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function percentile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]!;
}

export async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}

/** Medians of both, taken in turns; one round before goes uncounted. */
export async function sideBySide(
  rounds: number,
  ours: () => Promise<unknown>,
  theirs: () => Promise<unknown>,
): Promise<{ ours: number; theirs: number }> {
  const times = { ours: [] as number[], theirs: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    const [own, other] = [await milliseconds(ours), await milliseconds(theirs)];
    if (round === 0) continue;
    times.ours.push(own);
    times.theirs.push(other);
  }
  return { ours: median(times.ours), theirs: median(times.theirs) };
}

export function ratioLine(name: string, bound: number, measured: { ours: number; theirs: number }): Line {
  const { ours, theirs } = measured;
  return { name, bound, ours: seconds(ours), theirs: seconds(theirs), value: ours / theirs };
}

export function skippedLine(name: string, bound: number, skipped: string): Line {
  return { name, bound, ours: '', theirs: '', value: NaN, skipped };
}

export function seconds(value: number): string {
  return `${(value / 1000).toFixed(3)} s`;
}

/** Runs a command to its end and throws unless its status is one of `allowed`. Its output goes nowhere. */
export function run(command: string, args: string[], allowed = [0]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      command,
      args,
      { maxBuffer: 1 << 30, encoding: 'buffer' },
      (error, _stdout, stderr) => {
        const status = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
        if (allowed.includes(status)) resolve();
        else
          reject(
            new Error(`${command} ${args.join(' ')}: status ${status}: ${stderr.toString().slice(-500)}`),
          );
      },
    );
    child.stdin?.end();
  });
}
