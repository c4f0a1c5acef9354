/**
 * The debugger as somebody meets it: F5 on an XDP program, through its run and back, its variables, packet and maps at
 * two moments, breakpoints that ask, what ran, another packet, and the run kept in a file.
 */
import { afterAll, afterEach, beforeAll, test } from 'vitest';
import { startServer, type EditorServer } from './harness/server';
import { expandVariable, lensesOf, variableRows } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const FILE = 'guard.bpf.c';
const SOURCE = `// Drops packets to a guarded port and counts those of each source.
#include "vmlinux.h"
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ETH_P_IP 0x0800

struct source {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, struct source);
} sources SEC(".maps");

__u32 guarded = 80;

static __noinline int count(__be32 address, __u64 bytes)
{
	struct source *source = bpf_map_lookup_elem(&sources, &address); // #LOOKUP
	if (!source) {
		struct source fresh = { .packets = 1, .bytes = bytes };
		bpf_map_update_elem(&sources, &address, &fresh, BPF_ANY); // #UPDATE
		return 1; // #NEW
	}
	source->packets += 1; // #COUNT
	source->bytes += bytes;
	return 0;
}

SEC("xdp")
int guard(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + sizeof(*eth);
	struct tcphdr *tcp = (void *)(ip + 1);

	if ((void *)(tcp + 1) > end)
		return XDP_PASS; // #SHORT
	if (eth->h_proto != bpf_htons(ETH_P_IP)) // #TYPE
		return XDP_PASS;
	int first = count(ip->saddr, end - data); // #CALL
	__u16 port = bpf_ntohs(tcp->dest); // #PORT
	ip->ttl -= 1; // #TTL
	if (port == guarded) // #GUARD
		return XDP_DROP; // #DROP
	return first ? XDP_TX : XDP_PASS; // #VERDICT
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
`;
const lineOf = (marker: string): number => SOURCE.split('\n').findIndex((line) => line.includes(marker)) + 1;

let server: EditorServer;
let bench: Workbench;

beforeAll(async () => {
  server = await startServer({ [FILE]: SOURCE });
  bench = await openWorkbench(server, 'debugger');
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
});

/** Where the debugger rests; undefined while it does not. */
function rest(): Promise<{ line: number; name: string } | undefined> {
  return bench.api(async (vscode) => {
    const session = vscode.debug.activeDebugSession;
    if (!session) return undefined;
    try {
      const { stackFrames } = (await session.customRequest('stackTrace', { threadId: 1 })) as {
        stackFrames: { line: number; name: string }[];
      };
      return stackFrames[0] && { line: stackFrames[0].line, name: stackFrames[0].name };
    } catch {
      // The session is being started, or its run is under way.
      return undefined;
    }
  });
}
const restsAt = (marker: string): Promise<unknown> =>
  until(async () => (await rest())?.line === lineOf(marker), `the stop at ${marker}`);
const restsAtEnd = (): Promise<unknown> =>
  until(async () => / = XDP_/.test((await rest())?.name ?? ''), 'the end of the run');
const button = (name: string): Promise<void> =>
  bench.page.locator(`.debug-toolbar .action-label[aria-label^="${name}"]`).first().click();
/** Puts the cursor into a line of the source, in sight. */
function goTo(marker: string, text = ''): Promise<unknown> {
  return bench.api(
    async (vscode, { line, word }) => {
      const editor = vscode.window.visibleTextEditors.find(({ document }) => document.uri.scheme === 'file')!;
      await vscode.window.showTextDocument(editor.document, editor.viewColumn);
      const column = Math.max(0, editor.document.lineAt(line - 1).text.indexOf(word));
      const position = new vscode.Position(line - 1, column + (word === '' ? 0 : 1));
      editor.selection = new vscode.Selection(position, position);
      editor.revealRange(
        new vscode.Range(position, position),
        vscode.TextEditorRevealType.InCenterIfOutsideViewport,
      );
    },
    { line: lineOf(marker), word: text },
  );
}
const scope = (name: string) =>
  bench.page.locator('.debug-variables .monaco-list-row[aria-level="1"]').filter({ hasText: name }).first();
