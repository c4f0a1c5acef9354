import { describe, expect, test } from 'vitest';
import { parseStats, terminalMessage } from './log';

/** Ends of logs as kernels of these versions wrote them for a missing NULL check, at level 4. */
const ends = {
  '5.10 to 7.2': `R0 invalid mem access 'map_value_or_null'
verification time 18961 usec
stack depth 8+16
processed 7 insns (limit 1000000) max_states_per_insn 1 total_states 2 peak_states 3 mark_read 4
`,
  '7.3': `R0 invalid mem access 'map_value_or_null'
verification time 18961 usec
stack depth max 24
subprog 0 (bad) main insns_self 5 insns_total 7 stack 8
subprog 1 (helper) static insns_self 2 insns_total 2 stack 16
processed 7 insns (limit 1000000) max_states_per_insn 1 total_states 2 peak_states 3 mark_read 4
`,
  '7.3 with its report': `7: (79) r0 = *(u64 *)(r0 +0)
R0 invalid mem access 'map_value_or_null'

Verification failed: Register Type Safety: Invalid dereference

Suggestion:
  Add a NULL check.

verification time 18961 usec
stack depth max 24
subprog 0 (bad) main insns_self 5 insns_total 7 stack 8
subprog 1 (helper) static insns_self 2 insns_total 2 stack 16
processed 7 insns (limit 1000000) max_states_per_insn 1 total_states 2 peak_states 3 mark_read 4
`,
};

describe.each(Object.entries(ends))('%s', (_version, log) => {
  test('costs', () => {
    expect(parseStats(log)).toEqual({
      insns: 7,
      maxStatesPerInsn: 1,
      states: 2,
      peakStates: 3,
      stackDepth: [8, 16],
      microseconds: 18961,
    });
  });
  test('the last words', () => {
    expect(terminalMessage(log)).toBe("R0 invalid mem access 'map_value_or_null'");
  });
});

test('a verifier that said nothing said nothing', () => {
  expect(terminalMessage('')).toBeUndefined();
  expect(parseStats('')).toBeUndefined();
});

test('a program refused before it was walked has words and no costs', () => {
  const log = 'unreachable insn 5\n';
  expect(terminalMessage(log)).toBe('unreachable insn 5');
  expect(parseStats(log)).toBeUndefined();
});
