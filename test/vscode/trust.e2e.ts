/** Restricted Mode: nothing of an untrusted workspace is compiled, loaded or started. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { root, startServer, type EditorServer } from './harness/server';
import { diagnosticsOf } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const sample = readFileSync(path.join(root, 'extension/sample/sample.bpf.c'), 'utf8');
let server: EditorServer;
let bench: Workbench;

beforeAll(async () => {
  server = await startServer(
    { 'sample.bpf.c': `${sample}\nint broken( {\n` },
    // The prompt at the start would cover the editor; Restricted Mode is the same without it.
    { trust: true, settings: { 'security.workspace.trust.startupPrompt': 'never' } },
  );
  bench = await openWorkbench(server, 'trust');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
});

test('syntax is checked, and nothing else', async () => {
  await bench.open('sample.bpf.c');
  await until(async () => (await diagnosticsOf(bench, 'sample.bpf.c')).length > 0, 'a syntax error');
  const sources = (await diagnosticsOf(bench, 'sample.bpf.c')).map(({ source }) => source);
  expect([...new Set(sources)]).toEqual(['syntax']);
  expect(await bench.api((vscode) => vscode.workspace.isTrusted)).toBe(false);
  await bench.screenshot('restricted-mode');
});

test('no kernel host runs, and the status says why', async () => {
  await bench.page.locator('[id="status.languageStatus"]').click();
  const item = bench.page.locator('.hover-language-status');
  await item.first().waitFor();
  expect((await item.allInnerTexts()).join(' ')).toMatch(/syntax only.*not trusted/s);
  await bench.screenshot('status');
  await bench.page.keyboard.press('Escape');
});

test('a command that would start one explains itself and offers to manage trust', async () => {
  await bench.command('BPF: Check Environment');
  const toast = bench.page.locator('.notification-list-item');
  await toast.locator('.notification-list-item-message').filter({ hasText: 'trusted workspace' }).waitFor();
  await toast.locator('.monaco-button').filter({ hasText: 'Manage Workspace Trust' }).waitFor();
  await bench.screenshot('refusal');
});
