import { expect, test } from 'vitest';
import type { Diagnostic } from '../../toolchain/diagnostic';
import { wantsColor } from './color';
import { renderDiagnostic } from './diagnostic';
import { renderVerdict } from './verdict';

const source = [
  '#include "vmlinux.h"',
  '',
  'SEC("xdp")',
  'int count(struct xdp_md *ctx)',
  '{',
  '\tstruct value *v = bpf_map_lookup_elem(&counters, &key);',
  '',
  '\tv->packets++; /* größer 数 */ v->bytes = 1;',
  '}',
].join('\n');

function range(line: number, start: number, end: number) {
  return { start: { line, character: start }, end: { line, character: end } };
}

const finding: Diagnostic = {
  path: '/project/count.bpf.c',
  range: range(7, 4, 11),
  severity: 1,
  code: 'bpf/null-deref',
  source: 'verifier',
  message: '`v` may be NULL here',
  related: [{ path: '/project/count.bpf.c', range: range(5, 19, 55), message: 'the value comes from here' }],
  data: { kernelMessage: 'R0 invalid mem access\nand more', help: 'Check it: if (!v) return 0;' },
};
const options = {
  source: () => source,
  showPath: (path: string) => path.replace('/project/', ''),
  color: false,
};

test('the finding, where it came from, the kernel’s words and the way out make one picture', () => {
  expect(`\n${renderDiagnostic(finding, options)}\n`).toBe(`
error[bpf/null-deref]: \`v\` may be NULL here
 --> count.bpf.c:8:5
  |
6 |     struct value *v = bpf_map_lookup_elem(&counters, &key);
  |                       ------------------------------------ the value comes from here
7 |
8 |     v->packets++; /* größer 数 */ v->bytes = 1;
  |        ^^^^^^^
  |
  = kernel: R0 invalid mem access
            and more
  = help: Check it: if (!v) return 0;
`);
});

test('marks stand under what they mean behind wide characters too', () => {
  const line = source.split('\n')[7] as string;
  const at = line.indexOf('v->bytes');
  const text = renderDiagnostic({ ...finding, range: range(7, at, at + 8), related: [] }, options);
  const [shown, marks] = text.split('\n').slice(3, 5) as [string, string];
  // 数 takes two columns, so the marks begin one column after the text's own count.
  expect(marks.indexOf('^')).toBe(shown.indexOf('v->bytes') + 1);
  expect(marks.trimEnd().length - marks.indexOf('^')).toBe(8);
});

test('lines far apart are joined by dots, other files stand on their own', () => {
  const header = { path: '/project/maps.h', range: range(0, 0, 4), message: 'declared here' };
  const related = [{ path: finding.path, range: range(2, 0, 10), message: 'in this program' }, header];
  const text = renderDiagnostic(
    { ...finding, related },
    { ...options, source: (path) => (path.endsWith('.h') ? 'int x;' : source) },
  );
  expect(text).toContain('\n3 | SEC("xdp")\n  | ---------- 1. in this program\n ...\n8 |');
  expect(text).toContain('\n ::: maps.h:1:1\n  |\n1 | int x;\n  | ---- 2. declared here\n');
});

/** The lines of the picture between the two empty bars. */
function pictureOf(
  text: string,
  primary: Diagnostic['range'],
  related: Diagnostic['related'],
  width?: number,
) {
  const lines = renderDiagnostic(
    { ...finding, range: primary, related, data: {} },
    { ...options, source: () => text, ...(width === undefined ? {} : { width }) },
  ).split('\n');
  return lines.slice(3, -1).join('\n');
}

test('several places in one line are numbered by time, their labels hang below the marks', () => {
  const place = (start: number, end: number, message: string) => ({
    path: finding.path,
    range: range(0, start, end),
    message,
  });
  const related = [place(10, 13, 'made here'), place(15, 18, 'read here')];
  expect(pictureOf('\tbpf_copy(dst, src, len);', range(0, 20, 23), related)).toBe(
    [
      '1 |     bpf_copy(dst, src, len);',
      '  |              ---  ---  ^^^',
      '  |              |    |',
      '  |              |    2. read here',
      '  |              1. made here',
    ].join('\n'),
  );
});

test('places that overlap keep marks of their own', () => {
  const call = { path: finding.path, range: range(0, 0, 9), message: 'the value of this call' };
  expect(pictureOf('f(a, b+c) + d', range(0, 5, 8), [call])).toBe(
    ['1 | f(a, b+c) + d', '  |      ^^^', '  | --------- the value of this call'].join('\n'),
  );
});

test('a statement over several lines is bracketed at the left', () => {
  const statement = { start: { line: 0, character: 5 }, end: { line: 1, character: 12 } };
  expect(pictureOf('\tx = call(a,\n\t         b);\nreturn', statement, [])).toBe(
    ['1 |       x = call(a,', '  |  _________^', '2 | |              b);', '  | |_______________^'].join(
      '\n',
    ),
  );
});

