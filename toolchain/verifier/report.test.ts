/** Logs as kernels wrote them that are not at hand in every test, and what stands in the way of reading them. */
import { describe, expect, test } from 'vitest';
import { cpuMilliseconds } from '../../test/support/cpu-time';
import { entryById, catalogue, classifyMessage } from './catalogue';
import { toDiagnostics } from './diagnostics';
import { placesInText } from './places';
import { explain } from './report';
import type { VerdictInput } from './report';
import { expressionAround, spanOf } from './span';

const rejected: VerdictInput = {
  name: 'program',
  section: 'xdp',
  type: 'xdp',
  verdict: 'rejected',
  libbpfLog: '',
  lineInfo: new Uint8Array(),
};
const failureOf = (log: string, more: Partial<VerdictInput> = {}) =>
  explain({ ...rejected, ...more, log }, { btf: undefined }).failure;

describe('logs of other kernels', () => {
  test('Linux 5.10 calls numbers inv and writes states before the instruction', () => {
    const log = [
      '0: (b7) r1 = 0',
      'from 3 to 5: R0=inv0 R1=ctx(id=0,off=0,imm=0) R10=fp0',
      '; return *p;',
      '5: (61) r0 = *(u32 *)(r1 +0)',
      "R1 invalid mem access 'inv'",
      'processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 1',
      '',
    ].join('\n');
    expect(failureOf(log)).toMatchObject({
      id: 'bpf/scalar-pointer',
      instruction: 5,
      kernelMessage: "R1 invalid mem access 'inv'",
      unknownLines: 0,
    });
  });

  test('a branch that Linux 5.10 takes up without a word at level 2 is the one that was put off', () => {
    const state = (insn: number) => `${insn}: R0=inv0 R1=ctx(id=0,off=0,imm=0) R10=fp0`;
    const log = [
      ...['0: (55) if r4 != 0x3 goto pc+2', state(1), '1: (b7) r0 = 0', state(2)],
      // The path goes on at 3 at first, so that only 4 is left of this jump.
      ...[
        '2: (55) if r3 != 0x0 goto pc+1',
        state(3),
        '3: (71) r0 = *(u8 *)(r6 +0)',
        state(4),
        '4: (95) exit',
      ],
      ...[state(4), '4: (95) exit'],
      ...[state(3), '3: (71) r0 = *(u8 *)(r6 +0)', "R6 invalid mem access 'inv'", ''],
    ];
    const path = failureOf(log.join('\n'))?.path;
    expect(path?.steps.map(({ insn }) => insn)).toEqual([0, 3]);
    expect(path?.branches).toEqual([{ from: 0, to: 3, step: 1 }]);
  });

  test('a number doubled many times without a state in the log is followed in time', () => {
    const doubled = Array.from({ length: 64 }, (_, index) => `${index + 2}: (0f) r0 += r0`);
    const log = [
      '0: (85) call bpf_ktime_get_ns#5',
      '1: (bf) r1 = r0',
      ...doubled,
      '66: (71) r0 = *(u8 *)(r0 +0)',
    ];
    const spent = cpuMilliseconds(() =>
      expect(failureOf([...log, "R0 invalid mem access 'inv'", ''].join('\n'))).toMatchObject({
        id: 'bpf/scalar-pointer',
        instruction: 66,
      }),
    );
    // Moments; followed each way it would be years.
    expect(spent).toBeLessThan(60_000);
  });

  test('stack that was never written, in the words of several kernels', () => {
    for (const words of [
      'invalid indirect read from stack off -16+1 size 16',
      'invalid indirect read from stack R2 off -16+1 size 16',
      'invalid read from stack off -8+0 size 8',
    ]) {
      expect(failureOf(`4: (85) call bpf_map_lookup_elem#1\n${words}\nprocessed 5 insns`)?.id).toBe(
        'bpf/stack-uninitialised',
      );
    }
    expect(failureOf('0: (7b) *(u64 *)(r10 -520) = r1\ninvalid write to stack R10 off=-520 size=8')?.id).toBe(
      'bpf/stack-size',
    );
    expect(failureOf('0: (7b) *(u64 *)(r10 -520) = r1\ninvalid stack off=-520 size=8')?.id).toBe(
      'bpf/stack-size',
    );
    expect(failureOf('0: (7b) *(u64 *)(r10 +8) = r1\ninvalid write to stack R10 off=8 size=8')?.id).toBe(
      'bpf/stack-bounds',
    );
  });

  test('a poisoned call is a CO-RE relocation, with and without libbpf’s explanation', () => {
    expect(failureOf('3: (85) call unknown#195896080\ninvalid func unknown#195896080\n')?.id).toBe(
      'bpf/core-relocation',
    );
    const explained =
      '3: <invalid CO-RE relocation>\nfailed to resolve CO-RE relocation <byte_off> [7] struct sock.sk_gone (0:3 @ offset 0)\n';
    expect(failureOf(explained)).toMatchObject({ id: 'bpf/core-relocation', instruction: 3 });
    expect(failureOf(explained)?.message).toContain('`struct sock.sk_gone`');
  });

  test('the states of loops do not hide the reason before them', () => {
    const log =
      'infinite loop detected at insn 7\ncur state: R0=0 R10=fp0\nold state: R0=0 R10=fp0\nprocessed 9 insns';
    expect(failureOf(`7: (05) goto pc-1\n${log}`)).toMatchObject({ id: 'bpf/infinite-loop', instruction: 7 });
  });

  test('a log wrapped in libbpf’s markers is read like the bare one', () => {
    const log =
      "libbpf: prog 'p': BPF program load failed: Permission denied\nlibbpf: prog 'p': -- BEGIN PROG LOAD LOG --\n" +
      "0: (79) r0 = *(u64 *)(r1 +0)\nR1 invalid mem access 'scalar'\nprocessed 1 insns (limit 1000000)\n-- END PROG LOAD LOG --\nlibbpf: failed to load object\n";
    expect(failureOf(log)).toMatchObject({
      id: 'bpf/scalar-pointer',
      kernelMessage: "R1 invalid mem access 'scalar'",
    });
  });

  test('without a place in the log the report of Linux 7.3 is still read whole', () => {
    const log = [
      'recursive call from f() to f()',
      '',
      'Verification failed: Program Structure: Recursive subprogram call',
      '',
      'Reason:',
      '  This call would make the call graph',
      '  recursive.',
      '',
      'At:',
      '  f @ file.bpf.c:8:24',
      '  Source context:',
      '  >>>  8 |         return f(x) * 3;',
      '         |         ^-- error: recursive subprogram call',
      '',
      'Causal path:',
      '  f @ file.bpf.c:4:2',
      '',
      'Suggestion:',
      '  Use a loop.',
      '',
      'processed 0 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0',
    ].join('\n');
    expect(failureOf(log)).toMatchObject({
      kernelMessage: 'recursive call from f() to f()',
      kernelReport: {
        category: 'Program Structure',
        problem: 'Recursive subprogram call',
        reason: 'This call would make the call graph recursive.',
        at: {
          function: 'f',
          file: 'file.bpf.c',
          line: 8,
          column: 24,
          note: 'error: recursive subprogram call',
        },
        causes: [{ file: 'file.bpf.c', line: 4 }],
        suggestion: 'Use a loop.',
      },
    });
  });
});

