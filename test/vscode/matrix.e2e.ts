/** Verify on Kernels: from the pick to the table, a cell's log, and 7.3's own report; the buffer is what is verified. */
import os from 'node:os';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { findKernels } from '../../kernel/targets/vm/kernels';
import { startServer, type EditorServer } from './harness/server';
import { diagnosticsOf, replaceText } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

/** A VM boots in some 5 s on an idle machine; two emulated beside an editor may take many times that. */
const BOOT = 150_000;
const usable = findKernels().filter((kernel) => kernel.usable.ok);
const old = usable.find(({ release }) => release.startsWith('5.10.'));
const recent = usable.find(({ release }) => release.startsWith('7.3.'));
const NO_KERNELS = 'node scripts/kernels.mjs 5.10 7.3 fetches the kernels that this needs';

const FILE = 'kernels.bpf.c';
const source = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static long each(__u32 index, void *context)
{
	return 0;
}

SEC("xdp")
int looping(struct xdp_md *ctx)
{
	bpf_loop(4, each, 0, 0);
	return XDP_PASS;
}

SEC("xdp")
int counting(struct xdp_md *ctx)
{
	__u32 key = 1;
	__u64 *count = bpf_map_lookup_elem(&counts, &key);
	if (count)
		*count += 1;
	return XDP_PASS;
}
`;

let server: EditorServer;
let bench: Workbench;
beforeAll(async () => {
  server = await startServer({ [FILE]: source });
  bench = await openWorkbench(server, 'matrix');
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
});

const page = () => bench.page.frameLocator('iframe.webview.ready').frameLocator('#active-frame');

test(
  'the table has a row a program, a column a kernel, and says what is missing',
  { timeout: BOOT },
  async ({ skip }) => {
    skip(!old || !recent, NO_KERNELS);
    await bench.open(FILE);
    // Nothing is saved: what the editor shows is what is verified.
    await replaceText(bench, 'if (count)\n\t\t', '');
    await until(async () => (await diagnosticsOf(bench, FILE)).length > 0, 'the verdict on the edited text');
    await bench.command('BPF: Verify on Kernels');
    const rows = bench.page.locator('.quick-input-list .monaco-list-row');
    await bench.page.locator('.quick-input-title').filter({ hasText: 'Kernels to verify' }).waitFor();
    await rows.first().waitFor();
    await bench.screenshot('pick');
    for (const row of await bench.pickRows()) {
      const wanted = [old!.release, recent!.release].some((release) => row.includes(release));
      // All are chosen at first; a click on a row takes its choice back.
      if (!wanted)
        await rows
          .filter({ hasText: row.split('\n')[0]! })
          .first()
          .click();
    }
    await bench.page.keyboard.press('Enter');
    await page().locator('table').waitFor({ timeout: BOOT });
    const heads = await page().locator('thead th').allInnerTexts();
    expect(heads.slice(1)).toEqual([old!.release, recent!.release]);
    const lines = await page().locator('tbody tr').allInnerTexts();
    const row = (name: string) => lines.find((line) => line.includes(name))!.replace(/\s+/g, ' ');
    expect(row('looping')).toMatch(/✗ no bpf_loop ✓ \d+ insns/);
    expect(row('counting')).toMatch(/✗ rejected ✗ rejected/);
    const missing = (await page().locator('ul').first().innerText()).replace(/\s+/g, ' ');
    expect(missing).toContain(`helper bpf_loop: not in ${old!.release}; first seen in ${recent!.release}`);
    await bench.screenshot('table');
  },
);

test('a cell opens what that kernel said', async ({ skip }) => {
  skip(!old || !recent, NO_KERNELS);
  await page().locator(`button[data-program="counting"][data-release="${old!.release}"]`).click();
  const text = await until(
    () =>
      bench.api((vscode) =>
        vscode.workspace.textDocuments.find(({ uri }) => uri.scheme === 'bpf-matrix')?.getText(),
      ),
    'the log of that kernel',
  );
  expect(text).toContain(`Linux ${old!.release}: counting (SEC("xdp")) rejected`);
  expect(text).toContain("invalid mem access 'map_value_or_null'");
  await bench.screenshot('cell');
});

test("7.3's own report opens beside the finding of an older kernel", { timeout: BOOT }, async ({ skip }) => {
  skip(!recent || /^([89]|7\.([3-9]|\d\d))/.test(os.release()), NO_KERNELS);
  await bench.open(FILE);
  const titles = await bench.api(async (vscode) => {
    const { document } = vscode.window.activeTextEditor!;
    const [finding] = vscode.languages.getDiagnostics(document.uri);
    const actions = await vscode.commands.executeCommand<
      { title: string; command?: { command: string; arguments: unknown[] } }[]
    >('vscode.executeCodeActionProvider', document.uri, finding!.range);
    const action = actions.find(({ command }) => command?.command === 'bpf.secondOpinion');
    if (action) void vscode.commands.executeCommand(action.command!.command, ...action.command!.arguments);
    return actions.map(({ title }) => title);
  });
  expect(titles).toContain("Show Linux 7.3's own report on counting");
  const text = await until(
    () =>
      bench.api((vscode) =>
        vscode.workspace.textDocuments.find(({ uri }) => uri.scheme === 'bpf-opinion')?.getText(),
      ),
    "7.3's report",
    BOOT,
  );
  expect(text).toMatch(/Verification failed: [^]*Reason:[^]*Suggestion:/);
  expect(text).toContain(`BPF Studio, from the log of Linux ${os.release()}:`);
  await bench.screenshot('second-opinion');
});
