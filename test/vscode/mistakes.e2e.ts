/** What somebody who begins gets wrong in the editor, typed by hand: each answer helps, and what was typed stays. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { root, startServer, type EditorServer } from './harness/server';
import { diagnosticsOf, lensesOf } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const FILE = 'sample.bpf.c';
const sample = readFileSync(path.join(root, 'extension/sample', FILE), 'utf8');
const program = `\${workspaceFolder}/${FILE}`;
const entry = 'count_and_drop_tcp';
const configurations = [
  { type: 'bpf', request: 'launch', name: 'Bad hex', program, entry, packet: 'ff ff zz' },
  {
    ...{ type: 'bpf', request: 'attach', name: 'Bad hook', program },
    attach: [{ entry, spec: { hook: 'xpd', interface: 'lo' } }],
  },
  {
    ...{ type: 'bpf', request: 'attach', name: 'No interface named', program },
    attach: [{ entry, spec: { hook: 'xdp' } }],
  },
];

let server: EditorServer;
let bench: Workbench;

beforeAll(async () => {
  server = await startServer({
    [FILE]: sample,
    '.vscode/launch.json': JSON.stringify({ version: '0.2.0', configurations }, null, 2),
  });
  bench = await openWorkbench(server, 'mistakes');
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
});

/** Puts the cursor behind `text` in the open editor, and waits until the editor, not only its model, has it there. */
async function cursorBehind(text: string): Promise<void> {
  await bench.page.keyboard.press('Control+1');
  const line = await bench.api((vscode, wanted) => {
    const editor = vscode.window.activeTextEditor!;
    const end = editor.document.getText().indexOf(wanted) + wanted.length;
    const position = editor.document.positionAt(end);
    editor.selection = new vscode.Selection(position, position);
    editor.revealRange(editor.selection, vscode.TextEditorRevealType.InCenter);
    return position.line + 1;
  }, text);
  const active = bench.page.locator('.line-numbers.active-line-number');
  await active.filter({ hasText: new RegExp(`^${line}$`) }).waitFor();
}

async function type(text: string): Promise<void> {
  await bench.page.keyboard.type(text);
}

const dialog = () => bench.page.locator('.monaco-dialog-box');
async function dialogText(): Promise<string> {
  await dialog().waitFor();
  return dialog().innerText();
}

test('a check that is missing is typed in, and the rejection goes', async () => {
  await bench.open(FILE);
  await until(
    async () => (await diagnosticsOf(bench, FILE)).some(({ source }) => source === 'verifier'),
    'the rejection',
  );
  await cursorBehind('Add `if (!traffic) return XDP_PASS;` above it.');
  await bench.page.keyboard.press('Enter');
  await type('if (!traffic)');
  await bench.page.keyboard.press('Enter');
  await type('return XDP_PASS');
  // Forgotten: the semicolon.
  await until(
    async () =>
      (await diagnosticsOf(bench, FILE)).some(({ message }) => /expected ';'|missing ";"/i.test(message)),
    'the missing semicolon to be told',
  );
  await bench.screenshot('semicolon');
  const told = (await diagnosticsOf(bench, FILE)).filter(({ source }) => source !== 'verifier');
  const text = await bench.api((vscode) => vscode.window.activeTextEditor!.document.getText());
  const typed = text.split('\n').findIndex((line) => line.trim() === 'return XDP_PASS');
  expect(told.map(({ line }) => line)).toContain(typed);
  await type(';');
  await until(async () => (await diagnosticsOf(bench, FILE)).length === 0, 'the diagnostics to go');
  await until(
    async () => (await lensesOf(bench)).filter((title) => /accepted/.test(title)).length === 2,
    'both programs to be accepted',
  );
  await bench.screenshot('typed-check');
});

