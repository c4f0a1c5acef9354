/** `bpf-studio replay`: a recorded run in a terminal, from a pipe, and what ran in it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { dist } from '../support/bpf-object';
import { PATIENCE_MS } from '../support/until';
import { bpfStudio } from './command-line';

const source = path.resolve(import.meta.dirname, '../fixtures/debug/steps.bpf.c');
const text = readFileSync(source, 'utf8').split('\n');
const lineOf = (marker: string): number => text.findIndex((line) => line.includes(marker)) + 1;
/** 60 bytes: 1, 2, 3, 4, … */
const packet = Array.from({ length: 60 }, (_, index) => (index + 1).toString(16).padStart(2, '0')).join(' ');
const scratch = mkdtempSync(path.join(os.tmpdir(), 'bpfs-replay-'));
const long = path.join(scratch, 'long.bpfrec');
const short = path.join(scratch, 'short.bpfrec');

beforeAll(async () => {
  for (const [file, bytes] of [
    [long, packet],
    [short, packet.slice(0, 3 * 14)],
  ] as const) {
    const recorded = await bpfStudio('record', source, '--packet', bytes, '-o', file);
    expect(recorded.stderr).toBe('');
    expect(recorded.status).toBe(0);
  }
});

interface Said {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Commands from a pipe, one a line. */
function piped(file: string, ...commands: string[]): Promise<Said> {
  const child = spawn(process.execPath, [path.join(dist, 'cli.js'), 'replay', file], {
    env: { ...process.env, NO_COLOR: '1' },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdin.end(commands.map((line) => `${line}\n`).join(''));
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, stdout, stderr })));
}

/** The number of a source line as it is printed before its text. */
const numberOf = (marker: string): string => `${String(lineOf(marker)).padStart(5)}  `;

