/** The main job, on this machine's kernel: see the verdict, mend the program, run it, look into its maps. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createNetworkPair, type NetworkPair } from '../support/network';
import { root, startServer, type EditorServer } from './harness/server';
import {
  consoleText,
  diagnosticsOf,
  expandVariable,
  lensesOf,
  replaceText,
  variableRows,
} from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const FILE = 'sample.bpf.c';
const FAULT = 'traffic->packets++;';
const sample = readFileSync(path.join(root, 'extension/sample', FILE), 'utf8');
/** The part of the kernel's release that lenses show. */
const VERSION = ` ${/^\d+\.\d+/.exec(os.release())![0]} `;
const faultLine = sample.split('\n').findIndex((line) => line.includes(FAULT));

let server: EditorServer;
let bench: Workbench;
let network: NetworkPair;

beforeAll(async () => {
  network = createNetworkPair();
  const launch = {
    version: '0.2.0',
    configurations: [
      {
        type: 'bpf',
        request: 'attach',
        name: 'Attach to veth',
        program: `\${workspaceFolder}/${FILE}`,
        attach: [
          {
            entry: 'count_and_drop_tcp',
            spec: { hook: 'xdp', interface: network.far.interface, netns: network.far.netns },
          },
        ],
      },
    ],
  };
  server = await startServer({ [FILE]: sample, '.vscode/launch.json': JSON.stringify(launch, null, 2) });
  bench = await openWorkbench(server, 'editor', 1300);
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
  network?.dispose();
});

