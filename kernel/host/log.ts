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

/** Lines that state costs, not reasons: the same wording from 5.10 to 7.3 but for what is absent in some. */
const statistics =
  /^(processed \d+ insns|verification time \d+ usec|stack depth |max_states_per_insn |insns processed|mark_precise )/;

/**
 * Statistics from `processed N insns (limit …) max_states_per_insn … total_states … peak_states … mark_read …`,
 * `stack depth a+b` and `verification time N usec`; undefined when the verifier ended before it walked the program.
 */
export function parseStats(log: string): VerifierStats | undefined {
  // The lines are the log's last; a log may have a million others.
  const tail = log.slice(-4096);
  const processed =
    /processed (\d+) insns \(limit \d+\)(?: max_states_per_insn (\d+))?(?: total_states (\d+))?(?: peak_states (\d+))?/.exec(
      tail,
    );
  if (!processed) return undefined;
  const depth = /^stack depth ([\d+]+)/m.exec(tail)?.[1];
  return {
    insns: Number(processed[1]),
    maxStatesPerInsn: Number(processed[2] ?? 0),
    states: Number(processed[3] ?? 0),
    peakStates: Number(processed[4] ?? 0),
    stackDepth: depth ? depth.split('+').map(Number) : [],
    microseconds: Number(/^verification time (\d+) usec/m.exec(tail)?.[1] ?? 0),
  };
}

/** The verifier's last words about the program, from a log of any level; undefined when it said nothing. */
export function terminalMessage(log: string): string | undefined {
  // 7.3 appends a report for humans after the line that all kernels write.
  const report = log.lastIndexOf('\nVerification failed:');
  const lines = (report >= 0 ? log.slice(0, report) : log).trimEnd().split('\n');
  while (lines.length > 0 && (statistics.test(lines.at(-1) ?? '') || lines.at(-1)?.trim() === ''))
    lines.pop();
  return lines.at(-1)?.trim();
}
