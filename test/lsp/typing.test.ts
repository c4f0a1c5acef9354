/** What is on the screen while somebody types: every list of findings that the server publishes is looked at. */
import os from 'node:os';
import path from 'node:path';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Diagnostic, Position } from 'vscode-languageserver-types';
import { Client, lineWith, root } from './client';
import { describeAsRoot } from '../support/root';

const rejected = readFileSync(path.join(root, 'test/lsp/fixtures/rejected.bpf.c'), 'utf8');

let scratch: string;
let client: Client;

beforeAll(() => {
  scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-typing-'));
});
beforeEach(async () => {
  client = await Client.start();
});
afterEach(() => client.stop());
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Types `text` at a position, a key at a time, with `gap` milliseconds between keys. */
async function type(uri: string, text: string, at: Position, gap: number): Promise<void> {
  let { line, character } = at;
  for (const key of text) {
    const position = { line, character };
    await client.change(uri, key, { start: position, end: position });
    if (key === '\n') [line, character] = [line + 1, 0];
    else character++;
    await pause(gap);
  }
}

function fromVerifier(diagnostics: Diagnostic[]): Diagnostic[] {
  return diagnostics.filter(({ source }) => source === 'verifier');
}

describeAsRoot('a verifier’s finding, while somebody types', () => {
  async function openRejected(name: string): Promise<string> {
    const uri = await client.open(path.join(scratch, name), rejected);
    await client.finished(uri);
    expect(fromVerifier(client.diagnostics(uri))).toHaveLength(1);
    client.publications.length = 0;
    return uri;
  }

  it('above it: stays, moves along, and is in every list that is published', async () => {
    const uri = await openRejected('above.bpf.c');
    const line = lineWith(rejected, '#ERR');
    // Faster than the pause that starts a verification, then slower, so that the work is stopped in all phases.
    await type(uri, '// some words\n', { line: 2, character: 0 }, 15);
    await type(uri, 'static int a;\n', { line: 3, character: 0 }, 340);
    await client.finished(uri);
    const lists = client.publications.map(({ diagnostics }) => fromVerifier(diagnostics));
    // A list a key, but for those that a busy server reads together.
    expect(lists.length).toBeGreaterThan(5);
    expect(lists.filter((list) => list.length !== 1)).toEqual([]);
    const lines = lists.map(([finding]) => finding!.range.start.line);
    expect(lines).toEqual([...lines].sort((a, b) => a - b));
    expect(lines[0]).toBeLessThanOrEqual(line + 1);
    expect(lines.at(-1)).toBe(line + 2);
  });

  it('on its own line: stays there until the kernel has judged the new text', async () => {
    const uri = await openRejected('inside.bpf.c');
    const line = lineWith(rejected, '#ERR');
    // In the middle of the expression that the verifier refused: `*total` becomes `*(__u64 *)total`.
    const character = rejected.split('\n')[line]!.indexOf('total');
    await type(uri, '(__u64 *)', { line, character }, 20);
    await client.finished(uri);
    const lists = client.publications.map(({ diagnostics }) => fromVerifier(diagnostics));
    expect(lists.filter((list) => list.length !== 1 || list[0]!.range.start.line !== line)).toEqual([]);
  });

  it('through text that does not compile: stays, and goes once with the verdict that clears it', async () => {
    const uri = await openRejected('mending.bpf.c');
    const line = lineWith(rejected, '#ERR');
    // The pauses are long enough for clang to read the unfinished statement.
    await type(uri, '\tif (!total', { line: line - 1, character: 0 }, 20);
    await client.finished(uri);
    const sources = new Set(client.diagnostics(uri).map(({ source }) => source));
    expect(sources).toEqual(new Set(['clang', 'verifier']));
    await type(uri, ')\n\t\treturn XDP_PASS;', { line: line - 1, character: 11 }, 20);
    const status = await client.finished(uri);
    expect(status.programs.map(({ verdict }) => verdict)).toEqual(['accepted', 'accepted']);
    const counts = client.publications.map(({ diagnostics }) => fromVerifier(diagnostics).length);
    const firstWithout = counts.indexOf(0);
    expect(new Set(counts.slice(0, firstWithout))).toEqual(new Set([1]));
    expect(new Set(counts.slice(firstWithout))).toEqual(new Set([0]));
  });

  it('and its lens: keeps its verdict until the next one', async () => {
    const uri = await openRejected('lens.bpf.c');
    const titles = new Set<string>();
    for (const key of '// typed') {
      const end = { line: 2, character: [...'// typed'].indexOf(key) };
      await client.change(uri, key, { start: end, end });
      titles.add((await client.lenses(uri))[0]!.command!.title);
      await pause(60);
    }
    await client.finished(uri);
    titles.add((await client.lenses(uri))[0]!.command!.title);
    expect([...titles]).toEqual([expect.stringMatching(/^✗ rejected · /)]);
  });

  it('is published with the version of the text it stands in', async () => {
    const uri = await openRejected('version.bpf.c');
    const version = await client.change(uri, '\n', {
      start: { line: 0, character: 0 },
      end: { line: 0, character: 0 },
    });
    await client.finished(uri);
    expect(new Set(client.publications.map((one) => one.version))).toEqual(new Set([version]));
  });
});

describe('a compiler’s error, while somebody types elsewhere', () => {
  it('is in every list once, not beside the parser’s word for the same thing', async () => {
    const broken = rejected
      .replace('__u32 key = 0;', '__u32 key = 0')
      .replace('SEC("xdp")\nint harmless', '// typed: \nSEC("xdp")\nint harmless');
    const uri = await client.open(path.join(scratch, 'error.bpf.c'), broken);
    await client.finished(uri);
    const [error] = client.diagnostics(uri);
    expect(error).toMatchObject({ source: 'clang' });
    client.publications.length = 0;
    await type(uri, 'some words', { line: lineWith(broken, '// typed'), character: 10 }, 20);
    await client.finished(uri);
    const shown = client.publications.map(({ diagnostics }) =>
      diagnostics.map(({ source, message }) => `${source}: ${message}`),
    );
    expect(shown.filter((list) => JSON.stringify(list) !== JSON.stringify(shown[0]))).toEqual([]);
    expect(shown[0]).toEqual([`clang: ${error!.message}`]);
  });
});