describe('commands from a pipe', () => {
  test('go through the run, forward and back', async () => {
    const { stdout, stderr, status } = await piped(
      long,
      `break ${lineOf('#LOOKUP')}`,
      'continue',
      'info locals',
      'next',
      'reverse-next',
      'rc',
      'c 2',
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
    const places = [...stdout.matchAll(/^ *(\d+) {2}/gm)].map(([, line]) => Number(line));
    expect(places.slice(1, 4)).toEqual([lineOf('#LOOKUP'), lineOf('#LOOKUP') + 2, lineOf('#LOOKUP')]);
    expect(stdout).toMatch(/^key = 48$/m);
    expect(stdout).toContain('The beginning of the recorded run');
    expect(stdout).toMatch(/Run finished: XDP_PASS \(2\)/);
  });

  test('write numbers in other bases as their types have them', async () => {
    const { stdout, stderr } = await piped(
      long,
      ...['p/x (int)-1', 'p/x (signed char)-2', 'p/d -1', 'p/t (short)-1', 'p/x 255'],
    );
    expect(stderr).toBe('');
    expect(stdout.match(/^\S.* = .*$/gm)).toEqual([
      '(int)-1 = 0xffffffff',
      '(signed char)-2 = 0xfe',
      '-1 = -1',
      '(short)-1 = 0b1111111111111111',
      '255 = 0xff',
    ]);
  });

  test('stop once at a temporary breakpoint, however it is come to, and at failures that are asked for', async () => {
    const { stdout, stderr } = await piped(
      long,
      `break ${lineOf('#ENTER')}`,
      `tbreak ${lineOf('#ROUND')}`,
      'catch lookupMissed if key == 1',
      'catch nothing if key == 1',
      'continue',
      'next',
      'info breakpoints',
    );
    expect(stderr).toMatch(/^There is no filter nothing; there are helperError, /);
    expect(stdout).toMatch(/^Breakpoint 3 at lookupMissed if key == 1$/m);
    // The look-up missed with another key.
    expect(stdout).not.toMatch(/^Breakpoint 3:/m);
    expect(stdout).toMatch(/^Breakpoint 2$/m);
    expect(stdout).not.toMatch(/once\)/);
  });

  test('show values, memory, frames, code and what was called', async () => {
    const { stdout, stderr, status } = await piped(
      long,
      `break steps.bpf.c:${lineOf('#ROUND')}`,
      'continue',
      'delete',
      'bt',
      'print weight',
      'display i',
      'next',
      'up',
      'p sum.rounds',
      'p/x sum.value',
      'x/8 sum',
      'info packet',
      'info calls',
      'info registers r10',
      'info maps lengths',
      'disassemble 5',
      `list ${lineOf('#VERDICT')}`,
      'info breakpoints',
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`^#0 {2}weigh at steps.bpf.c:${lineOf('#ROUND')}$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^#1 {2}steps at steps.bpf.c:${lineOf('#ENTER')}$`, 'm'));
    expect(stdout).toMatch(/^weight = 0$/m);
    expect(stdout).toMatch(/^1: i = /m);
    expect(stdout).toMatch(/^sum\.rounds = 3$/m);
    expect(stdout).toMatch(/^sum\.value = 0x3$/m);
    expect(stdout).toMatch(/^0000 {2}03 00 00 00 03 00 00 00 /m);
    expect(stdout).toMatch(/source +07:08:09:0a:0b:0c/);
    expect(stdout).toMatch(/1 bpf_map_lookup_elem +\(.*\) = 0x0/);
    expect(stdout).toMatch(/^r10 = 0x[0-9a-f]{16}$/m);
    expect(stdout).toMatch(/^ {2}\[48\] = 1$/m);
    expect(stdout).toMatch(/^=> +\d+: \S/m);
    expect(stdout).toContain(`${numberOf('#VERDICT')}    return weight > 20`);
    expect(stdout).toContain('There are no breakpoints');
  });

  test('breakpoints ask conditions, count hits, print, stand at functions, and go when they were to stop once', async () => {
    const { stdout, stderr, status } = await piped(
      long,
      `break ${lineOf('#ROUND')} if i == 2`,
      'continue',
      'print i',
      'delete',
      'tbreak weigh',
      'reverse-continue',
      'info breakpoints',
      'finish',
      'reverse-step',
      'backtrace',
      'reverse-finish',
      'rc',
      `dprintf ${lineOf('#ROUND')}, round {i}`,
      'c',
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain(`Breakpoint 1 at steps.bpf.c:${lineOf('#ROUND')} if i == 2`);
    expect(stdout).toMatch(/^i = 2$/m);
    expect(stdout).toMatch(/^Breakpoint 2.*\nweigh at /m);
    expect(stdout).toContain('There are no breakpoints');
    expect(stdout).toMatch(/^#0 {2}weigh at .*\n#1 {2}steps at /m);
    expect(stdout.match(/^round \d$/gm)).toEqual(['round 0', 'round 1', 'round 2', 'round 3']);
  });

  test('tell where something was written, since when it is so, and which branches led here', async () => {
    const { stdout, stderr, status } = await piped(
      long,
      `break ${lineOf('#VERDICT')}`,
      'continue',
      'decisions',
      'lastwrite packet[0]',
      'lastwrite lengths[48]',
      'continue',
      'became weight > 20',
      'reverse-continue',
      'delete',
      `tbreak ${lineOf('#FIRST')}`,
      'continue',
      'watch runs',
      'continue',
      'print runs',
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`line ${lineOf('#COUNT') - 1}: count {2}did not hold`));
    // The sum of both fields, 6, was written over the packet's first byte, 1.
    expect(stdout).toMatch(new RegExp(`^Line ${lineOf('#WRITE')} .*packet\\[0\\].* 01 .* 06 `, 'm'));
    expect(stdout).toMatch(new RegExp(`^Line ${lineOf('#UPDATE')} .*lengths\\[48\\]`, 'm'));
    expect(stdout).toMatch(/^Breakpoint 3: .*runs/m);
    expect(stdout).toMatch(/^runs = 1$/m);
  });

  test('a condition that is no C is refused at once, in words', async () => {
    const { stdout } = await piped(long, `break ${lineOf('#ROUND')} if i ==`, 'continue');
    expect(stdout).toMatch(/^Breakpoint 1 at .*\n {2}\S.*i ==/m);
  });

  test('instructions go both ways; finish leaves a function', async () => {
    const { stdout, status } = await piped(
      long,
      `b ${lineOf('#WEIGH') + 3}`,
      'c',
      'delete',
      'stepi',
      'rsi',
      'finish',
      'when',
    );
    expect(status).toBe(0);
    expect(stdout).toMatch(/steps at steps\.bpf\.c:\d+\n.*\n(.*, )?steps at/);
  });

  test('what makes no sense is answered in words, and makes the status 2', async () => {
    const wrong: [command: string, answer: RegExp][] = [
      ['stepp', /There is no command stepp; did you mean step\?/],
      ['frobnicate', /There is no command frobnicate; help lists them/],
      ['re', /re may be any of reverse-step, reverse-next/],
      ['step many', /step takes a number of at least 1, not many/],
      ['break nowhere.c:3', /no code from a file nowhere\.c; it has from .*steps\.bpf\.c/],
      ['break !', /! is no place to stop at/],
      ['delete 7', /There are no breakpoints/],
      ['info', /info takes one of locals, registers/],
      ['info fish', /info fish is not among locals/],
      ['print', /print takes an expression/],
      ['up', /outermost function already/],
      ['list 99999', /behind the end of the file/],
      ['frame x', /frame takes a number/],
    ];
    const { stderr, status } = await piped(long, ...wrong.map(([command]) => command));
    const answers = stderr.trim().split('\n');
    expect(answers).toHaveLength(wrong.length);
    wrong.forEach(([, answer], index) => expect(answers[index]).toMatch(answer));
    expect(status).toBe(2);
  });

  test('comments, empty lines and the end of input are no commands', async () => {
    expect(await piped(long, '# nothing', '', '   ')).toMatchObject({ status: 0, stderr: '' });
  });

  test('help lists every command, and tells more about one', async () => {
    const { stdout } = await piped(long, 'help', 'help break');
    for (const name of ['step', 'reverse-continue', 'break', 'info', 'print', 'disassemble', 'quit'])
      expect(stdout).toMatch(new RegExp(`^ {2}${name}\\b`, 'm'));
    expect(stdout).toContain('CONDITION is a C expression');
  });
});

