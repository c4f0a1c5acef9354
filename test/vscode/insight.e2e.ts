/** From a rejection to its reason, in the editor: the path as a tree, the log, the page, and what the verifier costs. */
import os from 'node:os';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startServer, type EditorServer } from './harness/server';
import { diagnosticsOf, lensesOf, replaceText } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const FILE = 'path.bpf.c';
const SOURCE = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} totals SEC(".maps");

const volatile int debug = 0;
static const int removed = 0;

static __noinline __u64 *find(__u32 *key, int flag)
{
	if (flag > 3)
		return 0;
	return bpf_map_lookup_elem(&totals, key); // #CAUSE
}

SEC("xdp")
int sums(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 sum = 0;

	for (int i = 0; i < 37; i++) {
		sum += bpf_get_prandom_u32();
		if (sum > 1000)
			key++;
	}
	__u64 *total = find(&key, ctx->rx_queue_index);
	if (ctx->ingress_ifindex == 3)
		key += 2;
	*total += sum; // #ERR
	return XDP_PASS;
}

SEC("xdp")
int accepted(struct xdp_md *ctx)
{
	if (debug)
		bpf_printk("debug %d", ctx->rx_queue_index); // #UNREACHED
	if (removed)
		bpf_printk("removed"); // #REMOVED
	return ctx->ingress_ifindex ? XDP_DROP : XDP_PASS; // #REACHED
}

