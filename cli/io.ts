/** What a subcommand may do with the terminal, and how it learns that somebody wants it to stop. */
import type { Problem } from '../toolchain/problem';
import { wantsColor } from './render/color';

/** 0 all well, 1 findings, 2 could not run. */
export type ExitStatus = 0 | 1 | 2;

export interface Io {
  /** `--json`: standard output carries one JSON value a line and nothing else. */
  readonly json: boolean;
  /** Whether escape sequences for colours are wanted on standard output. */
  readonly color: boolean;
  /** Width of the terminal in columns; absent when standard output is none. */
  readonly columns?: number;
  /** Aborted by Ctrl-C, SIGTERM, a closed terminal, or a reader of standard output that went away. */
  readonly interrupted: AbortSignal;
  out(text: string): void;
  /** One line of JSON; 64-bit integers beyond 2^53 become decimal strings. */
  outJson(value: unknown): void;
  err(text: string): void;
  /** What happened, why, what to do next; on standard error, or as `{error}` with `--json`. */
  problem(problem: Problem): void;
}

export function createIo(json: boolean): Io {
  const controller = new AbortController();
  const interrupt = () => {
    // Somebody who asks twice does not want to wait for an orderly end. The kernel host, which sees its client
    // vanish, detaches everything all the same.
    if (controller.signal.aborted) process.exit(2);
    controller.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  let broken = false;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    broken = true;
    if (error.code !== 'EPIPE') process.stderr.write(`bpf-studio: standard output: ${error.message}\n`);
    if (!controller.signal.aborted) controller.abort();
  });
  const out = (text: string) => {
    if (!broken) process.stdout.write(text);
  };
  const outJson = (value: unknown) => out(`${JSON.stringify(value, jsonValue)}\n`);
  const err = (text: string) => void process.stderr.write(text);
  return {
    json,
    color: wantsColor(process.stdout, process.env),
    ...(process.stdout.isTTY ? { columns: process.stdout.columns } : {}),
    interrupted: controller.signal,
    out,
    outJson,
    err,
    problem(problem) {
      if (json) outJson({ error: problem });
      else
        err(
          `bpf-studio: ${problem.message}\n${problem.hint ? `${problem.hint.replace(/^/gm, '  ')}\n` : ''}`,
        );
    },
  };
}

function jsonValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') {
    const safe = value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER);
    return safe ? Number(value) : value.toString();
  }
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  return value;
}