describe('a terminal', () => {
  /** Types keys, each when what is awaited before it has appeared on the screen since the last. */
  async function typed(
    ...keys: [awaited: string, keys: string][]
  ): Promise<{ screen: string; status: number | null }> {
    const command = `${process.execPath} ${path.join(dist, 'cli.js')} replay ${long}`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      env: { ...process.env, TERM: 'xterm', NO_COLOR: '1' },
      timeout: PATIENCE_MS,
    });
    let screen = '';
    let seen = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      screen += chunk.toString();
      const [next] = keys;
      const at = next ? screen.indexOf(next[0], seen) : -1;
      if (!next || at < 0) return;
      seen = screen.length;
      keys.shift();
      child.stdin.write(next[1]);
    });
    const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
    return { screen, status };
  }

  test('has a prompt, repeats a step on an empty line, and ends with Ctrl-D', async () => {
    const { screen, status } = await typed(
      ['(replay) ', 'next\r'],
      ['(replay) ', '\r'],
      ['(replay) ', '\x04'],
    );
    const places = [...screen.matchAll(/^ *(\d+) {2}/gm)].map(([, line]) => Number(line));
    expect(places).toHaveLength(3);
    expect(new Set(places).size).toBe(3);
    expect(status).toBe(0);
  });

  test('completes words with Tab', async () => {
    const { screen } = await typed(
      ['(replay) ', 'info reg\t'],
      ['registers', ' r10\r'],
      ['(replay) ', '\x04'],
    );
    expect(screen).toMatch(/r10 = 0x[0-9a-f]{16}/);
  });
});

describe('coverage of recordings', () => {
  test('of one run, as text, with where each branch went', async () => {
    const { stdout, status } = await bpfStudio('replay', long, '--coverage');
    expect(status).toBe(0);
    expect(stdout).toMatch(/steps\.bpf\.c: \d+ of \d+ lines ran/);
    expect(stdout).toMatch(new RegExp(`^ +4 +${lineOf('#ROUND')} .*#ROUND`, 'm'));
    expect(stdout).toMatch(new RegExp(`^never +${lineOf('#COUNT')} .*#COUNT`, 'm'));
    expect(stdout).toMatch(
      new RegExp(`never to line ${lineOf('#COUNT')}, once to line ${lineOf('#UPDATE')}`),
    );
  });

  test('of several runs added up, as LCOV and as JSON', async () => {
    const { stdout } = await bpfStudio('replay', long, short, '--lcov');
    expect(stdout).toContain(`SF:${source}`);
    expect(stdout).toContain(`DA:${lineOf('#ROUND')},8`);
    expect(stdout).toContain(`DA:${lineOf('#FIRST')},2`);
    expect(stdout).toContain(`DA:${lineOf('#COUNT')},0`);
    expect(stdout).toMatch(/^LF:\d+\nLH:\d+\nend_of_record$/m);
    const [file] = (await bpfStudio('replay', long, short, '--coverage', '--json')).json();
    expect(file).toMatchObject({ type: 'coverage', path: source, runs: 2 });
  });

  test('recordings of different texts are not added up', async () => {
    const other = path.join(scratch, 'steps.bpf.c');
    writeFileSync(other, text.join('\n'));
    const first = path.join(scratch, 'first.bpfrec');
    const second = path.join(scratch, 'second.bpfrec');
    await bpfStudio('record', other, '--packet', packet, '-o', first);
    writeFileSync(other, `// One line more.\n${text.join('\n')}`);
    await bpfStudio('record', other, '--packet', packet, '-o', second);
    const { stderr, status } = await bpfStudio('replay', first, second, '--coverage');
    expect(stderr).toMatch(/second\.bpfrec is of another text of .*steps\.bpf\.c/);
    expect(status).toBe(2);
  });
});

test('--json prints every step and the end', async () => {
  const lines = (await bpfStudio('replay', long, '--json')).json();
  expect(lines.at(-1)).toMatchObject({ type: 'end', returned: 'XDP_PASS (2)', ending: { kind: 'returned' } });
  expect(lines.filter(({ line }) => line === lineOf('#ROUND'))).toHaveLength(4);
});

test.each([
  [['replay'], /replay takes a recording/],
  [['replay', 'nowhere.bpfrec'], /nowhere\.bpfrec.*no such file/],
  [['replay', 'a.bpfrec', 'b.bpfrec'], /one recording, or several with --coverage/],
])('%j is refused in words', async (args, expected) => {
  const { stderr, status } = await bpfStudio(...args);
  expect(stderr).toMatch(expected);
  expect(status).toBe(2);
});
