/** What programs tell while they run: bpf_printk, ring buffers, perf events. */
import { afterEach, expect, it } from 'vitest';
import { DapClient, fixture, objectOf } from './client';
import { sharedTarget } from './target';

const target = sharedTarget();
let client: DapClient | undefined;
afterEach(() => client?.close());

const program = () => objectOf('events.bpf.c');
const start = async (extra: object = {}) => {
  client = await DapClient.started('launch', { ...target.configuration, program: program(), ...extra });
  return client;
};

it('records are decoded where their type is certain, and shown as bytes where not', async () => {
  const { console } = await start();
  expect(console).toMatch(/^events: struct event \{length = 60, verdict = DROPPED \(1\), name = "ring"\}$/m);
  expect(console).toMatch(
    /^samples CPU \d+: struct event \{length = 61, verdict = PASSED \(0\), name = "perf"\}$/m,
  );
  expect(console).toMatch(/^raw: 3 bytes\n {2}0000 {2}01 02 03/m);
});

it("bpf_printk lines come in order, as the program's own", async () => {
  const { console } = await start();
  expect(console).toMatch(/^bpf_printk: first 60\nbpf_printk: second$/m);
});

it('a type that only local variables use is found through the source, not in an object', async () => {
  const { console } = await start({ program: fixture('local_event.bpf.c') });
  expect(console).toMatch(/^events: struct seen \{length = 60, who = "local"\}$/m);
  await client!.close();
  const fromObject = await start({ program: objectOf('local_event.bpf.c') });
  expect(fromObject.console).toMatch(/^events: 16 bytes\n {2}0000 {2}3c 00 00 00 6c 6f 63 61/m);
});

it('each run has its own records', async () => {
  const dap = await start();
  const seen = dap.events.length;
  await dap.request('continue', { threadId: 1 });
  await dap.event('stopped', undefined, seen);
  expect(dap.console.match(/^events: struct event/gm)).toHaveLength(2);
  expect(dap.console.match(/^bpf_printk: second$/gm)).toHaveLength(2);
});

it('a configuration may say what a map carries', async () => {
  const { console } = await start({ events: { raw: 'struct event' } });
  // Three bytes are no struct event, whatever the configuration says.
  expect(console).toMatch(/^raw: 3 bytes$/m);
  client = await DapClient.initialized();
  await expect(
    client.request('launch', { ...target.configuration, program: program(), events: { raw: 'struct nope' } }),
  ).rejects.toThrow(/"events\.raw": the object's BTF has no type "struct nope"/);
  await expect(
    client.request('launch', {
      ...target.configuration,
      program: program(),
      events: { nope: 'struct event' },
    }),
  ).rejects.toThrow(/"events\.nope": the object has no map of this name/);
});
