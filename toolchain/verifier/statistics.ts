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
 * looked at, where they always stand.
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
  const depths = /^stack depth ([\d+]+)/m.exec(tail)?.[1] ?? '';
  const time = /^verification time (\d+) usec/m.exec(tail)?.[1];
  return {
    insns,
    states,
    peakStates,
    maxStatesPerInsn,
    stackDepth: depths ? depths.split('+').map(Number) : [],
    microseconds: time ? Number(time) : 0,
  };
}