test.each([
  ['Bad hex', /"zz" is not|"z" is not hexadecimal.*ffffffffffff 020000000001 0800/s],
  [
    'Bad hook',
    /"attach\[0\]\.spec\.hook": "xpd" is none of auto, kprobe.*For example \{"hook": "xdp", "interface"/s,
  ],
  [
    'No interface named',
    /"attach\[0\]\.spec\.interface": is missing.*For example \{"hook": "xdp", "interface"/s,
  ],
])('launch.json, %s: the dialog shows what to write, and opens launch.json', async (name, message) => {
  await bench.api((vscode, wanted) => {
    void vscode.debug.startDebugging(vscode.workspace.workspaceFolders![0], wanted);
  }, name);
  expect(await dialogText()).toMatch(message);
  await bench.screenshot(name.replace(/ /g, '-').toLowerCase());
  await dialog()
    .locator('.monaco-button')
    .filter({ hasText: /Open .*launch\.json/ })
    .waitFor();
  await bench.page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });
});

test('Attach on an interface that has gone since offers no launch.json, where there is none to mend', async () => {
  await bench.api(
    (vscode, file) => {
      const attach = [{ entry: 'count_and_drop_tcp', spec: { hook: 'xdp', interface: 'bpfs-none' } }];
      const start = { type: 'bpf', request: 'attach', name: 'Gone', program: file, attach, unlisted: true };
      void vscode.debug.startDebugging(undefined, start);
    },
    path.join(server.workspace, FILE),
  );
  expect(await dialogText()).toMatch(/there is no interface named bpfs-none.*ip link/s);
  await bench.screenshot('gone');
  const buttons = await dialog().locator('.monaco-button').allInnerTexts();
  expect(buttons.sort()).toEqual(['Attach Again', 'Cancel']);
  await bench.page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });
});

test('New from Template never overwrites', async () => {
  await bench.command('BPF: New from Template');
  await bench.pick('XDP firewall');
  const input = bench.page.locator('.quick-input-widget input.input');
  await until(
    async () => (await bench.page.locator('.quick-input-title').innerText()).includes('Folder'),
    'the question for a folder',
  );
  await input.fill('../elsewhere');
  await bench.page.locator('.quick-input-message').filter({ hasText: 'Write a folder inside' }).waitFor();
  await bench.screenshot('template-outside');
  await input.fill('.');
  await input.press('Enter');
  const toast = bench.page.locator('.notification-list-item');
  await toast.filter({ hasText: 'README.md' }).first().waitFor();
  await bench.screenshot('template-taken');
  expect(await toast.first().innerText()).toMatch(/has a file README\.md already, and nothing was written/);
  await toast.locator('.monaco-button').filter({ hasText: 'New from Template' }).first().waitFor();
  expect(readFileSync(path.join(server.workspace, 'README.md'), 'utf8')).toBe('# Test\n');
  await bench.command('Notifications: Clear All Notifications');
});

test('a file that is no kernel is not taken for one, and the kernel in use stays', async () => {
  const before = await bench.api((vscode) => vscode.workspace.getConfiguration('bpf').get<string>('target'));
  await bench.command('BPF: Select Kernel');
  await bench.pick('A kernel image');
  const input = bench.page.locator('.quick-input-widget input.input');
  await until(
    async () => (await bench.page.locator('.quick-input-title').innerText()).includes('Kernel image'),
    'the question for a file',
  );
  await input.fill(path.join(server.workspace, 'README.md'));
  // The dialog reads the directory first; before it has, its button means the directory.
  const rows = bench.page.locator('.quick-input-list .monaco-list-row');
  await rows.filter({ hasText: 'README.md' }).first().waitFor();
  await bench.page
    .locator('.quick-input-widget .monaco-button')
    .filter({ hasText: 'Use This Kernel' })
    .click();
  const toast = bench.page.locator('.notification-list-item');
  await toast.filter({ hasText: 'README.md' }).first().waitFor();
  await bench.screenshot('no-kernel-image');
  expect(await toast.first().innerText()).toMatch(/not a Linux kernel image for x86.*vmlinuz/s);
  // With a button the message is shown whole, and leads back to the choice.
  await toast.locator('.monaco-button').filter({ hasText: 'Select Kernel' }).first().waitFor();
  expect(await bench.api((vscode) => vscode.workspace.getConfiguration('bpf').get<string>('target'))).toBe(
    before,
  );
  expect(await bench.openStatus()).toContain(readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim());
  await bench.screenshot('kernel-stays');
});
