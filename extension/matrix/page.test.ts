import { expect, test } from 'vitest';
import type { ObjectRow } from '../../kernel-matrix/matrix';
import { cellText } from './cell-document';
import { renderPage, type PageText } from './page';

const text: PageText = {
  title: 'a.bpf.c on 2 kernels',
  compiled: 'compiled once',
  program: 'program',
  missing: 'Missing',
  findings: 'Findings',
  again: 'Verify Again',
  noAnswer: 'no answer',
  accepted: 'accepted',
  rejected: 'rejected',
  notVerified: 'not verified',
  on: 'on',
};
const program = { type: 'xdp', typeNumber: 6, libbpfLog: '', insnCount: 2, lineInfo: new Uint8Array() };
const stats = {
  insns: 1204,
  states: 3,
  peakStates: 3,
  maxStatesPerInsn: 1,
  stackDepth: [8],
  microseconds: 45,
};
const ODD = '"><img src=x>';
const row: ObjectRow = {
  file: 'a.bpf.c',
  cells: [
    {
      kernel: { release: '5.10.1', target: { kind: 'vm', kernel: '/k' } },
      programs: [
        {
          ...program,
          name: 'loops',
          section: ODD,
          verdict: 'rejected',
          message: ODD,
          log: '0: (85) call unknown#181',
        },
      ],
    },
    {
      kernel: { release: '6.1.2', target: { kind: 'local' } },
      programs: [{ ...program, name: 'loops', section: ODD, verdict: 'accepted', stats }],
    },
    {
      kernel: { release: '6.2.3', target: { kind: 'local' } },
      programs: [],
      problem: { code: 'kernel/bootFailed', message: `It did not start: ${ODD}.`, hint: 'Choose another.' },
    },
  ],
  missing: [
    {
      requirement: { kind: 'helper', number: 181 },
      word: 'helper',
      name: 'bpf_loop',
      programs: ['loops'],
      missingIn: ['5.10.1'],
      firstSeenIn: '6.1.2',
    },
  ],
};

test('a cell says what a kernel said; one that gave no answer says why, below', () => {
  const page = renderPage(row, [], text, 'nonce');
  const cells = [...page.matchAll(/<td class="(\w+)">([^]*?)<\/td>/g)].map(([, kind, html]) => [
    kind,
    html!.replace(/<[^>]*>/g, '').trim(),
  ]);
  expect(cells).toEqual([
    ['rejected', '✗ no bpf_loop'],
    ['accepted', '✓ 1,204 insns'],
    ['unknown', 'no answer'],
  ]);
  expect(page).toContain('<strong>Linux 6.2.3</strong>: It did not start: ');
  expect(page).toContain(
    'helper bpf_loop: not in 5.10.1; first seen in 6.1.2 among the kernels asked; used by loops',
  );
});

test('nothing that a file or a kernel says becomes markup', () => {
  const range = { start: { line: 0, character: 0 }, end: { line: 0, character: 1 } };
  const finding = {
    path: '/a',
    range,
    severity: 1,
    code: 'bpf/x',
    source: 'verifier',
    message: ODD,
    related: [],
  } as const;
  const page = renderPage(
    row,
    [{ diagnostic: { ...finding, related: [] }, kernels: ['5.10.1'] }],
    text,
    'nonce',
  );
  expect(page).not.toContain('<img');
});

test('the document behind a cell has the verdict, what is missing and the log', () => {
  expect(cellText(row, 'loops', '5.10.1', [])).toMatch(
    /^; Linux 5\.10\.1: loops .* rejected\n; missing: helper bpf_loop: [^]*\n\n0: \(85\) call unknown#181\n$/,
  );
  expect(cellText(row, 'loops', '6.1.2', [])).toContain('; 1204 insns, 3 states, 45 us\n');
  expect(cellText(row, 'loops', '6.2.3', [])).toContain('gave no verdict on loops');
});
