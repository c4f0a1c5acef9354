/** Why something could not be read, decoded or done, in words for the user who has to act on it. */
export interface Problem {
  /** Stable identifier, e.g. `elf/truncated`. */
  code: string;
  /** What happened and why. */
  message: string;
  /** What to do next; an exact command where there is one. */
  hint: string;
}

/** What analysis returns instead of throwing. */
export type Outcome<T> = { ok: true; value: T } | { ok: false; problem: Problem };

export function succeed<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

export function fail(code: string, message: string, hint: string): { ok: false; problem: Problem } {
  return { ok: false, problem: { code, message, hint } };
}
