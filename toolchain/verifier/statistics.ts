/** What the verifier counted; `VerifierStats` of kernel/protocol.ts has this shape. */
export interface Statistics {
  insns: number;
  states: number;
  peakStates: number;
  maxStatesPerInsn: number;
  /** Bytes of stack by subprogram. */
  stackDepth: number[];
  /** 0 when the kernel reports none. */
  microseconds: number;
}

/**
 * Statistics from the lines that end a log; undefined when they are not there. Only the log's last kilobytes are
 * looked at, where they always stand. Until 7.2: `stack depth a+b`, a number for each subprogram; since 7.3 a line
 * `subprog N (name) … stack N` for each.
 */
export function readStatistics(log: string): Statistics | undefined {
  const tail = log.slice(-16_384);
  const processed =
    /^processed (\d+) insns \(limit \d+\) max_states_per_insn (\d+) total_states (\d+) peak_states (\d+)/m.exec(
      tail,
    );
  if (!processed) return undefined;
  const [, insns, maxStatesPerInsn, states, peakStates] = processed.map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const time = /^verification time (\d+) usec/m.exec(tail)?.[1];
  return {
    insns,
    states,
    peakStates,
    maxStatesPerInsn,
    stackDepth: stackDepths(tail),
    microseconds: time ? Number(time) : 0,
  };
}

function stackDepths(tail: string): number[] {
  const together = /^stack depth (\d[\d+]*)/m.exec(tail)?.[1];
  if (together) return together.split('+').map(Number);
  return [...tail.matchAll(/^subprog \d+ \([^()\n]*\) [^()\n]*insns_self \d+[^()\n]* stack (\d+)/gm)].map(
    (match) => Number(match[1]),
  );
}
