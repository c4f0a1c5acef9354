/** What the editor does for somebody who begins, or who lacks something. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { root, startServer, type EditorServer } from './harness/server';
import { consoleText, diagnosticsOf, lensesOf } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

let server: EditorServer;
let bench: Workbench;

beforeAll(async () => {
  const sample = readFileSync(path.join(root, 'extension/sample/sample.bpf.c'), 'utf8');
  server = await startServer({ 'sample.bpf.c': sample });
  bench = await openWorkbench(server, 'help');
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
});

test('F5 in a folder without launch.json asks for the program and runs it', async () => {
  await bench.open('sample.bpf.c');
  await bench.page.locator('.view-lines').first().click();
  await bench.page.keyboard.press('F5');
  await bench.pick('count_and_drop_tcp');
  await until(async () => /returned XDP_DROP/.test(await consoleText(bench)), 'the return value');
  await bench.screenshot('f5');
  await bench.page.keyboard.press('Shift+F5');
  await until(
    () => bench.api((vscode) => vscode.debug.activeDebugSession === undefined),
    'the session to end',
  );
});

test('New from Template copies a program that the kernel accepts, with its launch configurations', async () => {
  await bench.command('BPF: New from Template');
  expect((await bench.pickRows()).join('\n')).toMatch(/XDP firewall/);
  await bench.screenshot('templates');
  await bench.pick('XDP firewall');
  const input = bench.page.locator('.quick-input-widget input.input');
  await until(
    async () => (await bench.page.locator('.quick-input-title').innerText()).includes('Folder'),
    'the question for a folder',
  );
  await input.press('Enter');
  const source = path.join(server.workspace, 'firewall', 'firewall.bpf.c');
  await until(() => Promise.resolve(existsSync(source)), 'the source to be copied');
  const configurations = await until(
    () =>
      bench.api(async (vscode) => {
        const all = vscode.workspace
          .getConfiguration('launch')
          .get<{ name: string; program: string }[]>('configurations');
        return all?.length ? all : undefined;
      }),
    'the launch configurations',
  );
  expect(configurations[0]!.program).toBe('${workspaceFolder}/firewall/firewall.bpf.c');
  await until(
    () => bench.api((vscode) => vscode.window.activeTextEditor?.document.fileName.endsWith('firewall.bpf.c')),
    'the copied source to be open',
  );
  const lenses = await until(async () => {
    const titles = await lensesOf(bench);
    return titles.some((title) => /accepted|insns/.test(title)) ? titles : undefined;
  }, 'a verdict on the template');
  expect(lenses.join('\n')).not.toMatch(/rejected/);
  expect(await diagnosticsOf(bench, 'firewall.bpf.c')).toEqual([]);
  const readme = bench.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  await readme.locator('h1').first().waitFor();
  await bench.screenshot('template-open');
});

test('Check Environment says what is there and how to mend what is not', async () => {
  await bench.api((vscode) => vscode.commands.executeCommand<void>('workbench.action.closeAllEditors'));
  await bench.command('BPF: Check Environment');
  const page = bench.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  const kernel = page.locator('li[data-id="kernel"]');
  await kernel.waitFor();
  expect(await kernel.innerText()).toContain(readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim());
  expect(await page.locator('li[data-id="clang"]').innerText()).toMatch(/clang version \d+|\d+\.\d+\.\d+/);
  await bench.screenshot('environment');
});

test('Generate vmlinux.h writes the types of the kernel, and asks before it overwrites', async () => {
  const header = path.join(server.workspace, 'vmlinux.h');
  await bench.command('BPF: Generate vmlinux.h');
  await until(() => Promise.resolve(existsSync(header)), 'vmlinux.h');
  const toast = bench.page.locator('.notification-list-item');
  await toast.filter({ hasText: 'vmlinux.h' }).first().waitFor();
  await bench.screenshot('vmlinux-written');
  expect(readFileSync(header, 'utf8')).toMatch(/struct task_struct \{/);

  writeFileSync(header, '// mine\n');
  await bench.command('BPF: Generate vmlinux.h');
  const dialog = bench.page.locator('.monaco-dialog-box');
  await dialog.waitFor();
  await bench.screenshot('vmlinux-overwrite');
  await bench.page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  expect(readFileSync(header, 'utf8')).toBe('// mine\n');
  writeFileSync(header, '');
});

test('without clang the syntax is checked still, and the message says what to install', async () => {
  await bench.api(
    async (vscode, file) => {
      await vscode.workspace.fs.delete(vscode.Uri.file(file));
      await vscode.workspace.getConfiguration('bpf').update('clang.path', '/nonexistent/clang');
    },
    path.join(server.workspace, 'vmlinux.h'),
  );
  await bench.open('sample.bpf.c');
  const toast = bench.page.locator('.notification-list-item');
  await toast.locator('.notification-list-item-message').filter({ hasText: '/nonexistent/clang' }).waitFor();
  await toast.locator('.monaco-button').filter({ hasText: 'Check Environment' }).first().waitFor();
  const status = await bench.openStatus();
  expect(status).toMatch(/no verdict.*\/nonexistent\/clang/s);
  await bench.screenshot('no-clang');
  await bench.api((vscode) => vscode.workspace.getConfiguration('bpf').update('clang.path', undefined));
  await until(
    async () => (await lensesOf(bench)).some((title) => /rejected/.test(title)),
    'verdicts to come back',
  );
});