describe('what fails before the verifier', () => {
  test.each([
    ["prog 'program': failed to load: -EPERM", 'EPERM', 'bpf/permission'],
    ["libbpf: map 'm': failed to create: Invalid argument(-22)", 'EINVAL', 'bpf/map-create'],
    ['libbpf: Error loading .BTF into kernel: -22. BTF is mandatory, cannot proceed.', 'EINVAL', 'bpf/btf'],
    ["libbpf: failed to find kernel BTF type ID of 'tcp_nothing': -3", 'ESRCH', 'bpf/attach-target'],
    [
      "libbpf: permission error while running as root; try raising 'ulimit -l'? current value: 64.0 KiB",
      'EPERM',
      'bpf/memlock',
    ],
  ])('%s', (libbpfLog, errno, id) => {
    const failure = failureOf('', { verdict: 'error', libbpfLog, errno });
    expect(failure?.id).toBe(id);
    expect(failure?.saidBy).toBe('libbpf');
    expect(failure?.help).not.toBe('');
  });

  test('a rejection without a log is explained by its message', () => {
    const failure = failureOf('', {
      message: "R1 invalid mem access 'scalar'",
      libbpfLog: "prog 'p': failed to load: -EACCES",
    });
    expect(failure).toMatchObject({ id: 'bpf/scalar-pointer', saidBy: 'verifier' });
    expect(failure?.instruction).toBeUndefined();
  });

  test('nothing said at all is said to be so', () => {
    expect(failureOf('')).toMatchObject({ id: 'bpf/no-reason', kernelMessage: '' });
  });
});

test('words nobody knows are passed on as the kernel’s own', () => {
  const failure = failureOf('3: (95) exit\nthe moon is in the wrong quarter\nprocessed 4 insns');
  expect(failure).toMatchObject({
    id: 'bpf/other',
    instruction: 3,
    kernelMessage: 'the moon is in the wrong quarter',
  });
  expect(failure?.message).toContain('the moon is in the wrong quarter');
});