test('of a long statement only the ends are shown', () => {
  const lines = Array.from({ length: 20 }, (_, index) => `line${index + 1}`);
  const picture = pictureOf(
    lines.join('\n'),
    { start: { line: 1, character: 0 }, end: { line: 18, character: 6 } },
    [],
  );
  expect(picture.split('\n')[0]).toBe(' 2 |   line2');
  expect(picture).toContain('\n 4 | | line4\n  ... |\n17 | | line17\n');
  expect(picture.split('\n').at(-1)).toBe('   | |______^');
});

test('a line longer than the terminal is cut around what is marked', () => {
  const text = `${'数'.repeat(40)} v->packets++; ${'x'.repeat(100)}`;
  const at = text.indexOf('v->');
  const [shown, marks] = pictureOf(text, range(0, at, at + 10), [], 60).split('\n') as [string, string];
  expect(shown).toMatch(/^1 \| …数+ v->packets.*…$/);
  // Each 数 before it takes a column more than it has characters.
  const wide = [...shown.slice(0, shown.indexOf('v->'))].filter((character) => character === '数').length;
  expect(marks.indexOf('^')).toBe(shown.indexOf('v->') + wide);
  expect(marks.trimEnd().length - marks.indexOf('^')).toBe(10);
  expect(shown.length + wide).toBeLessThanOrEqual(60);
});

test('advice is wrapped to the terminal, a kernel’s words are not', () => {
  const data = { kernelMessage: 'word '.repeat(30).trim(), help: 'word '.repeat(30).trim() };
  const lines = renderDiagnostic({ ...finding, data }, { ...options, width: 60 }).split('\n');
  const help = lines.slice(lines.findIndex((line) => line.includes('= help:')));
  expect(help.length).toBeGreaterThan(1);
  expect(Math.max(...help.map((line) => line.length))).toBeLessThanOrEqual(60);
  expect(lines.find((line) => line.includes('= kernel:'))).toContain(data.kernelMessage);
});

test('without the source the places are still named', () => {
  const text = renderDiagnostic(finding, { ...options, source: () => undefined });
  expect(text).toContain(
    ' --> count.bpf.c:8:5\n  = note: /project/count.bpf.c:6:20: the value comes from here\n',
  );
});

test('nothing in a file or a message can command the terminal', () => {
  const text = renderDiagnostic(
    { ...finding, message: 'a\u001b[2Jb', range: range(0, 0, 1), related: [] },
    { ...options, source: () => 'x\u001b]0;title\u0007\u202e' },
  );
  // eslint-disable-next-line no-control-regex
  expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  expect(text).toContain('a\\x1b[2Jb');
});

test('positions beyond the text do no harm', () => {
  for (const odd of [
    range(99, 5, 9),
    range(7, 400, 500),
    range(7, 9, 2),
    { ...range(7, 3, 1), end: { line: 9, character: 0 } },
  ]) {
    expect(renderDiagnostic({ ...finding, range: odd }, options)).toContain('^');
  }
});

test('what libbpf said is not put into the kernel’s mouth', () => {
  const start = { line: 0, character: 0 };
  const data = { kernelMessage: 'no such type' };
  const base = { path: '/gone.c', range: { start, end: start }, code: 'bpf/section', related: [] };
  const picture = (by: 'libbpf' | 'verifier') =>
    renderDiagnostic(
      { ...base, severity: 1 as const, source: by, message: 'm', data },
      { source: () => undefined, color: false },
    );
  expect(picture('libbpf')).toContain('= libbpf: no such type');
  expect(picture('verifier')).toContain('= kernel: no such type');
});

test('colour is for terminals whose user did not refuse it', () => {
  expect(wantsColor({ isTTY: true }, {})).toBe(true);
  expect(wantsColor({ isTTY: true }, { NO_COLOR: '1' })).toBe(false);
  expect(wantsColor({ isTTY: true }, { TERM: 'dumb' })).toBe(false);
  expect(wantsColor({}, {})).toBe(false);
  const coloured = renderDiagnostic(finding, { ...options, color: true });
  // eslint-disable-next-line no-control-regex
  expect(coloured.replaceAll(/\u001b\[[\d;]*m/g, '')).toBe(renderDiagnostic(finding, options));
  expect(coloured).toContain('\u001b[1;31m');
});

test('a verdict fits in a line', () => {
  const stats = { insns: 1204, states: 1, stackDepth: [8, 16], microseconds: 45 };
  expect(renderVerdict({ name: 'count', section: 'xdp', verdict: 'accepted', stats }, false)).toBe(
    '✓ count (xdp): accepted, 1,204 insns, 1 state, 16 bytes of stack, 45 µs',
  );
  expect(renderVerdict({ name: 'f', section: 'tc', verdict: 'error' }, false)).toBe('! f (tc): not verified');
});
