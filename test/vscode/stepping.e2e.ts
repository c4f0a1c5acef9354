/** Going through a recorded run in the editor: breakpoint, step, step back, values at two moments. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, test } from 'vitest';
import { startServer, type EditorServer } from './harness/server';
import { expandVariable, lensesOf, variableRows } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const source = readFileSync(path.resolve(import.meta.dirname, '../fixtures/debug/steps.bpf.c'), 'utf8');
const lineOf = (marker: string): number => source.split('\n').findIndex((line) => line.includes(marker)) + 1;
const packet = '01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10';

let server: EditorServer;
let bench: Workbench;

beforeAll(async () => {
  const launch = {
    version: '0.2.0',
    configurations: [
      {
        type: 'bpf',
        request: 'launch',
        name: 'Steps',
        program: '${workspaceFolder}/steps.bpf.c',
        entry: 'steps',
        packet,
      },
    ],
  };
  server = await startServer({
    'steps.bpf.c': source,
    '.vscode/launch.json': JSON.stringify(launch, undefined, 2),
  });
  bench = await openWorkbench(server, 'stepping');
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
});

/** Line that the debugger rests at; undefined while it does not. */
function stoppedLine(): Promise<number | undefined> {
  return bench.api(async (vscode) => {
    const session = vscode.debug.activeDebugSession;
    if (!session) return undefined;
    try {
      const { stackFrames } = (await session.customRequest('stackTrace', { threadId: 1 })) as {
        stackFrames: { line: number }[];
      };
      return stackFrames[0]?.line;
    } catch {
      // The session is being started.
      return undefined;
    }
  });
}
/** Presses a button of the debug toolbar. */
const button = (name: string): Promise<void> =>
  bench.page.locator(`.debug-toolbar .action-label[aria-label^="${name}"]`).first().click();
/** The Variables view with its maps in sight: each stop opens the locals anew, which take all the room there is. */
async function mapRows(): Promise<string[]> {
  const row = (name: string) =>
    bench.page.locator('.debug-variables .monaco-list-row').filter({ hasText: name }).first();
  for (const [name, isOpen] of [
    ['Locals', 'true'],
    ['Maps', 'false'],
  ] as const) {
    const one = row(name);
    if ((await one.count()) > 0 && (await one.getAttribute('aria-expanded')) === isOpen)
      await one.locator('.monaco-tl-twistie').click();
  }
  return variableRows(bench);
}
const restsAt = (marker: string): Promise<unknown> =>
  until(async () => (await stoppedLine()) === lineOf(marker), `the stop at ${marker}`);

test('F5 stops at a breakpoint of the run that was recorded', async () => {
  await bench.open('steps.bpf.c');
  await until(async () => (await lensesOf(bench)).some((title) => /accepted/.test(title)), 'the verdict');
  await bench.api((vscode, line) => {
    const uri = vscode.window.activeTextEditor!.document.uri;
    const place = new vscode.Location(uri, new vscode.Position(line - 1, 0));
    vscode.debug.addBreakpoints([new vscode.SourceBreakpoint(place)]);
    return Promise.resolve();
  }, lineOf('#LOOP'));
  await bench.page.keyboard.press('F5');
  await restsAt('#LOOP');
  await expandVariable(bench, 'Locals');
  await expandVariable(bench, /^sum/);
  await until(
    async () => (await variableRows(bench)).some((row) => /value\W+0/.test(row)),
    'the local before the loop',
  );
  await bench.screenshot('breakpoint');
});

test('steps into the callback, and back over the loop that has run', async () => {
  await until(async () => {
    await bench.page.keyboard.press('F11');
    return (await stoppedLine()) === lineOf('#CALLBACK');
  }, 'the callback');
  await bench.screenshot('callback');
  await button('Step Out');
  await until(async () => ((await stoppedLine()) ?? 0) >= lineOf('#LOOP'), 'the way out');
  await button('Reverse');
  await restsAt('#LOOP');
  await button('Step Back');
  await until(async () => (await stoppedLine()) !== lineOf('#LOOP'), 'the line before');
  await bench.screenshot('back');
});

test('maps are what they were: empty before the update, with an entry after it', async () => {
  await button('Reverse');
  await until(async () => ((await stoppedLine()) ?? 99) < lineOf('#LOOKUP'), 'the beginning');
  await until(
    async () => (await mapRows()).some((row) => /lengths.*0 entries/s.test(row)),
    'the map before the run',
  );
  await bench.screenshot('beginning');
  await bench.page.keyboard.press('F5');
  await restsAt('#LOOP');
  await until(
    async () => (await mapRows()).some((row) => /lengths.*1 entry/s.test(row)),
    'the map after the update',
  );
  await bench.screenshot('updated');
});
