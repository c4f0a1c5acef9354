/**
 * The debugger as somebody meets it: F5 on an XDP program, through its run and back, its variables, packet and maps at
 * two moments, breakpoints that ask, what ran, and another packet.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Debugging, type Rest } from './harness/debugging';
import { startServer, type EditorServer } from './harness/server';
import { chooseFile, consoleText, foldPane, lensesOf } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const FILE = 'guard.bpf.c';
const read = (name: string) => readFileSync(path.join(import.meta.dirname, 'fixtures', name), 'utf8');
const SOURCE = read(FILE);
const LATER = read('later.bpf.c');

let server: EditorServer;
let bench: Workbench;
const debug = new Debugging(() => bench, SOURCE);

beforeAll(async () => {
  server = await startServer({ [FILE]: SOURCE, 'later.bpf.c': LATER, 'notes.bpfrec': 'Bring milk.\n' });
  // The list of variables draws only rows in sight: the window has room for those of two scopes.
  bench = await openWorkbench(server, 'debugger', 1300);
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
});

test('F5 on an XDP program, with a packet of its own when nobody described one, stops at a breakpoint', async () => {
  await bench.open(FILE);
  await until(async () => (await lensesOf(bench)).some((title) => /accepted/.test(title)), 'the verdict');
  await debug.goTo('#CALL');
  await bench.page.keyboard.press('F9');
  await bench.page.keyboard.press('F5');
  await debug.restsAt('#CALL');
  await bench.screenshot('breakpoint');
  // Leaves the Variables view room for more than ten rows.
  for (const pane of ['Watch', 'Call Stack', 'Breakpoints']) await foldPane(bench, pane);
  await debug.see('Locals', /^data/);
  await bench.screenshot('locals');
});

test('a packet layer and a map at two moments: before the program has changed them, and after', async () => {
  await debug.see('Packet', /^ttl\W+64/, /^ipv4\W+IPv4/);
  await bench.screenshot('packet-before');
  await debug.see('Maps', /^sources.*0 entries/);
  await debug.goTo('#GUARD');
  await bench.page.keyboard.press('F9');
  await bench.page.keyboard.press('F5');
  await debug.restsAt('#GUARD');
  await debug.see('Maps', /^sources.*1 entry/);
  await debug.see('Packet', /^ttl\W+63/, /^ipv4\W+IPv4/);
  await bench.screenshot('packet-after');
});

test('steps back, into the function that was called and out of it', async () => {
  await debug.button('Reverse');
  await debug.restsAt('#CALL');
  await debug.stepUntil('F11', ({ name }) => name === 'count', 'the way into count()');
  const isUpdated = ({ line }: Rest) => line === debug.lineOf('#NEW') || line === debug.lineOf('#UPDATE');
  await debug.stepUntil('F10', isUpdated, 'the way through it');
  await debug.see('Locals', /^address/);
  await bench.screenshot('callee');
  await debug.button('Step Back');
  await until(async () => ((await debug.rest())?.line ?? 99) < debug.lineOf('#UPDATE'), 'the line before');
  await bench.screenshot('back');
});

test('the menu of a variable leads to where it was written last', async () => {
  await bench.page.keyboard.press('F5');
  await debug.restsAt('#GUARD');
  await debug.see('Packet', /^ttl\W+63/, /^ipv4\W+IPv4/);
  await debug.pickFromMenu(/^ttl\W+63/, 'Go to Last Write', 'variable-menu');
  await debug.restsAt('#TTL');
  await bench.screenshot('last-write');
});

test('the branches that led here are listed, and a click goes to one', async () => {
  await bench.command('BPF: Show Branch Decisions');
  const row = bench.page
    .locator('.sidebar .tree-explorer-viewlet-tree-view .monaco-list-row')
    .filter({ hasText: '!source' })
    .first();
  await row.waitFor();
  await bench.screenshot('decisions');
  await row.click();
  await until(async () => (await debug.rest())?.name === 'count', 'the step of the decision');
  await debug.see('Locals', /^source\W+NULL/);
  await bench.screenshot('decision');
  await foldPane(bench, 'Branch Decisions');
});

test('the packet is changed, and the program runs on it anew, to the same place', async () => {
  await bench.page.keyboard.press('F5');
  await debug.restsAt('#GUARD');
  // The rows are those of this stop, not of the one before, when the packet is as the program has changed it.
  await debug.see('Packet', /^ttl\W+63/, /^ipv4\W+IPv4/);
  await debug.see('Packet', /^destinationPort\W+80/, /^tcp\W+TCP/);
  await debug.variable(/^destinationPort\W+80/).dblclick();
  const input = bench.page.locator('.debug-variables .monaco-inputbox input').first();
  await input.fill('443');
  await bench.screenshot('set-value');
  await input.press('Enter');
  await debug.see('Packet', /^destinationPort\W+443/, /^tcp\W+TCP/);
  await debug.restsAt('#GUARD');
  await bench.screenshot('rerun');
  await bench.page.keyboard.press('F5');
  await debug.restsAtEnd();
  await until(async () => / = XDP_TX/.test((await debug.rest())?.name ?? ''), 'the other verdict');
});

test('coverage marks the lines that ran and those that did not, over two runs', async () => {
  await bench.command('BPF: Show Coverage');
  await bench.page.locator('.statusbar-item').filter({ hasText: 'lines ran' }).first().waitFor();
  await bench.screenshot('coverage');
  await debug.goTo('#GUARD', 'port');
  await bench.command('Show or Focus Hover');
  await bench.page.locator('.monaco-hover').filter({ hasText: 'Reached once in one run.' }).first().waitFor();
  await bench.screenshot('coverage-hover');
  await bench.page.keyboard.press('Escape');
  await bench.command('Debug: Restart');
  await until(
    async () => (await debug.rest())?.line === debug.lineOf('#CALL'),
    'the first breakpoint of the new run',
  );
  await bench.page.locator('.statusbar-item').filter({ hasText: 'lines ran' }).first().hover();
  await bench.page.locator('.monaco-hover').filter({ hasText: 'of 2 runs' }).first().waitFor();
  await bench.screenshot('coverage-two-runs');
  await bench.command('BPF: Clear Coverage');
});

test('a condition and a log message are typed where breakpoints are; a typo is told at once', async () => {
  await debug.removeBreakpoints();
  await debug.goTo('#GUARD');
  await debug.typeBelow('Debug: Add Conditional Breakpoint', 'port ==');
  const problem = await until(async () => {
    const [first] = await debug.breakpoints();
    return first && first.verified === false ? first.message : undefined;
  }, 'the breakpoint to be refused');
  expect(problem).toMatch(/port ==/);
  await bench.screenshot('condition-typo');
  await debug.removeBreakpoints();

  await debug.goTo('#GUARD');
  await debug.typeBelow('Debug: Add Conditional Breakpoint', 'port == 80 && first == 1', 'condition');
  await debug.goTo('#PORT');
  await debug.typeBelow('Debug: Add Logpoint', 'from {ip->saddr}, first {first}');
  await bench.command('Debug: Restart');
  await debug.restsAt('#GUARD');
  await debug.see('Locals', /^first\W+1/);
  await until(async () => /^from .*, first 1/m.test(await consoleText(bench)), 'the log message');
  await bench.screenshot('log-message');
});

test('a breakpoint on a comment goes to the next line with code', async () => {
  await debug.removeBreakpoints();
  await debug.goTo('// Drops packets');
  await bench.page.keyboard.press('F9');
  // Above the first function there is no code but in it.
  await until(
    async () => (await debug.breakpoints())[0]?.line === debug.lineOf('int count('),
    'the breakpoint to move',
  );
  await bench.command('Debug: Restart');
  await debug.restsAt('int count(');
  await debug.see('Locals', /^address/);
  await bench.screenshot('comment');
  const [first] = await debug.breakpoints();
  expect(first).toMatchObject({ verified: true });
});

test('a field of the packet is watched from the first step on, by the menu of its row', async () => {
  await debug.removeBreakpoints();
  await debug.button('Reverse');
  await debug.restsAt('int guard(');
  await debug.see('Packet', /^ttl\W+64/, /^ipv4\W+IPv4/);
  await debug.pickFromMenu(/^ttl\W+64/, 'Break on Value Change', 'watch-menu');
  await until(() => bench.api((vscode) => vscode.debug.breakpoints.length === 1), 'the data breakpoint');
  await bench.page.keyboard.press('F5');
  const reason = bench.page.locator('.sidebar .pane-header[aria-label^="Call Stack"]');
  await reason
    .filter({ hasText: `changed at line ${debug.lineOf('#TTL')}: 64 → 63` })
    .first()
    .waitFor();
  await debug.see('Packet', /^ttl\W+63/, /^ipv4\W+IPv4/);
  await bench.screenshot('watched');
});

test('a function is named in the Breakpoints view, and the run stops in it', async () => {
  await debug.removeBreakpoints();
  await bench.command('Add Function Breakpoint');
  const input = bench.page.locator('.debug-breakpoints .monaco-inputbox input').first();
  await input.fill('count');
  await input.press('Enter');
  await until(() => bench.api((vscode) => vscode.debug.breakpoints.length === 1), 'the function breakpoint');
  await bench.command('Debug: Restart');
  await until(async () => (await debug.rest())?.name === 'count', 'the stop in count()');
  await bench.screenshot('function-breakpoint');
  await foldPane(bench, 'Breakpoints');
});

test('a run is saved, and gone through from its file, which opens from the explorer', async () => {
  await debug.removeBreakpoints();
  await debug.goTo('#GUARD');
  await bench.page.keyboard.press('F9');
  await bench.command('Debug: Restart');
  await debug.restsAt('#GUARD');
  await bench.command('BPF: Save Recording');
  await chooseFile(bench, 'Save Recording', path.join(server.workspace, 'kept.bpfrec'));
  await bench.page.locator('.statusbar-item').filter({ hasText: 'Saved kept.bpfrec' }).first().waitFor();
  await debug.stop();
  expect(await bench.page.locator('.debug-top-stack-frame-line').count()).toBe(0);

  await bench.api((vscode) => vscode.commands.executeCommand('workbench.view.explorer'));
  const file = bench.page
    .locator('.explorer-folders-view .monaco-list-row')
    .filter({ hasText: 'kept.bpfrec' });
  await file.first().click();
  const editor = bench.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  const goThrough = editor.locator('button').filter({ hasText: 'Go Through This Run' });
  await goThrough.waitFor();
  await bench.screenshot('recording-file');
  await goThrough.click();
  await debug.restsAt('#GUARD');
  await debug.see('Packet', /^ttl\W+63/, /^ipv4\W+IPv4/);
  await debug.see('Maps', /^sources.*1 entry/);
  await bench.screenshot('recording-opened');
  await debug.button('Step Back');
  await until(async () => ((await debug.rest())?.line ?? 99) < debug.lineOf('#GUARD'), 'the line before');
  await debug.stop();
});

test('a file that is no recording is told from one, and another can be chosen', async () => {
  await bench.command('BPF: Open Recording');
  await chooseFile(bench, 'Open Recording', path.join(server.workspace, 'notes.bpfrec'));
  const dialog = bench.page.locator('.monaco-dialog-box');
  await dialog.waitFor();
  await bench.screenshot('no-recording');
  expect(await dialog.innerText()).toMatch(/notes\.bpfrec: This is not a recording/);
  expect((await dialog.locator('.monaco-button').allInnerTexts()).sort()).toEqual([
    'Cancel',
    'Open Recording',
  ]);
  await bench.page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
});

test('a run that cannot be recorded is run, says why, and shows what there is', async () => {
  const later = new Debugging(() => bench, LATER);
  await debug.removeBreakpoints();
  await bench.open('later.bpf.c');
  await until(async () => (await lensesOf(bench)).some((title) => /accepted/.test(title)), 'the verdict');
  await later.goTo('#ALARM');
  await bench.page.keyboard.press('F5');
  await later.restsAtEnd();
  await until(
    async () => /cannot be stepped through: a timer runs its callback/.test(await consoleText(bench)),
    'the reason',
  );
  await later.see('Maps', /^alarms.*1 element/);
  await bench.screenshot('not-recorded');
  const toast = bench.page.locator('.notification-list-item-message');
  await later.button('Step Back');
  await toast.filter({ hasText: 'Step Back needs a recorded run' }).first().waitFor();
  // Nobody is asked for a file before that is known.
  await bench.command('BPF: Save Recording');
  await toast.filter({ hasText: 'There is no recorded run here to be saved' }).first().waitFor();
  await bench.screenshot('nothing-to-save');
  await later.stop();
});
