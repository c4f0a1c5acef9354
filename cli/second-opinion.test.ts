import { expect, test } from 'vitest';
import type { Diagnostic } from '../toolchain/diagnostic';
import type { Io } from './io';
import { withSecondOpinions } from './second-opinion';
import type { FileResult } from './verify-file';

const range = { start: { line: 3, character: 0 }, end: { line: 3, character: 1 } };
const io = { interrupted: new AbortController().signal } as Io;

/** A file's result on a kernel; without a verdict when that kernel gave none. */
function on(kernel: string, verdict?: 'accepted' | 'rejected', log = ''): FileResult {
  const finding: Diagnostic = {
    path: '/a.bpf.c',
    range,
    severity: 1,
    code: 'bpf/null-deref',
    source: 'verifier',
    message: 'm',
    related: [],
  };
  const diagnostics = verdict === 'rejected' ? [finding] : [];
  const described = { name: 'p', section: 'xdp', type: 'xdp' };
  const more = {
    typeNumber: 6,
    libbpfLog: '',
    log,
    message: 'R0 …',
    insnCount: 1,
    lineInfo: new Uint8Array(),
  };
  return {
    path: '/a.bpf.c',
    object: new Uint8Array(),
    status: 1,
    json: {
      file: 'a.bpf.c',
      kernel,
      programs: verdict ? [{ ...described, verdict, diagnostics: [] }] : [],
      diagnostics: [],
    },
    programs: verdict ? [{ verdict: { ...described, ...more, verdict }, diagnostics }] : [],
    diagnostics: [],
  };
}

const opinionOn = (result: FileResult | undefined) =>
  result?.programs[0]?.diagnostics[0]?.data?.secondOpinion;
const log = 'Verification failed: A: b\n\nSuggestion:\n  c\n\nprocessed 1 insns (limit 1000000)\n';

test('a kernel of the matrix that writes reports is not asked again, and one that gave no answer has no say', async () => {
  const results = await withSecondOpinions(
    [on('5.10.1', 'rejected'), on('7.3.4', 'rejected', log), on('7.3.4')],
    io,
  );
  expect(opinionOn(results[0])).toBe('Linux 7.3.4 says:\nVerification failed: A: b\n\nSuggestion:\n  c');
  expect(results[0]!.json.programs[0]).toMatchObject({
    secondOpinion: { kernel: '7.3.4', verdict: 'rejected' },
  });
  // Its own rejection carries the report in its log already.
  expect(opinionOn(results[1])).toBeUndefined();
});

test('a rejection without a report gives the words there are; an acceptance says so', async () => {
  const silent = await withSecondOpinions([on('6.1.1', 'rejected'), on('7.3.4', 'rejected')], io);
  expect(opinionOn(silent[0])).toBe('Linux 7.3.4 rejects it too, without a report: R0 …');
  const content = await withSecondOpinions([on('6.1.1', 'rejected'), on('7.3.4', 'accepted')], io);
  expect(opinionOn(content[0])).toBe('Linux 7.3.4 accepts this program.');
});
