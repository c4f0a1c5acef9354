/** A rejected program mended from the light bulb. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { root, startServer, type EditorServer } from './harness/server';
import { diagnosticsOf, lensesOf } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const FILE = 'packet-no-checks.bpf.c';
const fixture = readFileSync(path.join(root, 'test/fixtures/fixes', FILE), 'utf8');
const [, title] = /^\/\/ #FIX (.*)$/m.exec(fixture)!;
const source = fixture.replace(/^\/\/ #.*\n/gm, '');

let server: EditorServer;
let bench: Workbench;

beforeAll(async () => {
  server = await startServer({ [FILE]: source });
  bench = await openWorkbench(server, 'fixes');
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
});

test('the light bulb offers what the kernel accepted, and applying it turns the verdict', async () => {
  await bench.open(FILE);
  const [finding] = await until(async () => {
    const all = await diagnosticsOf(bench, FILE);
    return all.some((one) => one.source === 'verifier') ? all : undefined;
  }, 'a diagnostic of the verifier');
  expect(finding).toMatchObject({ code: 'bpf/packet-bounds' });
  await bench.api(async (vscode, line) => {
    const editor = vscode.window.activeTextEditor!;
    await vscode.window.showTextDocument(editor.document);
    const at = new vscode.Position(line, editor.document.lineAt(line).firstNonWhitespaceCharacterIndex + 5);
    editor.selection = new vscode.Selection(at, at);
    editor.revealRange(new vscode.Range(at, at), vscode.TextEditorRevealType.InCenter);
  }, finding!.line);
  await bench.page.locator('.lightBulbWidget').first().waitFor();
  await bench.api((vscode) => {
    // Resolves only when the menu is closed.
    void vscode.commands.executeCommand('editor.action.quickFix');
    return Promise.resolve();
  }, undefined);
  const actions = bench.page.locator('.action-widget .monaco-list-row.action');
  await actions.filter({ hasText: title! }).first().waitFor();
  await bench.screenshot('offered');
  await bench.page.keyboard.press('Enter');
  const accepted = await until(async () => {
    const lenses = await lensesOf(bench);
    return lenses.find((lens) => lens.includes('accepted'));
  }, 'the verdict on the mended program');
  expect(accepted).toMatch(/^✓ accepted/);
  expect(await diagnosticsOf(bench, FILE)).toEqual([]);
  await bench.screenshot('applied');
});