char LICENSE[] SEC("license") = "GPL";
`;
/** Accepted after some 20,000 instructions, each with its states in the log. */
const LONG_FILE = 'long.bpf.c';
const LONG_SOURCE = SOURCE.replace('i < 37', 'i < 3000')
  .replace('\t\tif (sum > 1000)\n\t\t\tkey++;\n', '')
  .replace('*total += sum;', 'if (total)\n\t\t*total += sum;');
const lineOf = (marker: string) => SOURCE.split('\n').findIndex((line) => line.includes(marker));
const VERSION = ` ${/^\d+\.\d+/.exec(os.release())![0]} `;

let server: EditorServer;
let bench: Workbench;

beforeAll(async () => {
  server = await startServer({
    [FILE]: SOURCE,
    [LONG_FILE]: LONG_SOURCE,
    'plain.c': 'int main(void)\n{\n\treturn 0;\n}\n',
  });
  bench = await openWorkbench(server, 'insight');
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
});

const treeRows = () => bench.page.locator('.part.panel .monaco-list-row');
const pathRows = async () => (await treeRows().allInnerTexts()).map((row) => row.replace(/\s+/g, ' ').trim());

async function selectLine(line: number): Promise<void> {
  await bench.api(async (vscode, at) => {
    const editor = vscode.window.visibleTextEditors.find(({ document }) => document.uri.scheme === 'file')!;
    await vscode.window.showTextDocument(editor.document, editor.viewColumn);
    const position = new vscode.Position(at, 1);
    vscode.window.activeTextEditor!.selection = new vscode.Selection(position, position);
    vscode.window.activeTextEditor!.revealRange(new vscode.Range(position, position), 1);
  }, line);
}

/** Selected lines of the visible editors, by scheme. */
const selections = () =>
  bench.api((vscode) =>
    Object.fromEntries(
      vscode.window.visibleTextEditors.map(({ document, selection }) => [
        document.uri.scheme,
        { line: selection.active.line, text: document.lineAt(selection.active.line).text },
      ]),
    ),
  );

test('the lens of a rejected program opens its failing path, at the place where the verifier gave up', async () => {
  await bench.open(FILE);
  await until(
    async () => (await diagnosticsOf(bench, FILE)).some(({ code }) => code === 'bpf/null-deref'),
    'the rejection',
  );
  await until(async () => (await lensesOf(bench)).includes('Failing path'), 'the lens');
  await bench.page.locator('.codelens-decoration a').filter({ hasText: 'Failing path' }).first().click();
  await until(async () => (await pathRows()).some((row) => /may be NULL/.test(row)), 'the tree');
  await until(
    async () => (await selections()).file?.line === lineOf('#ERR'),
    'the place of death to be selected',
  );
  await bench.screenshot('failing-path');
});

test('its keys walk step by step, and each step shows its line', async () => {
  const lines = new Set<number>();
  // Two rows may stand for one line, so the key is pressed until the path's beginning is seen.
  await until(async () => {
    await bench.page.keyboard.press('Alt+ArrowUp');
    lines.add((await selections()).file!.line);
    return lines.has(lineOf('int sums'));
  }, 'the beginning of the path');
  expect([...lines]).toEqual(expect.arrayContaining([lineOf('#CAUSE'), lineOf('sum += bpf')]));
  await bench.screenshot('walk');
  await bench.command('View: Toggle Maximized Panel');
  const rows = await until(async () => {
    const shown = await pathRows();
    return shown.some((row) => /may be NULL/.test(row)) ? shown.join('\n') : undefined;
  }, 'the whole tree');
  expect(rows).toMatch(/for \(int i.*×37/);
  expect(rows).toMatch(/find\(&key/);
  await bench.screenshot('whole-path');
  await bench.command('View: Toggle Maximized Panel');
  await bench.api((vscode) => vscode.commands.executeCommand('workbench.action.positionPanelRight'));
  await bench.screenshot('narrow-panel');
  await bench.api((vscode) => vscode.commands.executeCommand('workbench.action.positionPanelBottom'));
  await bench.command('BPF: Next Step of Failing Path');
});

test('a step leads to its line of the log, and the log to the source', async () => {
  await bench.command('BPF: Show Step in Verifier Log');
  const log = await until(async () => (await selections())['bpf-log'], 'the log');
  expect(log.text).toMatch(/^\d+: \(/);
  const folds = await bench.api(async (vscode) => {
    const { uri } = vscode.workspace.textDocuments.find((one) => one.uri.scheme === 'bpf-log')!;
    const ranges = await vscode.commands.executeCommand<{ start: number; end: number }[]>(
      'vscode.executeFoldingRangeProvider',
      uri,
    );
    const places = await vscode.commands.executeCommand<
      { uri: { path: string }; range: { start: { line: number } } }[]
    >(
      'vscode.executeDefinitionProvider',
      uri,
      new vscode.Position(
        vscode.window.visibleTextEditors.find(({ document }) => document.uri === uri)!.selection.active.line,
        1,
      ),
    );
    return {
      count: ranges.length,
      places: places.map(({ uri: file, range }) => `${file.path}:${range.start.line}`),
    };
  });
  expect(folds.count).toBeGreaterThan(0);
  expect(folds.places).toEqual([expect.stringMatching(new RegExp(`/${FILE}:\\d+$`))]);
  await bench.screenshot('log-of-step');
});

test('from a source line to the log', async () => {
  await selectLine(lineOf('*total += sum'));
  await bench.command('BPF: Go to Verifier Log Line');
  const log = await until(async () => {
    const at = (await selections())['bpf-log'];
    return at && /r0 \+0/.test(at.text) ? at : undefined;
  }, 'the refused instruction to be selected');
  expect(log.text).toMatch(/^\d+: \(79\)/);
  await bench.screenshot('log-line');
  await bench.api(async (vscode) => {
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs);
    await vscode.window.tabGroups.close(tabs.filter((tab) => tab.label.endsWith('.bpflog')));
  });
});

test('the code of the finding opens its page, rendered; the whole log is a related place', async () => {
  const [finding] = await diagnosticsOf(bench, FILE);
  expect(finding!.related.at(-1)).toBe('the verifier’s whole log');
  const refused = await bench.api(async (vscode) => {
    const { document } = vscode.window.visibleTextEditors.find((one) => one.document.uri.scheme === 'file')!;
    const [diagnostic] = vscode.languages.getDiagnostics(document.uri);
    const { location } = diagnostic!.relatedInformation!.at(-1)!;
    const log = await vscode.workspace.openTextDocument(location.uri);
    return `${log.languageId} ${log.lineAt(location.range.start.line).text}`;
  });
  expect(refused).toMatch(/^bpf-log \d+: \(79\) .* \*\(u64 \*\)\(r0 \+0\)/);
  await selectLine(lineOf('*total += sum'));
  await bench.command('Show or Focus Hover');
  const code = bench.page.locator('.monaco-hover a').filter({ hasText: 'bpf/null-deref' }).first();
  await code.waitFor();
  await bench.screenshot('hover');
  await code.click();
  await until(
    () =>
      bench.api((vscode) =>
        vscode.window.tabGroups.all
          .flatMap((group) => group.tabs)
          .map(({ label }) => label)
          .find((label) => label.includes('null-deref')),
      ),
    'the page',
  );
  const page = bench.page.frameLocator('iframe.webview.ready').frameLocator('#active-frame');
  await page.locator('h1').waitFor();
  expect(await page.locator('h1').innerText()).toMatch(/NULL/);
  await bench.screenshot('page');
  await bench.api(async (vscode) => {
    const tabs = vscode.window.tabGroups.all.flatMap((group) => group.tabs);
    await vscode.window.tabGroups.close(tabs.filter((tab) => tab.label.includes('null-deref')));
  });
});

test('quick fixes explain, walk and show the log', async () => {
  await selectLine(lineOf('*total += sum'));
  await bench.api((vscode) => vscode.commands.executeCommand('editor.action.quickFix'));
  const rows = bench.page.locator('.action-widget .monaco-list-row');
  await rows.first().waitFor();
  const titles = (await rows.allInnerTexts()).join('\n');
  expect(titles).toMatch(/Explain bpf\/null-deref/);
  expect(titles).toMatch(/Show failing path of sums/);
  expect(titles).toMatch(/Show verifier log of sums/);
  await bench.screenshot('quick-fixes');
  await bench.page.keyboard.press('Escape');
});

/** What stands behind a line that is on the screen, and how opaque its text is. */
function behindLine(marker: string): Promise<{ text: string; opacity: number } | undefined> {
  return bench.page.evaluate((needle) => {
    // The page's own globals; nothing here is typed for a browser.
    const page = globalThis as unknown as {
      document: { querySelectorAll(selector: string): Iterable<{ innerText: string }> };
      getComputedStyle(element: unknown, pseudo?: string): { content: string; opacity: string };
    };
    const lines = [...page.document.querySelectorAll('.editor-group-container .view-line')];
    const line = lines.find(({ innerText }) => innerText.replaceAll('\u00a0', ' ').includes(needle));
    if (!line) return undefined;
    const spans = [...(line as unknown as typeof page.document).querySelectorAll('span')];
    const texts = spans.map((span) => page.getComputedStyle(span, '::after').content);
    return {
      text: texts
        .filter((text) => text !== 'none')
        .map((text) => text.slice(1, -1))
        .join(''),
      opacity: Math.min(...spans.map((span) => Number(page.getComputedStyle(span).opacity))),
    };
  }, marker);
}

test('the heat map counts visits, greys dead code, and says nothing of code that the compiler removed', async () => {
  await selectLine(lineOf('#UNREACHED'));
  await bench.command('BPF: Toggle Verifier Heat Map');
  const dead = await until(async () => {
    const seen = await behindLine('#UNREACHED');
    return seen?.text ? seen : undefined;
  }, 'the dead line to be marked');
  expect(dead.text).toBe('never reached');
  expect(dead.opacity).toBeLessThan(0.6);
  expect(await behindLine('#REMOVED')).toEqual({ text: '', opacity: 1 });
  const reached = await behindLine('#REACHED');
  expect(reached).toMatchObject({ text: expect.stringMatching(/^\d+$/), opacity: 1 });
  await bench.screenshot('heat-map-dead');
  await selectLine(lineOf('sum += bpf'));
  // 37 rounds, each at least twice on this line.
  await until(async () => Number((await behindLine('sum += bpf'))?.text) >= 74, 'the loop to be counted');
  await bench.screenshot('heat-map');
  await bench.api((vscode) =>
    vscode.workspace.getConfiguration('workbench').update('colorTheme', 'Default Dark Modern', true),
  );
  await bench.page.locator('.monaco-workbench.vs-dark').waitFor();
  await bench.screenshot('heat-map-dark');
});

test('while the text differs from the saved one a lens says what that costs', async () => {
  await bench.open(FILE);
  await replaceText(
    bench,
    'return ctx->ingress_ifindex ?',
    'return ctx->ingress_ifindex + ctx->rx_queue_index > 9 ?',
  );
  const lens = await until(
    async () => (await lensesOf(bench)).find((title) => /since saved/.test(title)),
    'the lens with the difference',
  );
  expect(lens).toMatch(/^\+\d+ insns/);
  await selectLine(lineOf('int accepted'));
  await bench.page.locator('.codelens-decoration').filter({ hasText: 'since saved' }).first().waitFor();
  await bench.screenshot('difference');
  await bench.command('BPF: Toggle Verifier Heat Map');
});

test('a mended program has no failing path any more', async () => {
  await replaceText(bench, '\t*total += sum;', '\tif (!total)\n\t\treturn XDP_PASS;\n\t*total += sum;');
  await until(
    async () =>
      (await lensesOf(bench)).filter((title) => title.includes(VERSION) && /accepted/.test(title)).length ===
      2,
    'both programs to be accepted',
  );
  const panel = bench.page.locator('.part.panel');
  await panel.locator('.message').filter({ hasText: 'The verifier accepts sums now.' }).first().waitFor();
  await until(async () => !(await pathRows()).some((row) => /may be NULL/.test(row)), 'the rows to go');
  await bench.screenshot('mended');
});

test('a log of more than 100,000 lines opens, folds and follows the cursor without making anybody wait', async () => {
  await bench.open(LONG_FILE);
  await until(
    async () => (await lensesOf(bench)).some((title) => /accepted/.test(title) && title.includes(VERSION)),
    'the verdict',
  );
  const line = LONG_SOURCE.split('\n').findIndex((text) => text.includes('sum += bpf'));
  await selectLine(line);
  const started = Date.now();
  await bench.command('BPF: Go to Verifier Log Line');
  await until(async () => /^\d+: \(/.test((await selections())['bpf-log']?.text ?? ''), 'the log');
  const opened = Date.now() - started;
  const seen = await bench.api(async (vscode) => {
    const { document } = vscode.window.visibleTextEditors.find(
      (one) => one.document.uri.scheme === 'bpf-log',
    )!;
    const time = async (command: string, ...more: unknown[]) => {
      const from = Date.now();
      const result = await vscode.commands.executeCommand<unknown[]>(command, document.uri, ...more);
      return { count: result.length, milliseconds: Date.now() - from };
    };
    return {
      lines: document.lineCount,
      folds: await time('vscode.executeFoldingRangeProvider'),
      links: await time('vscode.executeLinkProvider'),
      definition: await time(
        'vscode.executeDefinitionProvider',
        new vscode.Position(document.lineCount >> 1, 0),
      ),
    };
  });
  // What a person feels: the time until the cursor in the source has moved, with the marks of its line in the log.
  const moved = Date.now();
  await bench.page.keyboard.press('ArrowDown');
  await until(async () => (await selections()).file?.line !== line, 'the cursor to move');
  const cursor = Date.now() - moved;
  console.log(
    `log of ${seen.lines} lines: opened in ${opened} ms, cursor ${cursor} ms`,
    JSON.stringify(seen),
  );
  expect(seen.lines).toBeGreaterThan(100_000);
  expect(seen.folds.count).toBeGreaterThan(1000);
  // A second on an idle machine; what made somebody wait took minutes, or never ended.
  expect(cursor).toBeLessThan(15_000);
  await bench.screenshot('long-log');
});

test('nothing of it is seen in a C file that is not BPF', async () => {
  await bench.open('plain.c');
  expect(await lensesOf(bench)).toEqual([]);
  await bench.page.keyboard.press('F1');
  const input = bench.page.locator('.quick-input-widget input.input');
  await input.waitFor();
  await input.fill('>BPF: Go to Verifier');
  await bench.page.locator('.quick-input-list .monaco-list-row').first().waitFor();
  expect((await bench.pickRows()).join('\n')).not.toMatch(/Go to Verifier Log Line/);
  await bench.page.keyboard.press('Escape');
});