test('a rejected program is marked where the verifier stopped, with its words', async () => {
  await bench.open(FILE);
  const found = await until(async () => {
    const all = await diagnosticsOf(bench, FILE);
    return all.some(({ source }) => source === 'verifier') ? all : undefined;
  }, 'a diagnostic of the verifier');
  expect(found).toHaveLength(1);
  const [rejection] = found;
  expect(rejection).toMatchObject({ line: faultLine, source: 'verifier' });
  expect(rejection!.code).toMatch(/^bpf\//);
  expect(`${rejection!.message} ${rejection!.related.join(' ')}`).toMatch(
    /invalid mem access 'map_value_or_null'/,
  );
  // The editor draws only what is on the screen.
  await bench.api((vscode, line) => {
    const editor = vscode.window.activeTextEditor!;
    editor.revealRange(new vscode.Range(line, 0, line, 0), vscode.TextEditorRevealType.InCenter);
  }, faultLine);
  await bench.page.locator('.squiggly-error').first().waitFor({ state: 'attached' });
  await bench.page.keyboard.press('Control+Shift+M');
  const problem = bench.page.locator('.markers-panel .monaco-list-row').filter({ hasText: 'bpf/' });
  await problem.first().waitFor();
  await bench.page.locator('.codelens-decoration').filter({ hasText: 'rejected' }).waitFor();
  await bench.screenshot('rejection');
});

test('above each program a lens says what the kernel found', async () => {
  const lenses = await lensesOf(bench);
  const verdicts = lenses.filter((title) => title.includes(VERSION));
  expect(verdicts).toHaveLength(2);
  expect(verdicts[0]).toMatch(/accepted.*\d+ insns.*\d+ states?.*stack/);
  expect(verdicts[1]).toMatch(/rejected/);
  expect(lenses.filter((title) => /Run/.test(title))).toHaveLength(2);
  expect(lenses.filter((title) => /Attach/.test(title))).toHaveLength(2);
});

test('the quick fix opens the whole log, whose instructions lead back to the source', async () => {
  await bench.api(async (vscode) => {
    const editor = vscode.window.activeTextEditor!;
    const { start } = vscode.languages.getDiagnostics(editor.document.uri)[0]!.range;
    editor.selection = new vscode.Selection(start, start);
    await vscode.commands.executeCommand('editor.action.quickFix');
  });
  const action = bench.page.locator('.action-widget .monaco-list-row').filter({ hasText: 'verifier log' });
  await action.first().click();
  const seen = await until(
    () =>
      bench.api(async (vscode) => {
        const document = vscode.workspace.textDocuments.find(({ uri }) => uri.scheme === 'bpf-log');
        if (!document || document.lineCount < 5) return undefined;
        const links = await vscode.commands.executeCommand<{ target?: { path: string; fragment: string } }[]>(
          'vscode.executeLinkProvider',
          document.uri,
        );
        return {
          language: document.languageId,
          text: document.getText(),
          links: links.map(({ target }) => `${target?.path}#${target?.fragment}`),
        };
      }),
    'the log document',
  );
  expect(seen.language).toBe('bpf-log');
  expect(seen.text).toMatch(/invalid mem access 'map_value_or_null'/);
  expect(seen.links.some((link) => link.includes(`${FILE}#L${faultLine + 1},`))).toBe(true);
  await bench.screenshot('log');
  await bench.command('View: Close All Editor Groups');
});

test('what is typed is checked before it is saved, and a mended program is accepted', async () => {
  await bench.open(FILE);
  await replaceText(
    bench,
    'int count_unchecked(struct xdp_md *ctx)',
    'int count_unchecked(struct xdp_md *ctx',
  );
  await until(
    async () => (await diagnosticsOf(bench, FILE)).some(({ source }) => source === 'syntax'),
    'a syntax error',
  );
  await bench.screenshot('syntax');
  await replaceText(
    bench,
    'int count_unchecked(struct xdp_md *ctx',
    'int count_unchecked(struct xdp_md *ctx)',
  );
  await replaceText(bench, `\t${FAULT}`, `\tif (!traffic)\n\t\treturn XDP_PASS;\n\t${FAULT}`);
  await until(async () => (await diagnosticsOf(bench, FILE)).length === 0, 'the diagnostics to go');
  const verdicts = await until(async () => {
    const titles = (await lensesOf(bench)).filter((title) => title.includes(VERSION));
    return titles.length === 2 && titles.every((title) => /accepted/.test(title)) ? titles : undefined;
  }, 'both programs to be accepted');
  expect(verdicts).toHaveLength(2);
  await bench.screenshot('mended');
});

test('Run asks for the program, gives it a packet, and names what it returned', async () => {
  await bench.open(FILE);
  await bench.api((vscode) => vscode.workspace.saveAll());
  await bench.command('BPF: Run Program');
  await bench.pick('count_and_drop_tcp');
  const text = await until(async () => {
    const shown = await consoleText(bench);
    return /XDP_/.test(shown) ? shown : undefined;
  }, 'the return value in the Debug Console');
  expect(text).toMatch(/XDP_DROP/);
  // The console is filled before the session is the one in front.
  await until(() => bench.api((vscode) => vscode.debug.activeDebugSession?.type === 'bpf'), 'the session');
  await bench.screenshot('run');
});

test('its maps stand in the Variables view by their C types, and can be written', async () => {
  await bench.page.keyboard.press('Control+Shift+D');
  await expandVariable(bench, /^Maps/);
  await expandVariable(bench, 'by_protocol');
  await expandVariable(bench, /^\[6\]/);
  const rows = await until(async () => {
    const shown = await variableRows(bench);
    return shown.some((row) => row.startsWith('packets')) ? shown : undefined;
  }, 'the members of the entry');
  expect(rows).toContain('packets = 1');
  await bench.screenshot('maps');

  const packets = bench.page
    .locator('.debug-variables .monaco-list-row')
    .filter({ hasText: /^packets/ })
    .first();
  await packets.dblclick();
  const input = bench.page.locator('.debug-variables input');
  await input.fill('41');
  await input.press('Enter');
  await until(async () => (await variableRows(bench)).some((row) => row === 'packets = 41'), 'the new value');
  await bench.screenshot('set-value');
  await bench.page.keyboard.press('Shift+F5');
  await until(
    () => bench.api((vscode) => vscode.debug.activeDebugSession === undefined),
    'the session to end',
  );
});

test('F5 with a launch configuration attaches to the interface, and the counters live', async () => {
  await bench.api(async (vscode) => {
    const folder = vscode.workspace.workspaceFolders![0];
    return vscode.debug.startDebugging(folder, 'Attach to veth');
  });
  await until(
    async () => /xdp on veth0/.test(await consoleText(bench)),
    'the attachment in the Debug Console',
  );
  network.send(5, 100);
  await bench.page.keyboard.press('Control+Shift+D');
  await expandVariable(bench, /^Maps/);
  await expandVariable(bench, 'by_protocol');
  await expandVariable(bench, /^\[17\]/);
  await until(async () => (await variableRows(bench)).some((row) => row === 'packets = 5'), 'five packets');
  await bench.screenshot('attached');
  network.send(7, 100);
  await until(
    async () => (await variableRows(bench)).some((row) => row === 'packets = 12'),
    'the counter to follow by itself',
  );
  await bench.screenshot('live');
});

test('the BPF view shows the session, and its Detach ends it at once', async () => {
  const row = bench.page.locator(
    '.pane[aria-label^="BPF"] .monaco-list-row, .monaco-pane-view .monaco-list-row',
  );
  await bench.command('Debug: Focus on BPF View');
  const session = row.filter({ hasText: 'Attach to veth' }).filter({ hasText: 'this window' }).first();
  await session.waitFor();
  await session.hover();
  await bench.screenshot('kernel-view');
  await session.locator('.action-label[aria-label*="Detach"]').click();
  await until(
    () => bench.api((vscode) => vscode.debug.activeDebugSession === undefined),
    'the session to end',
  );
  await until(async () => network.far.xdpProgram() === undefined, 'the program to leave the interface');
  await bench.screenshot('detached');
});

test('a kernel host that is killed is started again, and the verdicts come back', async () => {
  const [host] = server.kernelHosts();
  expect(host).toBeDefined();
  process.kill(host!, 'SIGKILL');
  await until(async () => {
    const [next] = server.kernelHosts();
    return next !== undefined && next !== host;
  }, 'another host');
  await replaceText(bench, 'if (!traffic)\n\t\treturn XDP_PASS;\n\ttraffic->packets++;', FAULT);
  await until(
    async () => (await diagnosticsOf(bench, FILE)).some(({ source }) => source === 'verifier'),
    'a verdict of the new host',
  );
  await bench.screenshot('host-restarted');
});
