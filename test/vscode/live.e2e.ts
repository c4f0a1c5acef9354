/** Live traffic in the editor: snapshots at a breakpoint while packets flow, and the flight recorder. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createNetworkPair, type NetworkPair } from '../support/network';
import { startServer, type EditorServer } from './harness/server';
import { foldPane, lensesOf, variableRows } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const FILE = 'sizes.bpf.c';
const SOURCE = `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

__u64 packets;

SEC("xdp")
int sizes(struct xdp_md *ctx)
{
	__u32 length = ctx->data_end - ctx->data;

	__sync_fetch_and_add(&packets, 1); // #FIRST
	if (length > 100) // #LENGTH
		return XDP_DROP;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;
const lineOf = (marker: string): number => SOURCE.split('\n').findIndex((line) => line.includes(marker)) + 1;
/** Ethernet, IPv4 and UDP before the payload. */
const HEADERS = 42;

let server: EditorServer;
let bench: Workbench;
let network: NetworkPair;

beforeAll(async () => {
  network = createNetworkPair();
  const configuration = {
    type: 'bpf',
    request: 'attach',
    name: 'Sizes',
    program: '${workspaceFolder}/sizes.bpf.c',
    attach: [
      { entry: 'sizes', spec: { hook: 'xdp', interface: network.far.interface, netns: network.far.netns } },
    ],
  };
  server = await startServer({
    [FILE]: SOURCE,
    '.vscode/launch.json': JSON.stringify({ version: '0.2.0', configurations: [configuration] }),
  });
  bench = await openWorkbench(server, 'live');
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
  network?.dispose();
});

/** Rows of a view of the side bar that are on the screen, as a screen reader has them. */
async function rowsOf(view: string): Promise<string[]> {
  const pane = bench.page.locator('.sidebar .pane').filter({ hasText: view });
  const rows = pane.locator('.tree-explorer-viewlet-tree-view .monaco-list-row');
  return (await rows.allInnerTexts()).map((row) => row.replace(/\s+/g, ' ').trim());
}
const header = (view: string) => bench.page.locator(`.sidebar .pane-header[aria-label^="${view}"]`).first();

test('while programs are attached the views say what can be done', async () => {
  await bench.open(FILE);
  await until(async () => (await lensesOf(bench)).some((title) => /accepted/.test(title)), 'the verdict');
  await bench.page.keyboard.press('F5');
  await until(async () => network.far.xdpProgram() !== undefined, 'the program on the interface');
  await bench.api((vscode) => vscode.commands.executeCommand('workbench.view.debug'));
  await header('Snapshots').waitFor();
  for (const pane of ['Watch', 'Breakpoints', 'Call Stack']) await foldPane(bench, pane);
  for (const pane of ['Snapshots', 'Recorded Runs'])
    if ((await header(pane).getAttribute('aria-expanded')) === 'false') await header(pane).click();
  await bench.page
    .locator('.sidebar .welcome-view-content')
    .filter({ hasText: 'Set a breakpoint' })
    .first()
    .waitFor();
  await bench.page
    .locator('.sidebar .welcome-view-content')
    .filter({ hasText: 'flight recorder' })
    .first()
    .waitFor();
  await bench.screenshot('welcome');
});

test('each hit of a breakpoint is a snapshot that can be opened', async () => {
  await bench.api(async (vscode, line) => {
    const uri = vscode.window.visibleTextEditors.find(({ document }) => document.uri.scheme === 'file')!
      .document.uri;
    const place = new vscode.Location(uri, new vscode.Position(line - 1, 0));
    vscode.debug.addBreakpoints([new vscode.SourceBreakpoint(place)]);
  }, lineOf('#LENGTH'));
  // The breakpoint is in the program when the first packet is seen by it.
  await until(async () => {
    network.send(1, 20);
    return (await rowsOf('Snapshots')).length > 0;
  }, 'a snapshot');
  network.send(3, 200);
  await until(
    async () => (await rowsOf('Snapshots')).some((row) => row.includes(`length = ${200 + HEADERS}`)),
    'the snapshot of a larger packet',
  );
  await bench.screenshot('snapshots');
  await bench.page
    .locator('.sidebar .monaco-list-row')
    .filter({ hasText: `length = ${200 + HEADERS}` })
    .first()
    .click();
  await until(
    async () =>
      (await variableRows(bench)).some((row) => new RegExp(`^length\\W+${200 + HEADERS}`).test(row)),
    'its variables',
  );
  expect(await header('Snapshots').innerText()).toMatch(/\d+ hits/);
  await bench.screenshot('snapshot-opened');
});

test('the flight recorder keeps runs, stops at the one that is looked for, and opens it', async () => {
  await bench.api((vscode) => {
    // It ends when the question is answered.
    void vscode.commands.executeCommand('bpf.recordUntil');
  });
  const input = bench.page.locator('.quick-input-widget input.input');
  await input.waitFor();
  await input.fill('returned == XDP_DROP');
  await bench.page.keyboard.press('Enter');
  await until(
    async () => /until returned == XDP_DROP/.test(await header('Recorded Runs').innerText()),
    'the recorder',
  );
  network.send(3, 20);
  await until(async () => (await rowsOf('Recorded Runs')).some((row) => /XDP_PASS/.test(row)), 'runs');
  await bench.screenshot('recording');
  network.send(1, 200);
  const drop = bench.page.locator('.sidebar .monaco-list-row').filter({ hasText: 'XDP_DROP' }).first();
  await drop.waitFor();
  await bench.screenshot('stopped');
  await drop.click();
  await until(
    () =>
      bench.api(async (vscode) => {
        const session = vscode.debug.activeDebugSession!;
        const { threads } = (await session.customRequest('threads')) as { threads: { id: number }[] };
        const { stackFrames } = (await session.customRequest('stackTrace', { threadId: threads[0]!.id })) as {
          stackFrames: { name: string }[];
        };
        return /XDP_DROP/.test(stackFrames[0]?.name ?? '');
      }),
    'the run to open at its end',
  );
  await bench.screenshot('run-opened');
});
