/** BPF: Attach Program from the palette: several programs together, each asked for what its SEC() leaves open. */
import path from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { createNetworkPair, type NetworkPair } from '../support/network';
import { startServer, type EditorServer } from './harness/server';
import { consoleText, expandVariable, lensesOf, variableRows } from './harness/steps';
import { openWorkbench, until, type Workbench } from './harness/workbench';

const source = `#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

__u64 packets;
__u64 samples;

SEC("xdp")
int on_packet(struct xdp_md *ctx)
{
	__sync_fetch_and_add(&packets, 1);
	return XDP_PASS;
}

SEC("perf_event")
int on_sample(struct bpf_perf_event_data *ctx)
{
	__sync_fetch_and_add(&samples, 1);
	return 0;
}
`;

let server: EditorServer;
let bench: Workbench;
let network: NetworkPair;

beforeAll(async () => {
  network = createNetworkPair();
  server = await startServer({ 'hooks.bpf.c': source });
  bench = await openWorkbench(server, 'attach');
});
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') await bench?.screenshot('FAILED');
});
afterAll(async () => {
  await bench?.close();
  await server?.stop();
  network?.dispose();
});

/** Waits for the quick pick of this title, and answers with its rows. */
async function rowsOf(title: string): Promise<string> {
  await until(async () => {
    const shown = bench.page.locator('.quick-input-title');
    return (await shown.count()) > 0 && (await shown.first().innerText()) === title;
  }, `the question "${title}"`);
  return (await bench.pickRows()).join('\n');
}

test('asks for the interface, in the network namespace that is wanted, and for the event', async () => {
  await bench.open('hooks.bpf.c');
  await until(
    async () => (await lensesOf(bench)).filter((title) => title.includes('accepted')).length === 2,
    'both verdicts',
  );
  await bench.command('BPF: Attach Program');
  expect(await rowsOf('Programs to attach')).toMatch(/on_packet.*\n.*on_sample/);
  await bench.screenshot('programs');
  await bench.page.locator('.quick-input-widget .monaco-button').filter({ hasText: 'OK' }).first().click();

  expect(await rowsOf('Interface for on_packet')).toMatch(/^loloopback/m);
  await bench.screenshot('interfaces');
  await bench.pick('In another network namespace');
  await rowsOf('Network namespace for on_packet');
  await bench.pick(path.basename(network.far.netns));
  await until(
    async () => (await rowsOf('Interface for on_packet')).includes(network.far.interface),
    'the interfaces of the other namespace',
  );
  await bench.pick(network.far.interface);

  expect(await rowsOf('Event for on_sample')).toContain('CPU clock');
  await bench.screenshot('events');
  await bench.pick('CPU clock, 99 times a second');
  await until(async () => /on_sample: perf event/.test(await consoleText(bench)), 'both to be attached');
  expect(await consoleText(bench)).toMatch(/on_packet: xdp on veth0/);
});

test('both count, and Detach takes both away', async () => {
  network.send(5, 100);
  await bench.page.keyboard.press('Control+Shift+D');
  await expandVariable(bench, /^Globals/);
  const count = async (name: string) =>
    Number((await variableRows(bench)).find((row) => row.startsWith(`${name} = `))?.split(' = ')[1] ?? 0);
  await until(async () => (await count('packets')) >= 5 && (await count('samples')) > 0, 'both counters');
  await bench.screenshot('both-attached');
  await bench.command('BPF: Detach');
  await until(
    () => bench.api((vscode) => vscode.debug.activeDebugSession === undefined),
    'the session to end',
  );
  await until(async () => network.far.xdpProgram() === undefined, 'the program to leave the interface');
});

test('an interface that does not exist is named, with the command that lists those that do', async () => {
  await bench.api(
    (vscode, program) => {
      const spec = { hook: 'xdp', interface: 'bpfs-none' };
      const attach = [{ entry: 'on_packet', spec }];
      void vscode.debug.startDebugging(undefined, {
        ...{ type: 'bpf', request: 'attach', name: 'Nowhere' },
        ...{ program, attach },
      });
    },
    path.join(server.workspace, 'hooks.bpf.c'),
  );
  const dialog = bench.page.locator('.monaco-dialog-box');
  await dialog.waitFor();
  expect(await dialog.innerText()).toMatch(/no interface named bpfs-none.*ip link/s);
  await bench.screenshot('no-interface');
  await bench.page.keyboard.press('Escape');
});
