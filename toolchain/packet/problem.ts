/** What is wrong with a packet that somebody wrote down, and where in what they wrote. */
export interface PacketProblem {
  /** `packet[2].ttl` for layers, `line 3, column 7` for hex text, `byte 24` for a capture file. */
  path: string;
  message: string;
}

export type Parsed<T> = { ok: true; value: T } | { ok: false; problems: PacketProblem[] };

/** One line for each problem, as shown in the Debug Console and in a terminal. */
export function describeProblems(problems: readonly PacketProblem[]): string {
  return problems.map((problem) => `${problem.path}: ${problem.message}`).join('\n');
}