test('names of variables and functions decide nothing', () => {
  const log = (name: string) =>
    `3: (85) call ${name}#1\n4: (61) r1 = *(u32 *)(r0 +0)\nR0 invalid mem access 'map_value_or_null'\n`;
  expect(failureOf(log('bpf_map_lookup_elem'))?.id).toBe(failureOf(log('stack_unbounded_license'))?.id);
});

test('ids are unique and each entry says what is wanted and what to do', () => {
  const ids = catalogue.map((entry) => entry.id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of [...ids, 'bpf/other', 'bpf/no-reason']) {
    const entry = entryById(id);
    expect([id, Boolean(entry?.title && entry.wants && entry.help)]).toEqual([id, true]);
  }
  expect(classifyMessage([])).toBeUndefined();
});

describe('the expression at a column', () => {
  const covered = (text: string, column: number) => {
    const { start, end } = spanOf(text, 0, column);
    return text.slice(start.character, end.character);
  };

  test.each([
    ['\tv->bytes += len;', 'bytes', 'v->bytes'],
    ['\tx = bpf_get(&a, ")", (b))[0] + 1;', 'bpf_get', 'bpf_get(&a, ")", (b))'],
    ['\treturn *(volatile u64 *)(task + 8);', '*(vol', '*(volatile u64 *)(task + 8)'],
    ['\tif (a->b[c].d > 5) // why', 'a->', 'a->b[c].d'],
    ['\tif (data + 14 > end)', 'if', 'if (data + 14 > end)'],
    ['\tasm volatile("r0 = %0" : : "r"(x));', 'asm', 'asm volatile("r0 = %0" : : "r"(x))'],
  ])('%s at %s', (text, at, whole) => {
    expect(expressionAround(text, text.indexOf(at) + 1)).toBe(whole);
  });

  test.each([
    ['\ttraffic->packets++;', '++', 'traffic->packets++'],
    ['\tif (eth->h_proto == 8)', 'h_proto', 'eth->h_proto'],
    ['\t*count += 1;', '+=', '*count +='],
    ['\tn = 2 * v->hits + 1;', 'hits', 'v->hits'],
    ['\t++*count;', '++', '++*count'],
    ['\ta.b[i].c = 5;', '=', 'a.b[i].c ='],
    ['\tx = a >= b;', '>=', 'a >= b'],
    ['\tif ((void *)(a + 1) > end) {', '>', '(void *)(a + 1) > end'],
    ['\tif (!v || i > 15)', '||', '!v || i > 15'],
    ['\tp = data + h->len * 4;', '+', 'data + h->len'],
  ])('the range in %s at %s is the whole of %s', (text, at, whole) => {
    expect(covered(text, text.indexOf(at) + 1)).toBe(whole);
  });

  test('columns count bytes, ranges count UTF-16 units', () => {
    const text = '/* größer */ value = 1;';
    expect(covered(text, Buffer.byteLength('/* größer */ ') + 1)).toBe('value');
  });

  test('without a column the statement is meant; beyond the line nothing breaks', () => {
    expect(covered('\t a = b;  ', 0)).toBe('a = b;');
    for (let column = 0; column < 40; column++) expect(covered('(((a[', column)).toBeTypeOf('string');
  });
});

test('programs and maps are found in a text by their names', () => {
  const text =
    '// program(x)\nstruct { int (*type)[1]; } counts SEC(".maps");\nSEC("xdp") int program(struct xdp_md *ctx)\n{ return other(); }\nint BPF_PROG(second, int a)\n';
  const places = placesInText('/a.c', text);
  expect(places.find?.({ kind: 'program', name: 'program' })?.start).toEqual({ line: 2, character: 15 });
  expect(places.find?.({ kind: 'program', name: 'second' })?.start).toEqual({ line: 4, character: 13 });
  expect(places.find?.({ kind: 'map', name: 'counts' })?.start).toEqual({ line: 1, character: 27 });
  expect(places.find?.({ kind: 'program', name: 'absent' })).toBeUndefined();
});

test('an accepted program has no diagnostic, a rejected one has exactly one', () => {
  const places = { path: '/a.c' };
  expect(toDiagnostics(explain({ ...rejected, verdict: 'accepted' }, { btf: undefined }), places)).toEqual(
    [],
  );
  const found = toDiagnostics(
    explain({ ...rejected, log: 'R1 !read_ok' }, { btf: undefined, kernel: '6.1' }),
    places,
  );
  expect(found).toMatchObject([
    { path: '/a.c', code: 'bpf/uninitialised', data: { kernel: '6.1', kernelMessage: 'R1 !read_ok' } },
  ]);
});