async function fold(name: string, wanted: 'open' | 'closed'): Promise<void> {
  const row = scope(name);
  await row.waitFor();
  const isOpen = (await row.getAttribute('aria-expanded')) === 'true';
  if (isOpen !== (wanted === 'open')) await row.locator('.monaco-tl-twistie').click();
  await until(
    async () => ((await row.getAttribute('aria-expanded')) === 'true') === (wanted === 'open'),
    `${name} to be ${wanted}`,
  );
}
/** Shows one scope of the Variables view and folds the others, so that its rows are in sight. */
async function look(name: string): Promise<void> {
  await scope(name).waitFor();
  for (const other of ['Locals', 'Registers', 'Packet', 'Maps', 'Globals', 'Context', 'Calls', 'Stack'])
    if (other !== name && (await scope(other).count()) > 0) await fold(other, 'closed');
  await fold(name, 'open');
}
const sees = (pattern: RegExp): Promise<unknown> =>
  until(async () => (await variableRows(bench)).find((row) => pattern.test(row)), `a row ${pattern}`);

test('F5 on an XDP program, with a packet of its own when nobody described one, stops at a breakpoint', async () => {
  await bench.open(FILE);
  await until(async () => (await lensesOf(bench)).some((title) => /accepted/.test(title)), 'the verdict');
  await goTo('#CALL');
  await bench.page.keyboard.press('F9');
  await bench.page.keyboard.press('F5');
  await restsAt('#CALL');
  await look('Locals');
  await sees(/^data/);
  await bench.screenshot('breakpoint');
});

test('a packet layer and a map at two moments: before the program has changed them, and after', async () => {
  await look('Packet');
  await expandVariable(bench, /^ipv4/);
  await sees(/^ttl\W+64/);
  await bench.screenshot('packet-before');
  await look('Maps');
  await sees(/^sources.*0 entries/);
  await goTo('#GUARD');
  await bench.page.keyboard.press('F9');
  await bench.page.keyboard.press('F5');
  await restsAt('#GUARD');
  await look('Maps');
  await sees(/^sources.*1 entry/);
  await look('Packet');
  await expandVariable(bench, /^ipv4/);
  await sees(/^ttl\W+63/);
  await bench.screenshot('packet-after');
});

test('steps back, into the function that was called and out of it', async () => {
  await button('Reverse');
  await restsAt('#CALL');
  await until(async () => {
    await bench.page.keyboard.press('F11');
    return (await rest())?.name === 'count';
  }, 'the way into count()');
  await until(async () => {
    await bench.page.keyboard.press('F10');
    return (await rest())?.line === lineOf('#NEW') || (await rest())?.line === lineOf('#UPDATE');
  }, 'the way through it');
  await look('Locals');
  await sees(/^address/);
  await bench.screenshot('callee');
  await button('Step Back');
  await until(async () => ((await rest())?.line ?? 99) < lineOf('#UPDATE'), 'the line before');
  await bench.screenshot('back');
});

test('the packet is changed, and the program runs on it anew', async () => {
  await bench.page.keyboard.press('F5');
  await restsAt('#GUARD');
  await look('Packet');
  await bench.screenshot('set-value');
});

test('coverage marks the lines that ran and those that did not', async () => {
  await bench.page.keyboard.press('F5');
  await restsAtEnd();
  await bench.command('BPF: Show Coverage');
  await bench.page.locator('.statusbar-item').filter({ hasText: 'lines ran' }).first().waitFor();
  await bench.screenshot('coverage');
  await goTo('#GUARD', 'port');
  await bench.command('Show or Focus Hover');
  const hover = bench.page.locator('.monaco-hover').filter({ hasText: 'Ran once in one run.' }).first();
  await hover.waitFor();
  await bench.screenshot('coverage-hover');
  await bench.page.keyboard.press('Escape');
});
