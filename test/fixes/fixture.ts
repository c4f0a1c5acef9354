/** Reads what a fixture says of itself, applies code actions, asks the command line. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { CodeAction, TextEdit } from 'vscode-languageserver-types';
import { root } from '../lsp/client';

export interface Fixture {
  name: string;
  file: string;
  text: string;
  /** C name of the first program in it. */
  program: string;
  fixes: Expected[];
}

export interface Expected {
  title: string;
  isFirst: boolean;
  runs: { packet: string; value: number }[];
  text?: string;
}

export function readFixture(file: string): Fixture {
  const text = readFileSync(file, 'utf8');
  const program = /SEC\("(?!license|\.maps)[^"]*"\)\s*\w+ (?:BPF_PROG\()?(\w+)/.exec(text)?.[1];
  const fixture: Fixture = { name: path.basename(file, '.bpf.c'), file, text, program: program!, fixes: [] };
  for (const [, word, rest] of text.matchAll(/^\/\/ #(\w+) (.*?)\r?$/gm)) {
    const last = fixture.fixes.at(-1);
    if (word === 'FIX' || word === 'ALSO') {
      fixture.fixes.push({ title: rest!, isFirst: word === 'FIX', runs: [] });
    } else if (word === 'RUN') {
      const [packet, value] = rest!.split(' -> ');
      last!.runs.push({ packet: packet!, value: Number(value) });
    } else if (word === 'TEXT') {
      last!.text = JSON.parse(`"${rest!.replace(/"/g, '\\"')}"`) as string;
    } else throw new Error(`${file}: #${word} is not known`);
  }
  if (!program || fixture.fixes.length === 0) throw new Error(`${file} says not what it expects`);
  return fixture;
}

/** The text after an action's edits, whose positions count UTF-16 units. */
export function applyAction(text: string, action: CodeAction): string {
  const [edits] = Object.values(action.edit?.changes ?? {}) as TextEdit[][];
  const starts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  const offset = ({ line, character }: TextEdit['range']['start']): number => starts[line]! + character;
  // From the last to the first, so that offsets stay those of the text as it was.
  return [...edits!].reverse().reduce((done, { range, newText }) => {
    return done.slice(0, offset(range.start)) + newText + done.slice(offset(range.end));
  }, text);
}

/**
 * Input of a test run: `eth=0800 ip=17 udp=53 00*8` are headers and bytes of a packet, `mark=3` is a member of
 * __sk_buff, `ctx=01000000` the whole context.
 */
export function runInput(words: string): { data?: Uint8Array; context?: Uint8Array } {
  const bytes: number[] = [];
  const fromHex = (hex: string): number[] => [...Buffer.from(hex, 'hex')];
  let context: Uint8Array | undefined;
  for (const word of words.split(' ')) {
    const [name, value] = word.split('=');
    if (name === 'eth') bytes.push(...fromHex('ffffffffffff020000000001'), ...fromHex(value!));
    else if (name === 'ip')
      bytes.push(0x45, ...Array<number>(8).fill(0), Number(value), ...Array<number>(10).fill(0));
    else if (name === 'ip6') bytes.push(0x60, 0, 0, 0, 0, 0, Number(value), 64, ...Array<number>(32).fill(0));
    else if (name === 'udp') bytes.push(0x12, 0x34, Number(value) >> 8, Number(value) & 255, 0, 8, 0, 0);
    else if (name === 'ctx') context = Buffer.from(value!, 'hex');
    else if (name === 'mark') {
      // struct __sk_buff of include/uapi/linux/bpf.h: `mark` is its third member of 32 bits.
      const skb = Buffer.alloc(192);
      skb.writeUInt32LE(Number(value), 8);
      context = skb;
    } else {
      const [hex, count = '1'] = word.split('*');
      for (let times = Number(count); times > 0; times--) bytes.push(...fromHex(hex!));
    }
  }
  return { ...(bytes.length > 0 && { data: Uint8Array.from(bytes) }), ...(context && { context }) };
}

/** What `bpf-studio verify` says of each program of each file; `error` for a file with findings of clang. */
export function verdictsOf(files: string[]): Map<string, string[]> {
  const cli = path.join(root, 'dist/cli.js');
  const output = execFileSync(process.execPath, [cli, 'verify', '--json', ...files], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const reports = output
    .trim()
    .split('\n')
    .map(
      (line) => JSON.parse(line) as { file: string; programs: { verdict: string }[]; diagnostics: unknown[] },
    );
  return new Map(
    reports.map(({ file, programs, diagnostics }) => [
      path.basename(file),
      diagnostics.length > 0 ? ['error'] : programs.map(({ verdict }) => verdict),
    ]),
  );
}
