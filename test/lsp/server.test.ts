/** The language server as an editor meets it: dist/language-server.js over stdio, with clang and this machine's kernel. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { CompletionItem, DocumentSymbol, Hover, Location } from 'vscode-languageserver-types';
import {
  CompileDocument,
  TrustGranted,
  VerifierLog,
  VerifyNow,
  type CompileDocumentResult,
  type DocumentStatusParams,
  type VerifierLogResult,
} from '../../language-server/protocol';
import { Client, lineWith, root } from './client';
import { parentOf, processesWith } from '../support/processes';
import { describeAsRoot, isRoot } from '../support/root';

const fixtures = path.join(root, 'test/lsp/fixtures');
const fixture = (name: string) => {
  const file = path.join(fixtures, name);
  return { file, text: readFileSync(file, 'utf8') };
};
const counter = fixture('counter.bpf.c');
const rejected = fixture('rejected.bpf.c');

let scratch: string;
let shared: Client;
const started: Client[] = [];

async function start(options: Parameters<typeof Client.start>[0] = {}): Promise<Client> {
  const client = await Client.start(options);
  started.push(client);
  return client;
}

beforeAll(async () => {
  scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-lsp-'));
  shared = await Client.start();
});
afterEach(async () => {
  for (const client of started.splice(0)) await client.stop();
});
afterAll(async () => {
  await shared.stop();
  rmSync(scratch, { recursive: true, force: true });
});

describeAsRoot('verdicts of the running kernel', () => {
  it('stand above each program, with what the verifier counted', async () => {
    const uri = await shared.open(counter.file, counter.text);
    const status = await shared.finished(uri);
    expect(status.problem).toBeUndefined();
    expect(shared.diagnostics(uri)).toEqual([]);
    expect(status.kernel).toBe(os.release());
    expect(status.programs.map(({ name, verdict }) => [name, verdict])).toEqual([
      ['count_packets', 'accepted'],
      ['count_switches', 'accepted'],
    ]);
    const lenses = await shared.lenses(uri);
    const atProgram = lenses.filter(({ range }) => range.start.line === lineWith(counter.text, 'SEC("xdp")'));
    const version = os.release().split('.').slice(0, 2).join('\\.');
    expect(atProgram.map(({ command }) => command!.title)).toEqual([
      expect.stringMatching(
        new RegExp(`^✓ accepted · ${version} · [\\d,]+ insns · [\\d,]+ states? · stack \\d+$`),
      ),
      'Run',
      'Attach',
    ]);
    expect(atProgram[1]!.command).toMatchObject({
      command: 'bpf.runProgram',
      arguments: [{ uri, program: 'count_packets' }],
    });
    await shared.close(uri);
  });

  it('name the line and column of a rejection, its code, the kernel’s words and the cause', async () => {
    const uri = await shared.open(rejected.file, rejected.text);
    const status = await shared.finished(uri);
    expect(status.programs.map(({ verdict }) => verdict)).toEqual(['rejected', 'accepted']);
    const [diagnostic, ...others] = shared.diagnostics(uri);
    expect(others).toEqual([]);
    const line = lineWith(rejected.text, '#ERR');
    expect(diagnostic).toMatchObject({ source: 'verifier', severity: 1, code: 'bpf/null-deref' });
    expect(diagnostic!.range.start).toEqual({
      line,
      character: rejected.text.split('\n')[line]!.search(/\S/),
    });
    expect(diagnostic!.data).toMatchObject({
      program: 'unchecked',
      kernelMessage: expect.stringMatching(/map_value_or_null/),
    });
    expect(diagnostic!.message).toContain('if (!total) return XDP_PASS;');
    const wholeLog = diagnostic!.relatedInformation!.at(-1)!.location.uri;
    expect(wholeLog).toBe(`bpf-log:/unchecked.bpflog?${encodeURIComponent(uri)}`);
    const related = diagnostic!
      .relatedInformation!.filter(({ location }) => location.uri === uri)
      .map(({ location }) => location.range.start.line);
    expect(related).toContain(lineWith(rejected.text, '#CAUSE'));
    await shared.close(uri);
  });

  it('are those of the unsaved text: positions and source lines come from the buffer', async () => {
    const text = rejected.text.replace(
      'SEC("xdp")\nint unchecked',
      '// one\n// two\n// ünë\nSEC("xdp")\nint unchecked',
    );
    const uri = await shared.open(rejected.file, text);
    await shared.finished(uri);
    expect(shared.diagnostics(uri)[0]!.range.start.line).toBe(lineWith(text, '#ERR'));
    const log = await shared.connection.sendRequest<VerifierLogResult>(VerifierLog, {
      uri,
      program: 'unchecked',
    });
    expect(log.text).toContain('*total += 1; // #ERR');
    await shared.close(uri);
  });

  it('come as a whole log whose instructions link to the source, also of an accepted program', async () => {
    const uri = await shared.open(counter.file, counter.text);
    await shared.finished(uri);
    const log = await shared.connection.sendRequest<VerifierLogResult>(VerifierLog, {
      uri,
      program: 'count_switches',
    });
    expect(log.text).toMatch(/^processed \d+ insns/m);
    const lines = log.links
      .filter(({ path: file }) => file === counter.file)
      .map(({ sourceLine }) => sourceLine);
    expect(lines).toContain(lineWith(counter.text, '#SWITCH'));
    await expect(shared.connection.sendRequest(VerifierLog, { uri, program: 'nonesuch' })).rejects.toThrow(
      /no verdict on "nonesuch"/,
    );
    await shared.close(uri);
  });

  it('move with edits above them and go away when their line is edited, until the next verdict', async () => {
    const client = await start({ initializationOptions: { verify: { when: 'manual', delay: 0 } } });
    const uri = await client.open(rejected.file, rejected.text);
    const status = await client.connection.sendRequest<DocumentStatusParams>(VerifyNow, { uri });
    expect(status.programs[0]!.verdict).toBe('rejected');
    const line = lineWith(rejected.text, '#ERR');
    expect(client.diagnostics(uri)[0]!.range.start.line).toBe(line);
    const top = { line: 0, character: 0 };
    await client.change(uri, '// a\n// b\n', { start: top, end: top });
    await client.until('the moved finding', () => client.diagnostics(uri)[0]?.range.start.line === line + 2);
    await client.finished(uri);
    const titles = (await client.lenses(uri)).map(({ command }) => command!.title);
    expect(titles).toEqual(['not verified', 'Run', 'Attach', 'not verified', 'Run', 'Attach']);
    const range = { start: { line: line + 2, character: 0 }, end: { line: line + 2, character: 999 } };
    await client.change(uri, '\tif (total) *total += 1;', range);
    await client.until('the end of the finding', () => client.diagnostics(uri).length === 0);
  });

  it('after many quick edits are those of the last text, and no clang is left', async () => {
    const client = await start();
    const uri = await client.open(counter.file, counter.text);
    const end = { line: lineWith(counter.text, 'LICENSE'), character: 0 };
    for (let count = 0; count < 40; count++) {
      await client.change(uri, `static int filler_${count};\n`, { start: end, end });
      if (count % 8 === 0)
        await client.connection.sendRequest('textDocument/codeLens', { textDocument: { uri } });
    }
    await client.change(uri, rejected.text);
    const status = await client.finished(uri);
    expect(status.programs.map(({ name, verdict }) => [name, verdict])).toEqual([
      ['unchecked', 'rejected'],
      ['harmless', 'accepted'],
    ]);
    await expect.poll(() => runningBelow(client.process.pid!, 'clang')).toEqual([]);
  });

  it('come back when the host was killed', async () => {
    const client = await start();
    const uri = await client.open(counter.file, counter.text);
    await client.finished(uri);
    const [host] = runningBelow(client.process.pid!, 'kernel-host.js');
    process.kill(host!, 'SIGKILL');
    await client.until('the loss', () => client.log.some((line) => line.includes('the kernel host is gone')));
    client.statuses.clear();
    await client.until(
      'the new verdict',
      () =>
        client.statuses.get(uri)?.programs[0]?.verdict === 'accepted' &&
        client.statuses.get(uri)!.phase === 'done',
    );
    expect(client.statuses.get(uri)!.problem).toBeUndefined();
  });
});

describe('while typing', () => {
  it('a syntax error appears at its place and goes when it is mended', async () => {
    const uri = await shared.open(counter.file, counter.text);
    await shared.until('the first findings', () => shared.hasDiagnostics(uri));
    const broken = counter.text.replace('__u64 one = 1;', '__u64 one = 1');
    await shared.change(uri, broken);
    await shared.until('the syntax error', () => shared.diagnostics(uri).length > 0);
    const [error] = shared.diagnostics(uri);
    expect(error).toMatchObject({ source: 'syntax', message: "expected ';'" });
    expect(error!.range.end).toEqual({
      line: lineWith(broken, '__u64 one = 1'),
      character: '\t__u64 one = 1'.length,
    });
    await shared.finished(uri);
    // clang has read the same text now; its word replaces ours.
    expect(shared.diagnostics(uri).map(({ source }) => source)).toEqual(['clang']);
    await shared.change(uri, counter.text);
    await shared.finished(uri);
    expect(shared.diagnostics(uri)).toEqual([]);
    await shared.close(uri);
  });

  it('clang’s warnings carry the option that turns them off', async () => {
    const text = counter.text.replace('__u64 one = 1;', '__u64 one = 1; int spare;');
    const uri = await shared.open(counter.file, text);
    await shared.finished(uri);
    const [warning] = shared.diagnostics(uri);
    expect(warning).toMatchObject({ source: 'clang', severity: 2, code: 'clang/-Wunused-variable' });
    const line = lineWith(text, 'spare');
    const character = text.split('\n')[line]!.indexOf('spare');
    expect(warning!.range).toEqual({ start: { line, character }, end: { line, character: character + 5 } });
    await shared.close(uri);
  });

  it('an error in a header stands in the header and at the include', async () => {
    const header = path.join(scratch, 'broken.h');
    writeFileSync(header, 'static int broken(void) { return missing_name; }\n');
    const uri = await shared.open(path.join(scratch, 'user.bpf.c'), '#include "broken.h"\nint x;\n');
    await shared.finished(uri);
    const [atInclude] = shared.diagnostics(uri);
    expect(atInclude!.message).toMatch(/In an included file: .*missing_name/);
    expect(atInclude!.range.start.line).toBe(0);
    const [inHeader] = shared.diagnostics(`file://${header}`);
    expect(inHeader!.range.start).toEqual({ line: 0, character: 33 });
    await shared.close(uri);
    await shared.until('the header to be clear', () => shared.diagnostics(`file://${header}`).length === 0);
  });

  it('what the BPF backend refuses is shown where it is', async () => {
    const text = `int outside(int a, int b, int c, int d, int e, int f);\n__attribute__((section("xdp"))) int p(void *ctx)\n{\n\treturn outside(1, 2, 3, 4, 5, 6); // #ERR\n}\n`;
    const uri = await shared.open(path.join(scratch, 'backend.bpf.c'), text);
    await shared.finished(uri);
    const [error] = shared.diagnostics(uri);
    expect(error!.message).toMatch(/too many arguments/);
    expect(error!.message).not.toMatch(/0x[0-9a-f]{6}/);
    expect(error!.range.start.line).toBe(lineWith(text, '#ERR'));
    await shared.close(uri);
  });
});

describe('about the text', () => {
  it('outline, definition, hover and completion', async () => {
    const uri = await shared.open(counter.file, counter.text);
    await shared.finished(uri);
    const at = (marker: string, word: string) => {
      const line = lineWith(counter.text, marker);
      return { line, character: counter.text.split('\n')[line]!.indexOf(word) + 1 };
    };
    const ask = <T>(method: string, position?: object): Promise<T> =>
      shared.connection.sendRequest<T>(`textDocument/${method}`, {
        textDocument: { uri },
        ...(position && { position }),
      });

    const symbols = await ask<DocumentSymbol[]>('documentSymbol');
    expect(symbols.map(({ name }) => name)).toEqual([
      'packets',
      'count',
      'count_packets',
      'count_switches',
      'LICENSE',
    ]);

    const location = await ask<Location>('definition', at('bpf_map_lookup_elem', 'packets'));
    expect(location.range.start.line).toBe(lineWith(counter.text, 'SEC(".maps")'));

    const helper = await ask<Hover>('hover', at('bpf_map_lookup_elem', 'bpf_map_lookup_elem'));
    expect(JSON.stringify(helper.contents)).toMatch(/Perform a lookup/);
    const map = await ask<Hover>('hover', at('SEC(".maps")', 'packets'));
    expect(JSON.stringify(map.contents)).toMatch(/key: `__u32` — 4 bytes.*value: `__u64` — 8 bytes/);

    const complete = async (typed: string): Promise<string[]> => {
      const text = counter.text.replace('count(ctx->ingress_ifindex);', typed);
      await shared.change(uri, text);
      const line = counter.text.split('\n').findIndex((one) => one.includes('count(ctx->ingress_ifindex)'));
      const list = await ask<{ items: CompletionItem[] }>('completion', {
        line,
        character: 1 + typed.length,
      });
      return list.items.map(({ label }) => label);
    };
    expect((await complete('bpf_map_'))[0]).toMatch(/^bpf_map_/);
    expect(await complete('bpf_')).toContain('bpf_map_lookup_elem');
    expect(await complete('__uint(type, ')).toContain('BPF_MAP_TYPE_RINGBUF');
    expect(await complete('SEC("tra')).toContain('tracepoint/');
    expect(await complete('foo(&pa')).toEqual(['packets']);
    expect(await complete('// bpf_')).toEqual([]);
    await shared.close(uri);
  });

  it('the object of the buffer can be asked for', async () => {
    const uri = await shared.open(counter.file, counter.text);
    const { object } = await shared.connection.sendRequest<CompileDocumentResult>(CompileDocument, { uri });
    expect(Buffer.from(object!, 'base64').subarray(0, 4).toString('latin1')).toBe('\x7fELF');
    // The verification that opening asked for is not lost by it.
    if (isRoot) expect((await shared.finished(uri)).programs[0]!.verdict).toBe('accepted');
    await shared.change(uri, 'SEC("xdp") int f(void) { return }');
    const { problem } = await shared.connection.sendRequest<CompileDocumentResult>(CompileDocument, { uri });
    expect(problem!.message).toMatch(/does not compile/);
    await shared.close(uri);
  });

  it('a C file that is no BPF is left alone', async () => {
    const uri = await shared.open(path.join(scratch, 'plain.c'), 'int main(void) { return 0 }');
    expect(await shared.lenses(uri)).toEqual([]);
    expect(shared.hasDiagnostics(uri)).toBe(false);
    await shared.close(uri);
  });
});

describe('when something is missing or wrong', () => {
  const clangFree = () => ({
    ...process.env,
    PATH: path.dirname(process.execPath) === '/usr/bin' ? '/nonexistent' : path.dirname(process.execPath),
  });

  it('without clang: syntax still, and what to install', async () => {
    const client = await start({ env: clangFree() });
    const uri = await client.open(counter.file, counter.text.replace('__u64 one = 1;', '__u64 one = 1'));
    const { phase, problem } = await client.finished(uri);
    expect(phase).toBe('failed');
    expect(problem).toMatchObject({
      code: 'noClang',
      hint: expect.stringContaining('apt-get install clang'),
    });
    expect(client.diagnostics(uri).map(({ source }) => source)).toEqual(['syntax']);
  });

  it('clang too old: says which it found and which it needs', async () => {
    const old = path.join(scratch, 'clang');
    writeFileSync(old, '#!/bin/sh\necho "clang version 9.0.1"\n');
    chmodSync(old, 0o755);
    const client = await start({
      initializationOptions: { clang: { path: old, args: null, extraArgs: [] } },
    });
    const uri = await client.open(counter.file, counter.text);
    const { problem } = await client.finished(uri);
    expect(problem).toMatchObject({
      code: 'clangTooOld',
      message: expect.stringMatching(/version 9.*14 or newer/),
    });
  });

  it('an untrusted workspace is neither compiled nor loaded, until it is trusted', async () => {
    const client = await start({ initializationOptions: { trusted: false } });
    const uri = await client.open(counter.file, counter.text.replace('__u64 one = 1;', '__u64 one = 1'));
    await client.until('the status', () => client.statuses.get(uri)?.problem !== undefined);
    expect(client.statuses.get(uri)!.problem!.code).toBe('untrusted');
    expect(client.diagnostics(uri).map(({ source }) => source)).toEqual(['syntax']);
    await client.connection.sendNotification(TrustGranted);
    await client.finished(uri);
    expect(client.diagnostics(uri).map(({ source }) => source)).toEqual(['clang']);
  });

  it('without a kernel: clang still, and the client’s reason', async () => {
    const client = await start({ initializationOptions: { hostSocket: null } });
    const uri = await client.open(path.join(scratch, 'k.bpf.c'), 'int f(void) { int spare; return 0; }\n');
    const { phase, problem } = await client.finished(uri);
    expect([phase, problem!.code]).toEqual(['failed', 'noKernel']);
    expect(client.diagnostics(uri).map(({ code }) => code)).toEqual(['clang/-Wunused-variable']);
  });

  it('a binary file and a file of 64 MB get a message, at once', async () => {
    const binary = await shared.open(path.join(scratch, 'object.bpf.c'), '\x7fELF\x02\x01\x01\0\0\0\0');
    expect((await shared.finished(binary)).problem).toMatchObject({ code: 'binaryFile' });
    const large = await shared.open(
      path.join(scratch, 'large.bpf.c'),
      '// some line of text\n'.repeat(3_200_000),
    );
    expect((await shared.finished(large)).problem).toMatchObject({
      code: 'sourceTooLarge',
      message: expect.stringContaining('64 MB'),
    });
    await shared.close(large);
    await shared.close(binary);
  });

  it('nonsense is answered with errors, and the server goes on', async () => {
    const client = await start();
    const { connection } = client;
    await expect(connection.sendRequest('bpf/unknown', {})).rejects.toThrow(/[Uu]nhandled|not found/);
    await expect(connection.sendRequest(VerifyNow, {})).rejects.toThrow(/not open/);
    await expect(connection.sendRequest(VerifyNow, { uri: 7 })).rejects.toThrow(/not open/);
    await connection.sendNotification('textDocument/didChange', {
      textDocument: { uri: 'file:///none', version: 3 },
      contentChanges: [{ text: 'x' }],
    });
    await connection.sendNotification('textDocument/didChange', { wrong: true });
    await connection.sendNotification('textDocument/didClose', { textDocument: { uri: 'file:///none' } });
    await connection.sendNotification('no/such', [1, 2]);
    await connection.sendNotification('workspace/didChangeConfiguration', {
      settings: { bpf: { verify: { when: 'never' } } },
    });
    const odd = [
      '\uFEFF#include "vmlinux.h"\r\nint x;\r\n',
      '\ud800\udc00 \ud800 {{{',
      '"',
      '/*',
      '#if',
      '}'.repeat(5000),
      'é'.repeat(2000),
    ];
    for (const [index, text] of odd.entries()) {
      const uri = await client.open(path.join(scratch, `odd${index}.bpf.c`), text);
      const far = { line: 99_999, character: 99_999 };
      await client.change(uri, 'y', { start: far, end: far });
      await connection.sendRequest('textDocument/hover', { textDocument: { uri }, position: far });
      await connection.sendRequest('textDocument/completion', { textDocument: { uri }, position: far });
      await client.close(uri);
    }
    const uri = await client.open(counter.file, counter.text);
    expect((await client.finished(uri)).version).toBe(1);
  });
});

/** Processes below another one whose command line contains a text. */
function runningBelow(parent: number, text: string): number[] {
  const isBelow = (pid: number): boolean => pid === parent || (pid > 0 && isBelow(parentOf(pid)));
  return processesWith(text).filter(isBelow);
}
