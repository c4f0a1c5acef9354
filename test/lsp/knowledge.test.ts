/** What the running kernel's verifier knows, in hovers and inlay hints of dist/language-server.js. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, expect, it } from 'vitest';
import type { Hover, InlayHint } from 'vscode-languageserver-types';
import { Client, root } from './client';
import { describeAsRoot } from '../support/root';

const file = path.join(root, 'test/lsp/fixtures/knowledge.bpf.c');
const text = readFileSync(file, 'utf8');
const lines = text.split('\n');
const started: Client[] = [];

afterEach(async () => {
  for (const client of started.splice(0)) await client.stop();
});

async function open(ranges: boolean, source = text): Promise<{ client: Client; uri: string }> {
  const client = await Client.start({ initializationOptions: { inlayHints: { ranges } } });
  started.push(client);
  const uri = await client.open(file, source);
  await client.finished(uri);
  return { client, uri };
}

function lineOf(part: string, source = lines): number {
  return source.findIndex((line) => line.includes(part));
}

/** The hover's text on the `word` of the line with `part`. */
async function hover(
  client: Client,
  uri: string,
  part: string,
  word: string,
  source = lines,
): Promise<string> {
  const line = lineOf(part, source);
  const position = { line, character: source[line]!.indexOf(word) };
  const found = await client.connection.sendRequest<Hover | null>('textDocument/hover', {
    textDocument: { uri },
    position,
  });
  return (found?.contents as { value: string } | undefined)?.value ?? '';
}

function hints(client: Client, uri: string): Promise<InlayHint[]> {
  const range = { start: { line: 0, character: 0 }, end: { line: 1000, character: 0 } };
  return client.connection.sendRequest('textDocument/inlayHint', { textDocument: { uri }, range });
}

describeAsRoot('a hover', () => {
  it('tells the ranges, pointers and proofs of the variables under it', async () => {
    const { client, uri } = await open(false);
    expect(await hover(client, uri, 'words = len', 'len')).toContain('`len ∈ [0, 1500]`');
    expect(await hover(client, uri, 'len = bpf_ntohs', 'len')).toContain('`len ∈ [0, 65535]`');
    expect(await hover(client, uri, '*v += words', 'words')).toContain('`words ∈ [0, 60], multiple of 4`');
    expect(await hover(client, uri, 'len = bpf_ntohs', 'ip->')).toContain('`ip: packet+14, 20 bytes proven`');
    expect(await hover(client, uri, 'if (!v)', 'v')).toContain('`v: map value of counts, may be NULL`');
    expect(await hover(client, uri, '*v += words', 'v')).toContain('`v: map value of counts`');
    const whole = await hover(client, uri, '*v += words', '+=');
    expect(whole).toMatch(/^\*\*Linux \S+ knows here\*\* — `measure`, 1 visit\n/);
    expect(whole).toContain('`v: ');
    expect(whole).toContain('`words ');
    expect(whole).not.toContain('len');
  });

  it('tells visits apart where they know different things', async () => {
    const loop = `
	_Pragma("clang loop unroll(disable)")
	for (__u64 i = 0; i < 6; i++) {
		__u32 slot = i * 2;
		bpf_map_delete_elem(&counts, &slot);
	}
	words = len & 60;`;
    const source = text.replace('\n\twords = len & 60;', loop).split('\n');
    const { client, uri } = await open(false, source.join('\n'));
    const known = await hover(client, uri, 'i * 2', 'slot', source);
    expect(known).toMatch(/`measure`, 6 visits\n/);
    expect(known).toContain('- `slot ∈ [0, 10], multiple of 2`');
    const at = (part: string) => lineOf(part, source) + 1;
    expect(known).toContain(`- from line ${at('if (len > 1500)')}: \`slot = 0\``);
    expect(known).toContain(`- from line ${at('for (__u64 i')}: \`slot = 2\``);
    expect(known.match(/- from line \d+: `slot = \d`/g)?.length).toBe(4);
    expect(known).toContain('- and 2 more');
  });

  it('says nothing of a text that the kernel has not judged, and what is true of the next one', async () => {
    const { client, uri } = await open(false);
    const at = lineOf('if (len > 1500)');
    const range = { start: { line: at, character: 11 }, end: { line: at, character: 15 } };
    const version = await client.change(uri, '1400', range);
    expect(await hover(client, uri, 'words = len', 'len')).not.toContain('knows here');
    await client.finished(uri, version);
    expect(await hover(client, uri, 'words = len', 'len')).toContain('`len ∈ [0, 1400]`');
  });

  it('names the same ranges when the variables have other names', async () => {
    const source = text
      .replaceAll(/\blen\b/g, 'zebra')
      .replaceAll(/\bwords\b/g, 'yak')
      .split('\n');
    const { client, uri } = await open(false, source.join('\n'));
    expect(await hover(client, uri, 'yak = zebra', 'zebra', source)).toContain('`zebra ∈ [0, 1500]`');
  });
});

describeAsRoot('inlay hints', () => {
  it('are off by default', async () => {
    const client = await Client.start();
    started.push(client);
    const uri = await client.open(file, text);
    await client.finished(uri);
    expect(await hints(client, uri)).toEqual([]);
  });

  it('stand behind the lines that set a variable, and stay there while somebody types', async () => {
    const { client, uri } = await open(true);
    const expected = [
      { line: lineOf('len = bpf_ntohs'), label: 'len ∈ [0, 65535]' },
      { line: lineOf('words = len'), label: 'words ∈ [0, 60], multiple of 4' },
    ];
    const shown = async () =>
      (await hints(client, uri)).map(({ position: { line }, label }) => ({ line, label }));
    expect(await shown()).toEqual(expected);
    const start = { line: 0, character: 0 };
    // Does not compile, so that no newer verdict comes: the hints keep their places.
    const version = await client.change(uri, 'int broken\n', { start, end: start });
    const moved = expected.map(({ line, label }) => ({ line: line + 1, label }));
    expect(await shown()).toEqual(moved);
    await client.finished(uri, version);
    expect(await shown()).toEqual(moved);
  });
});
