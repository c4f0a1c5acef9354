/** The few facts of a verifier log that the host itself needs; everything else is toolchain/verifier's. */
import type { VerifierStats } from '../protocol';

/** Verifier log levels, `BPF_LOG_*` of the kernel's bpf_verifier.h. */
export const LogLevel = {
  /** Every path's instructions and states at branches. */
  Paths: 1,
  /** States at every instruction. */
  States: 2,
  /** Statistics; costs nothing. With it alone, a rejection's own message is still written. */
  Stats: 4,
} as const;

/** Lines that state costs, not reasons. 7.3 has one on each subprogram where older kernels have `stack depth a+b`. */
const statistics =
  /^(processed \d+ insns |verification time \d+ usec|stack depth |subprog \d+ \([^()]*\) [^()]*insns_self \d+)/;

/**
 * Statistics from the log's last lines; undefined when the verifier ended before it walked the program. Until 7.2:
 * `verification time N usec`, `stack depth a+b` with a number for each subprogram, `processed N insns (limit …)
 * max_states_per_insn … total_states … peak_states … mark_read …`. From 7.3 on `stack depth max N` and a line
 * `subprog N (name) … stack N` for each.
 */
export function parseStats(log: string): VerifierStats | undefined {
  // A log may have a million lines before these.
  const tail = log.slice(-65_536);
  const processed =
    /^processed (\d+) insns \(limit \d+\)(?: max_states_per_insn (\d+))?(?: total_states (\d+))?(?: peak_states (\d+))?/m.exec(
      tail,
    );
  if (!processed) return undefined;
  return {
    insns: Number(processed[1]),
    maxStatesPerInsn: Number(processed[2] ?? 0),
    states: Number(processed[3] ?? 0),
    peakStates: Number(processed[4] ?? 0),
    stackDepth: stackDepths(tail),
    microseconds: Number(/^verification time (\d+) usec/m.exec(tail)?.[1] ?? 0),
  };
}

function stackDepths(tail: string): number[] {
  const together = /^stack depth (\d[\d+]*)/m.exec(tail)?.[1];
  if (together) return together.split('+').map(Number);
  return [...tail.matchAll(/^subprog \d+ \([^()\n]*\) [^()\n]*insns_self \d+[^()\n]* stack (\d+)/gm)].map(
    (match) => Number(match[1]),
  );
}

/** The verifier's last words about the program, from a log of any level; undefined when it said nothing. */
export function terminalMessage(log: string): string | undefined {
  // 7.3 appends a report for humans after the line that all kernels write.
  const report = log.lastIndexOf('\nVerification failed:');
  const lines = log
    .slice(0, report >= 0 ? report : undefined)
    .slice(-65_536)
    .trimEnd()
    .split('\n');
  while (lines.length > 0 && (statistics.test(lines.at(-1) ?? '') || lines.at(-1)?.trim() === ''))
    lines.pop();
  return lines.at(-1)?.trim();
}
