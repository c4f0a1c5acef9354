/**
 * The debugger as somebody meets it: F5 on an XDP program, through its run and back, its variables, packet and maps at
 * two moments, breakpoints that ask, what ran, and another packet.
 */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startServer, type EditorServer } from './harness/server';
import { consoleText, foldPane, lensesOf, variableRows } from './harness/steps';
import { openWorkbench, until, type Locator, type Workbench } from './harness/workbench';

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

interface Rest {
  line: number;
  /** Of the function, with the result at the end of a run. */
  name: string;
  /** Address of the instruction. */
  instructionPointerReference?: string;
}

/** Where the debugger rests and the editor shows it; undefined while it does not, when keys would be lost. */
function rest(): Promise<Rest | undefined> {
  return bench.api(async (vscode) => {
    const session = vscode.debug.activeDebugSession;
    const isShown = vscode.debug.activeStackItem instanceof vscode.DebugStackFrame;
    if (!session || !isShown) return undefined;
    try {
      const { stackFrames } = (await session.customRequest('stackTrace', { threadId: 1 })) as {
        stackFrames: Rest[];
      };
      // The cursor goes to each stop; where it is elsewhere, the editor has not heard of this one.
      const isReached = vscode.window.visibleTextEditors.some(
        ({ document, selection }) =>
          document.uri.scheme === 'file' && selection.active.line + 1 === stackFrames[0]?.line,
      );
      return isReached ? stackFrames[0] : undefined;
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
/**
 * Presses a key that steps until the debugger rests at a wanted place. Each press waits for the step before; one that
 * the editor was too busy to take is made again.
 */
async function stepUntil(key: string, isWanted: (at: Rest) => boolean, what: string): Promise<void> {
  await until(async () => {
    const at = await rest();
    if (!at) return false;
    if (isWanted(at)) return true;
    await bench.page.keyboard.press(key);
    const hasMoved = async () => {
      const now = await rest();
      return (
        now && (now.name !== at.name || now.instructionPointerReference !== at.instructionPointerReference)
      );
    };
    await until(hasMoved, 'the step', 3000).catch(() => undefined);
    return false;
  }, what);
}
const button = (name: string): Promise<void> =>
  bench.page.locator(`.debug-toolbar .action-label[aria-label^="${name}"]`).first().click();
/** Puts the cursor into a line of the source, in sight, and waits until keys that are pressed go there. */
async function goTo(marker: string, text = ''): Promise<void> {
  const line = lineOf(marker);
  await bench.api(
    async (vscode, { at, word }) => {
      const editor = vscode.window.visibleTextEditors.find(({ document }) => document.uri.scheme === 'file')!;
      await vscode.window.showTextDocument(editor.document, editor.viewColumn);
      const column = Math.max(0, editor.document.lineAt(at - 1).text.indexOf(word));
      const position = new vscode.Position(at - 1, column + (word === '' ? 0 : 1));
      editor.selection = new vscode.Selection(position, position);
      const range = new vscode.Range(position, position);
      editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
    },
    { at: line, word: text },
  );
  const cursor = bench.page.locator('.statusbar-item').filter({ hasText: new RegExp(`Ln ${line},`) });
  await cursor.first().waitFor();
  await bench.page.locator('.part.editor .monaco-editor.focused').first().waitFor();
}
/** Types into the field that opens below a line for a breakpoint's condition or message. */
async function typeBelow(command: string, text: string, shot?: string): Promise<void> {
  await bench.command(command);
  await bench.page.locator('.breakpoint-widget .monaco-editor.focused').first().waitFor();
  await bench.page.keyboard.type(text);
  if (shot !== undefined) await bench.screenshot(shot);
  await bench.page.keyboard.press('Enter');
  await bench.page.locator('.breakpoint-widget').waitFor({ state: 'detached' });
}
const scope = (name: string) =>
  bench.page.locator('.debug-variables .monaco-list-row[aria-level="1"]').filter({ hasText: name }).first();
/** Opens a row of the Variables view that is there and closed. */
async function unfold(row: Locator): Promise<void> {
  if ((await row.count()) === 0 || (await row.getAttribute('aria-expanded', { timeout: 2000 })) !== 'false')
    return;
  await row.locator('.monaco-tl-twistie').click({ timeout: 2000 });
}
/**
 * Waits for a row of a scope, in a layer of the packet if one is named. Each stop draws the rows anew, be it in the
 * middle of this, so that it is begun again until all is as wanted.
 */
function see(name: string, pattern: RegExp, layer?: RegExp): Promise<unknown> {
  const isSeen = async () => {
    await unfold(scope(name));
    if (layer) await unfold(variable(layer));
    return (await variableRows(bench)).some((row) => pattern.test(row));
  };
  return until(() => isSeen().catch(() => false), `a row ${pattern} of ${name}`);
}
const removeBreakpoints = (): Promise<void> =>
  bench.api((vscode) => vscode.debug.removeBreakpoints(vscode.debug.breakpoints));
const variable = (pattern: RegExp) =>
  bench.page.locator('.debug-variables .monaco-list-row').filter({ hasText: pattern }).first();
interface AdaptedBreakpoint {
  verified: boolean;
  line?: number;
  message?: string;
}
/** What the adapter has said of the breakpoints. */
function breakpoints(): Promise<AdaptedBreakpoint[]> {
  return bench.api(async (vscode) => {
    const session = vscode.debug.activeDebugSession;
    const all = await Promise.all(
      vscode.debug.breakpoints.map((breakpoint) => session?.getDebugProtocolBreakpoint(breakpoint)),
    );
    return all.flatMap((one) => (one ? [one as AdaptedBreakpoint] : []));
  });
}

test('F5 on an XDP program, with a packet of its own when nobody described one, stops at a breakpoint', async () => {
  await bench.open(FILE);
  await until(async () => (await lensesOf(bench)).some((title) => /accepted/.test(title)), 'the verdict');
  await goTo('#CALL');
  await bench.page.keyboard.press('F9');
  await bench.page.keyboard.press('F5');
  await restsAt('#CALL');
  await bench.screenshot('breakpoint');
  // Leaves the Variables view room for more than ten rows.
  for (const pane of ['Watch', 'Call Stack', 'Breakpoints']) await foldPane(bench, pane);
  await see('Locals', /^data/);
  await bench.screenshot('locals');
});

test('a packet layer and a map at two moments: before the program has changed them, and after', async () => {
  await see('Packet', /^ttl\W+64/, /^ipv4\W+IPv4/);
  await bench.screenshot('packet-before');
  await see('Maps', /^sources.*0 entries/);
  await goTo('#GUARD');
  await bench.page.keyboard.press('F9');
  await bench.page.keyboard.press('F5');
  await restsAt('#GUARD');
  await see('Maps', /^sources.*1 entry/);
  await see('Packet', /^ttl\W+63/, /^ipv4\W+IPv4/);
  await bench.screenshot('packet-after');
});

test('steps back, into the function that was called and out of it', async () => {
  await button('Reverse');
  await restsAt('#CALL');
  await stepUntil('F11', ({ name }) => name === 'count', 'the way into count()');
  const isUpdated = ({ line }: Rest) => line === lineOf('#NEW') || line === lineOf('#UPDATE');
  await stepUntil('F10', isUpdated, 'the way through it');
  await see('Locals', /^address/);
  await bench.screenshot('callee');
  await button('Step Back');
  await until(async () => ((await rest())?.line ?? 99) < lineOf('#UPDATE'), 'the line before');
  await bench.screenshot('back');
});

test('the menu of a variable leads to where it was written last', async () => {
  await bench.page.keyboard.press('F5');
  await restsAt('#GUARD');
  await see('Packet', /^ttl\W+63/, /^ipv4\W+IPv4/);
  await variable(/^ttl\W+63/).click({ button: 'right' });
  const item = bench.page
    .locator('.monaco-menu .action-label')
    .filter({ hasText: 'Go to Last Write' })
    .first();
  await item.waitFor();
  await bench.screenshot('variable-menu');
  await item.click();
  await restsAt('#TTL');
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
  await until(async () => (await rest())?.name === 'count', 'the step of the decision');
  await see('Locals', /^source\W+NULL/);
  await bench.screenshot('decision');
  await foldPane(bench, 'Branch Decisions');
});

test('the packet is changed, and the program runs on it anew, to the same place', async () => {
  await bench.page.keyboard.press('F5');
  await restsAt('#GUARD');
  // The rows are those of this stop, not of the one before, when the packet is as the program has changed it.
  await see('Packet', /^ttl\W+63/, /^ipv4\W+IPv4/);
  await see('Packet', /^destinationPort\W+80/, /^tcp\W+TCP/);
  await variable(/^destinationPort\W+80/).dblclick();
  const input = bench.page.locator('.debug-variables .monaco-inputbox input').first();
  await input.fill('443');
  await bench.screenshot('set-value');
  await input.press('Enter');
  await see('Packet', /^destinationPort\W+443/, /^tcp\W+TCP/);
  await restsAt('#GUARD');
  await bench.screenshot('rerun');
  await bench.page.keyboard.press('F5');
  await restsAtEnd();
  await until(async () => / = XDP_TX/.test((await rest())?.name ?? ''), 'the other verdict');
});

test('coverage marks the lines that ran and those that did not, over two runs', async () => {
  await bench.command('BPF: Show Coverage');
  await bench.page.locator('.statusbar-item').filter({ hasText: 'lines ran' }).first().waitFor();
  await bench.screenshot('coverage');
  await goTo('#GUARD', 'port');
  await bench.command('Show or Focus Hover');
  await bench.page.locator('.monaco-hover').filter({ hasText: 'Reached once in one run.' }).first().waitFor();
  await bench.screenshot('coverage-hover');
  await bench.page.keyboard.press('Escape');
  await bench.command('Debug: Restart');
  await until(async () => (await rest())?.line === lineOf('#CALL'), 'the first breakpoint of the new run');
  await bench.page.locator('.statusbar-item').filter({ hasText: 'lines ran' }).first().hover();
  await bench.page.locator('.monaco-hover').filter({ hasText: 'of 2 runs' }).first().waitFor();
  await bench.screenshot('coverage-two-runs');
  await bench.command('BPF: Clear Coverage');
});

test('a condition and a log message are typed where breakpoints are; a typo is told at once', async () => {
  await removeBreakpoints();
  await goTo('#GUARD');
  await typeBelow('Debug: Add Conditional Breakpoint', 'port ==');
  const problem = await until(async () => {
    const [first] = await breakpoints();
    return first && first.verified === false ? first.message : undefined;
  }, 'the breakpoint to be refused');
  expect(problem).toMatch(/port ==/);
  await bench.screenshot('condition-typo');
  await removeBreakpoints();

  await goTo('#GUARD');
  await typeBelow('Debug: Add Conditional Breakpoint', 'port == 80 && first == 1', 'condition');
  await goTo('#PORT');
  await typeBelow('Debug: Add Logpoint', 'from {ip->saddr}, first {first}');
  await bench.command('Debug: Restart');
  await restsAt('#GUARD');
  await see('Locals', /^first\W+1/);
  await until(async () => /^from .*, first 1/m.test(await consoleText(bench)), 'the log message');
  await bench.screenshot('log-message');
});

test('a breakpoint on a comment goes to the next line with code', async () => {
  await removeBreakpoints();
  await goTo('// Drops packets');
  await bench.page.keyboard.press('F9');
  // Above the first function there is no code but in it.
  await until(async () => (await breakpoints())[0]?.line === lineOf('int count('), 'the breakpoint to move');
  await bench.command('Debug: Restart');
  await restsAt('int count(');
  await see('Locals', /^address/);
  await bench.screenshot('comment');
  const [first] = await breakpoints();
  expect(first).toMatchObject({ verified: true });
});
