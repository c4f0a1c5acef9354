/** Another kernel: from Select Kernel to the verdict it gives, without root. */
import os from 'node:os';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { findKernels } from '../../kernel/targets/vm/kernels';
import { root, startServer, type EditorServer } from './harness/server';
import { diagnosticsOf, lensesOf } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const NO_KERNEL = 'there is no Linux 6.12 for a VM here; node scripts/kernels.mjs 6.12 fetches one';
const other = findKernels().find(({ usable, release }) => usable.ok && release.startsWith('6.12.'));
let server: EditorServer;
let bench: Workbench;

beforeAll(async () => {
  const probe = readFileSync(path.join(root, 'test/vscode/fixtures/probe.bpf.c'), 'utf8');
  server = await startServer({
    'probe.bpf.c': probe,
    'search.bpf.c': probe.replace('kprobe/try_to_wake_up', 'kprobe'),
  });
  bench = await openWorkbench(server, 'kernels');
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  if (process.env.BPF_STUDIO_TEST_LOGS) console.log(await server.logs());
  await bench?.close();
  await server?.stop();
});

/** A VM boots in some 5 s on an idle machine; emulated beside other work it may take many times that. */
const BOOT = 120_000;

/** The part of a release that lenses show. */
const version = (release: string) => /^\d+\.\d+/.exec(release)![0];

test("without a choice, a privileged user's programs go to this machine's kernel", async () => {
  await bench.open('probe.bpf.c');
  const lenses = await until(async () => {
    const titles = await lensesOf(bench);
    return titles.some((title) => title.includes(` ${version(os.release())} `)) ? titles : undefined;
  }, 'the verdict of this machine');
  expect(lenses.join('\n')).toMatch(/accepted/);
  expect(await bench.openStatus()).toContain(os.release());
  await bench.screenshot('this-machine');
  await bench.page.keyboard.press('Escape');
});

test(
  'Select Kernel changes to a VM, which shows its progress and then speaks',
  { timeout: 2 * BOOT },
  async ({ skip }) => {
    skip(!other, NO_KERNEL);
    await bench.command('BPF: Select Kernel');
    const rows = (await bench.pickRows()).join('\n');
    expect(rows).toMatch(/This machine/);
    expect(rows).toContain(other!.release);
    await bench.screenshot('select-kernel');
    await bench.pick(other!.release);
    await bench.page.locator('.notification-list-item').filter({ hasText: other!.release }).first().waitFor();
    await bench.screenshot('booting');
    const falseAlarms: unknown[] = [];
    const lenses = await until(
      async () => {
        falseAlarms.push(...(await diagnosticsOf(bench, 'probe.bpf.c')));
        const titles = await lensesOf(bench);
        return titles.some((title) => title.includes(' 6.12 ')) ? titles : undefined;
      },
      `a verdict of ${other!.release}`,
      BOOT,
    );
    expect(lenses.join('\n')).toMatch(/accepted/);
    expect(falseAlarms).toEqual([]);
    await bench.page.locator('.codelens-decoration').filter({ hasText: ' 6.12 ' }).waitFor();
    expect(await bench.openStatus()).toContain(other!.release);
    await bench.screenshot('vm-verdict');
    await bench.page.keyboard.press('Escape');
    const setting = await bench.api((vscode) =>
      vscode.workspace.getConfiguration('bpf').get<string>('target'),
    );
    expect(setting).toBe(`vm:${other!.image}`);
  },
);

test(
  'what is attached there traces the functions of that kernel',
  { timeout: 2 * BOOT },
  async ({ skip }) => {
    skip(!other, NO_KERNEL);
    await bench.api((vscode) => void vscode.commands.executeCommand('bpf.attachProgram'));
    await until(
      () => bench.api((vscode) => vscode.debug.activeDebugSession?.type === 'bpf'),
      'the session to attach',
      BOOT,
    );
    await bench.page
      .locator('.repl .monaco-list-row')
      .filter({ hasText: /kprobe/ })
      .first()
      .waitFor();
    await bench.screenshot('vm-attached');
    await bench.command('BPF: Detach');
    await until(
      () => bench.api((vscode) => vscode.debug.activeDebugSession === undefined),
      'the session to end',
    );
  },
);

test(
  'a kprobe without a target asks for the function, which is searched among those of that kernel',
  { timeout: 2 * BOOT },
  async ({ skip }) => {
    skip(!other, NO_KERNEL);
    await bench.open('search.bpf.c');
    await until(
      async () => (await lensesOf(bench)).some((title) => title.includes('accepted')),
      'its verdict',
      BOOT,
    );
    // The session before left its lines in the console.
    await bench.api((vscode) =>
      vscode.commands.executeCommand<void>('workbench.debug.panel.action.clearReplAction'),
    );
    await bench.command('BPF: Attach Program');
    await until(
      async () => /Kernel function/.test(await bench.page.locator('.quick-input-title').innerText()),
      'the question for the function',
    );
    await bench.page.locator('.quick-input-widget input.input').fill('try_to_wake');
    const found = await until(async () => {
      const rows = await bench.pickRows();
      return rows.every((row) => row.includes('try_to_wake')) ? rows : undefined;
    }, 'the functions that match');
    expect(found).toContain('try_to_wake_up');
    await bench.screenshot('function-search');
    await bench.page.locator('.quick-input-widget input.input').fill('try_to_wake_up');
    await bench.pick('try_to_wake_up');
    await bench.page
      .locator('.repl .monaco-list-row')
      .filter({ hasText: /Attached on_wake_up: .*try_to_wake_up/ })
      .first()
      .waitFor();
    await bench.screenshot('function-attached');
    await bench.command('BPF: Detach');
    await until(
      () => bench.api((vscode) => vscode.debug.activeDebugSession === undefined),
      'the session to end',
    );
  },
);
