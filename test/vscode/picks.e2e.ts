/**
 * What the picks of *BPF: Attach Program* offer is attached: a tracepoint, a function of a process of the test's own,
 * a cgroup of the test's own. Each program then counts what the test makes happen.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { cgroupRoot, removeCgroup } from '../support/cgroup';
import { startServer, type EditorServer } from './harness/server';
import { consoleText, expandVariable, lensesOf, variableRows } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const source = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

__u64 execs;
__u64 echoes;
__u64 connects;

SEC("tracepoint")
int on_exec(void *ctx)
{
	__sync_fetch_and_add(&execs, 1);
	return 0;
}

SEC("uprobe")
int on_echo(void *ctx)
{
	__sync_fetch_and_add(&echoes, 1);
	return 0;
}

SEC("cgroup/connect4")
int on_connect(struct bpf_sock_addr *ctx)
{
	__sync_fetch_and_add(&connects, 1);
	return 1;
}
`;

/** Of its command line alone the process is told from others that run the same shell. */
const TAG = `bpfs-e2e-${process.pid}`;
/** For each line it reads: one call of bash's \`echo_builtin\`, one connect(2). */
const LOOP = 'while read -r line; do echo "$line"; : > /dev/udp/127.0.0.1/9; done';
const CGROUP = cgroupRoot();
const own = CGROUP && path.join(CGROUP, TAG);

let server: EditorServer;
let bench: Workbench;
let shell: ChildProcess;
let shellEnded: Promise<unknown>;

beforeAll(async () => {
  shell = spawn('bash', ['-c', LOOP, TAG], { stdio: ['pipe', 'ignore', 'inherit'] });
  shellEnded = once(shell, 'exit');
  if (own) {
    mkdirSync(own);
    writeFileSync(path.join(own, 'cgroup.procs'), String(shell.pid));
  }
  server = await startServer({ 'picks.bpf.c': source });
  bench = await openWorkbench(server, 'picks');
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
  shell.kill();
  await shellEnded;
  // A cgroup goes when the last process in it is reaped.
  if (own) await until(async () => removeCgroup(own), 'the cgroup to go');
});

const input = () => bench.page.locator('.quick-input-widget input.input');
async function question(title: string): Promise<void> {
  await until(async () => {
    const shown = bench.page.locator('.quick-input-title');
    return (await shown.count()) > 0 && (await shown.first().innerText()) === title;
  }, `the question "${title}"`);
}
/** Types into the open pick, and chooses the row once it is the first that is left. */
async function search(text: string, row: string | RegExp): Promise<void> {
  await input().fill(text);
  const rows = bench.page.locator('.quick-input-list .monaco-list-row');
  const found = rows.filter({ hasText: row });
  await found.first().waitFor();
  await bench.screenshot(text.replace(/\W+/g, '-'));
  await found.first().click();
}

test('each question offers what is there, and finds it by what is typed', async ({ skip }) => {
  skip(!own, 'cgroup v2 is not mounted on this machine');
  await bench.open('picks.bpf.c');
  await until(
    async () => (await lensesOf(bench)).filter((title) => title.includes('accepted')).length === 3,
    'three verdicts',
  );
  await bench.command('BPF: Attach Program');
  await question('Programs to attach');
  await bench.page.locator('.quick-input-widget .monaco-button').filter({ hasText: 'OK' }).first().click();

  await question('Tracepoint for on_exec');
  await search('sched_process_exec', /^sched_process_exec/);
  await question('Process for on_echo');
  await search(TAG, TAG);
  await question('Function for on_echo');
  await search('echo_builtin', 'echo_builtin');
  await question('Cgroup for on_connect');
  await search(TAG, TAG);

  const text = await until(async () => {
    const shown = await consoleText(bench);
    return /on_connect: cgroup/.test(shown) ? shown : undefined;
  }, 'all three to be attached');
  expect(text).toMatch(/on_exec: tracepoint sched:sched_process_exec/);
  expect(text).toMatch(new RegExp(`on_echo: uprobe .*/bash:echo_builtin in process ${shell.pid}`));
  expect(text).toContain(`on_connect: cgroup ${own}`);
});

test('each program counts what it was put on', async ({ skip }) => {
  skip(!own, 'cgroup v2 is not mounted on this machine');
  await bench.page.keyboard.press('Control+Shift+D');
  await expandVariable(bench, /^Globals/);
  const count = async (name: string) =>
    Number((await variableRows(bench)).find((row) => row.startsWith(`${name} = `))?.split(' = ')[1] ?? NaN);
  await until(async () => (await count('echoes')) === 0 && (await count('connects')) === 0, 'both at zero');
  shell.stdin!.write('one\ntwo\nthree\n');
  await until(async () => (await count('echoes')) === 3 && (await count('connects')) === 3, 'three of each');
  const before = await count('execs');
  spawn('true').unref();
  await until(async () => (await count('execs')) > before, 'the program that was started');
  await bench.screenshot('counted');
});

test('the process that ends is told of, and the others stay attached', async ({ skip }) => {
  skip(!own, 'cgroup v2 is not mounted on this machine');
  shell.stdin!.end();
  await shellEnded;
  await until(
    async () => (await consoleText(bench)).includes(`process ${shell.pid} has ended`),
    'the news in the Debug Console',
  );
  await bench.screenshot('process-ended');
  expect(await bench.api((vscode) => vscode.debug.activeDebugSession?.type)).toBe('bpf');
  await bench.command('BPF: Detach');
  await until(
    () => bench.api((vscode) => vscode.debug.activeDebugSession === undefined),
    'the session to end',
  );
});
