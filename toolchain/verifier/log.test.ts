import { describe, expect, test } from 'vitest';
import { cpuMilliseconds } from '../../test/support/cpu-time';
import { instructionOf } from './log';
import { indexLog, parseLog, readLog } from './logIndex';
import { followPath } from './path';
import { readStatistics } from './statistics';

const log =
  '0: R1=ctx() R10=fp0\n; x @ a.c:3\n0: (b7) r1 = 0 ; R1=0\n1: (15) if r1 == 0x0 goto pc+1 3: R1=0 R10=fp0\n3: safe\nwhat';

async function* pieces<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all;
}

describe('lines', () => {
  test('are the log again, each with its class', () => {
    const index = indexLog(log);
    const lines = Array.from({ length: index.length }, (_, line) => index.at(line));
    expect(lines.map((line) => line.text).join('\n')).toBe(log);
    expect(lines.map((line) => line.kind)).toEqual([
      'state',
      'source',
      'instruction',
      'instruction',
      'pruned',
      'text',
    ]);
    expect([index.insn(3), index.opcode(3), index.insn(1), index.unknownLines]).toEqual([1, 0x15, -1, 1]);
    expect([index.text(-1), index.text(6), index.kind(6), index.insn(6)]).toEqual(['', '', 'text', -1]);
  });

  test('are the same however the log arrives, also when a character is cut in two', async () => {
    const text = `${log}\n; größer ✓ @ a.c:4\n\n`;
    const whole = [...parseLog(text)];
    const bytes = new TextEncoder().encode(text);
    for (const size of [1, 3, 7, 1000]) {
      const cuts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.slice(at * size, at * size + size),
      );
      const index = await readLog(pieces(cuts));
      expect(Array.from({ length: index.length }, (_, line) => index.at(line))).toEqual(whole);
    }
  });

  test('of instructions come apart into assembly and state', () => {
    const [, , first, jump] = [...parseLog(log)];
    expect(first && instructionOf(first)).toEqual({ insn: 0, opcode: 0xb7, text: 'r1 = 0', state: 'R1=0' });
    expect(jump && instructionOf(jump)).toMatchObject({
      insn: 1,
      text: 'if r1 == 0x0 goto pc+1',
      state: 'R1=0 R10=fp0',
    });
    const [call] = [...parseLog('7: (85) call bpf_ringbuf_discard_dynptr#200          ;\n')];
    expect(call && instructionOf(call)).toMatchObject({
      text: 'call bpf_ringbuf_discard_dynptr#200',
      state: '',
    });
  });
});

describe('the path', () => {
  const insns = (text: string) => followPath(text).steps.map((step) => step.insn);

  test('leaves out one that was given up', () => {
    const text =
      '0: (15) if r1 == 0x0 goto pc+2\n1: (b7) r0 = 1\n2: (95) exit\nfrom 0 to 3: R1=0\n3: (b7) r0 = 2\n4: (95) exit\nbad\n';
    expect(insns(text)).toEqual([0, 3, 4]);
  });

  test('leaves it out too where the log does not say that another is taken', () => {
    const text =
      '0: (15) if r1 == 0x0 goto pc+2\n1: R0=1\n1: (b7) r0 = 1\n2: (95) exit\n3: R1=0\n3: (b7) r0 = 2\n4: (95) exit\nbad\n';
    expect(insns(text)).toEqual([0, 3, 4]);
  });

  test('of a log that never goes forward is followed in time in proportion to its length', () => {
    const text = `${'0: (15) if r1 == 0x0 goto pc+2\n'.repeat(100_000)}${'from 7 to 9: R1=0\n77: (b7) r0 = 1\n'.repeat(200_000)}`;
    // A second; in proportion to the square of its length it would be hours.
    expect(cpuMilliseconds(() => expect(followPath(text).lines).toBe(500_000))).toBeLessThan(60_000);
  });

  test('of a million lines is read in seconds and bounded memory', () => {
    const loop = '; x @ a.c:3\n0: (b7) r1 = 0 ; R1=0\n1: (05) goto pc-2\n'.repeat(334_000);
    const spent = cpuMilliseconds(() => {
      const path = followPath(loop);
      expect(path.lines).toBe(1_002_000);
      expect(path.steps.length).toBeLessThanOrEqual(200_000);
    });
    expect(spent).toBeLessThan(60_000);
  });

  test('knows the registers before and after each step', () => {
    const path = followPath(
      [
        '0: R1=ctx() R10=fp0',
        '0: (85) call bpf_map_lookup_elem#1    ; R0=map_value_or_null(id=1,map=counts,ks=4,vs=8)',
        '1: (bf) r6 = r0                       ; R0=map_value_or_null(id=1,map=counts,ks=4,vs=8) R6=map_value_or_null(id=1,map=counts,ks=4,vs=8)',
        '2: (15) if r0 == 0x0 goto pc+2        ; R0=map_value(map=counts,ks=4,vs=8)',
        '3: (85) call bpf_get_prandom_u32#7    ; R0=scalar()',
        '4: (79) r7 = *(u64 *)(r6 +0)          ; R6=map_value(map=counts,ks=4,vs=8) R7=scalar()',
        '5: (95) exit',
      ].join('\n'),
    );
    const type = (step: number, register: number) => {
      const value = path.states.before(step).registers[register];
      return value && `${value.type}${value.mayBeNull ? '?' : ''}`;
    };
    expect([type(0, 1), type(1, 1), type(1, 0)]).toEqual(['ctx', undefined, 'map_value?']);
    // The comparison of R0 holds for its copy, and the call ends R0 but not R6.
    expect([type(2, 6), type(3, 6), type(4, 6)]).toEqual(['map_value?', 'map_value', 'map_value']);
    expect(path.states.after(4).registers[0]?.type).toBe('scalar');
    expect(path.states.before(99)).toEqual({ frame: 0, registers: [], stack: new Map(), isWhole: false });
  });

  test('claims nothing of what a log without its beginning does not say', () => {
    const path = followPath(
      [
        '7: R0=0 R6=ctx()',
        '7: (07) r0 += 1                       ; R0=1',
        '8: (7b) *(u64 *)(r10 -8) = r0         ; R0=1 R10=fp0 fp-8=1',
        '9: (95) exit',
      ].join('\n'),
    );
    const { registers, stack, isWhole } = path.states.before(2);
    expect([registers[0]?.text, registers[6]?.type, registers[1], stack.size, isWhole]).toEqual([
      '1',
      'ctx',
      undefined,
      1,
      false,
    ]);
  });
});

test.each([
  ['Linux 6.1', 'stack depth 8+16\n', [8, 16]],
  [
    'Linux 7.3',
    'stack depth max 24\nsubprog 0 (program) main insns_self 9 insns_total 14 stack 8\nsubprog 1 (add) static insns_self 5 insns_total 5 stack 16\n',
    [8, 16],
  ],
])('the stack of each function is read from what %s prints', (_, lines, depths) => {
  const text = `${lines}processed 14 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 0\n`;
  expect(readStatistics(text)).toMatchObject({ insns: 14, states: 1, stackDepth: depths });
  expect(indexLog(text).unknownLines).toBe(0);
});
