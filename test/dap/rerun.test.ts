/** Changing what a run was given while going through it: the run is done again, and rests at the same place. */
import { afterEach, describe, expect, it } from 'vitest';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { DapClient, fixture, markedLine } from './client';
import { sharedTarget } from './target';

const target = sharedTarget();
const program = fixture('expressions.bpf.c');
const packet = [
  { type: 'ethernet', source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' },
  { type: 'ipv4', source: '10.0.0.7', destination: '10.0.0.9', ttl: 64 },
  { type: 'udp', sourcePort: 4660, destinationPort: 53 },
  { type: 'payload', text: 'hello' },
];

let dap: DapClient;
afterEach(() => dap.close());

async function stoppedAt(...markers: string[]): Promise<void> {
  dap = await DapClient.initialized();
  const launched = dap.request('launch', { ...target.configuration, program, packet });
  await dap.request('setBreakpoints', {
    source: { path: program },
    breakpoints: markers.map((marker) => ({ line: markedLine('expressions.bpf.c', marker) })),
  });
  await dap.request('configurationDone');
  await launched;
  await dap.event('stopped');
}

async function frame(): Promise<DebugProtocol.StackFrame> {
  const { stackFrames } = await dap.request<DebugProtocol.StackTraceResponse['body']>('stackTrace', {
    threadId: 1,
  });
  return stackFrames[0]!;
}

async function value(expression: string): Promise<string> {
  const { id: frameId } = await frame();
  return (await dap.request<{ result: string }>('evaluate', { expression, frameId })).result;
}

/** Sets the row at the end of the names, and waits for the stop that follows. */
async function set(to: string, scope: string, ...names: string[]): Promise<string> {
  const name = names.at(-1)!;
  const above = names.slice(0, -1);
  const variablesReference =
    above.length === 0 ? await dap.scope(scope) : (await dap.row(scope, ...above)).variablesReference;
  await dap.variables(variablesReference);
  return change('setVariable', { variablesReference, name, value: to });
}

async function change(command: string, args: object): Promise<string> {
  const seen = dap.events.length;
  await dap.request(command, args);
  const stopped = await dap.event('stopped', undefined, seen);
  return String(stopped.description);
}

describe('a run with another input', () => {
  it('is done again with a field of the packet, and rests on the same line', async () => {
    await stoppedAt('#VERDICT');
    expect(await value('ip->ttl')).toBe('63');
    // The program has written this byte; it is not what the run was given.
    await expect(set('20', 'Packet', 'ipv4', 'ttl')).rejects.toThrow(
      /has written these bytes before this step/,
    );
    expect(await set('10.1.2.3', 'Packet', 'ipv4', 'source')).toBe('Run again with ipv4.source changed');
    expect((await frame()).line).toBe(markedLine('expressions.bpf.c', '#VERDICT'));
    expect(await value('ip->saddr == ipv4("10.1.2.3")')).toBe('1');
    // From the maps that the run before began with: one flow, not two.
    expect((await dap.row('Maps', 'flows')).value).toMatch(/^hash, 1 entry/);
    expect((await dap.row('Packet', 'ipv4', 'source')).value).toBe('10.1.2.3');
  });

  it('takes numbers, addresses and bytes, and says what is none', async () => {
    await stoppedAt('#UPDATE');
    await set('02:00:00:00:00:aa', 'Packet', 'ethernet', 'source');
    expect(await value('eth->h_source[5] == 0xaa')).toBe('1');
    await set('0x35', 'Packet', 'udp', 'sourcePort');
    expect(await value('bpf_ntohs(udp->source)')).toBe('53');
    const row = (await dap.row('Packet', 'bytes', '0000')).value;
    await set(row.replace(/^02/, '06'), 'Packet', 'bytes', '0000');
    expect(await value('eth->h_dest[0]')).toBe('6');
    await expect(set('70000', 'Packet', 'udp', 'sourcePort')).rejects.toThrow(
      /not a number of 16 bits.*65535/,
    );
    await expect(set('10.0.0', 'Packet', 'ipv4', 'source')).rejects.toThrow(
      /not a value of source.*10\.0\.0\.7/,
    );
    await expect(set('6', 'Packet', 'ipv4', 'headerLength')).rejects.toThrow(/shares its byte|has no row/);
  });

  it('is changed by an expression, in the packet and in globals', async () => {
    await stoppedAt('#CALL');
    const { id: frameId } = await frame();
    const said = await change('setExpression', { expression: 'ip->daddr', value: '10.9.9.9', frameId });
    expect(said).toBe('Run again with ip->daddr changed');
    expect((await dap.row('Packet', 'ipv4', 'destination')).value).toBe('10.9.9.9');
    await change('setExpression', { expression: 'limit', value: '100', frameId: (await frame()).id });
    expect(await value('limit')).toBe('100');
    await change('setExpression', {
      expression: '$packet.ipv4.ttl',
      value: '9',
      frameId: (await frame()).id,
    });
    expect(await value('ip->ttl')).toBe('9');
    await dap.request('next', { threadId: 1 });
    await expect(
      dap.request('setExpression', { expression: 'protocol', value: '1', frameId: (await frame()).id }),
    ).rejects.toThrow(/what the program computed in a run that is over; set what the run was given/);
  });

  it('says so when it does not come to the same place', async () => {
    await stoppedAt('#SEEN');
    const said = await set('0x86dd', 'Packet', 'ethernet', 'etherType');
    expect(said).toMatch(/^Run again with ethernet\.etherType changed\. It does not come to the same place/);
    expect((await frame()).name).toBe('expressions() = XDP_PASS (2)');
  });

  it('is changed at its first step, before the program has asked where the packet is', async () => {
    await stoppedAt('#TTL');
    const seen = dap.events.length;
    await dap.request('reverseContinue', { threadId: 1 });
    await dap.event('stopped', undefined, seen);
    await set('33', 'Packet', 'ipv4', 'ttl');
    expect(await value('$packet.ipv4.ttl')).toBe('33');
    const then = dap.events.length;
    await dap.request('continue', { threadId: 1 });
    await dap.event('stopped', undefined, then);
    expect(await value('ip->ttl')).toBe('33');
  });

  it('refuses what the program has changed already', async () => {
    await stoppedAt('#TTL');
    const { id: frameId } = await frame();
    await expect(dap.request('setExpression', { expression: 'limit', value: '1', frameId })).rejects.toThrow(
      /has changed this before this step\. Go back to the beginning/,
    );
  });

  it('is given another context', async () => {
    await stoppedAt('#UPDATE');
    const rows = await dap.variables(
      (await dap.variables(await dap.scope('Context')))[0]!.variablesReference,
    );
    expect(rows.find(({ name }) => name === 'data')!.value).toMatch(/^→ packet\+0 \(0x[0-9a-f]{16}\)$/);
    expect(rows.find(({ name }) => name === 'data_end')!.value).toMatch(/^→ packet\+47 /);
    expect(rows.find(({ name }) => name === 'rx_queue_index')!.value).toBe('not known at this step');
  });

  it('is changed in the memory view, which knows what it does not know', async () => {
    await stoppedAt('#UPDATE');
    const { memoryReference } = await dap.row('Packet', 'bytes');
    const read = (offset: number, count: number) =>
      dap.request<{ data: string; unreadableBytes?: number }>('readMemory', {
        memoryReference,
        offset,
        count,
      });
    expect(Buffer.from((await read(0, 14)).data, 'base64').toString('hex')).toBe(
      '0200000000020200000000010800',
    );
    expect(await read(40, 100)).toMatchObject({ unreadableBytes: 93 });
    await change('writeMemory', { memoryReference, offset: 6, data: Buffer.from([4]).toString('base64') });
    expect(await value('eth->h_source[0]')).toBe('4');
    await expect(
      dap.request('writeMemory', { ...(await dap.row('Packet', 'bytes')), offset: 47, data: 'AA==' }),
    ).rejects.toThrow(/has 47 bytes/);
  });

  it('shows where pointers lead', async () => {
    await stoppedAt('#SEEN');
    expect((await dap.row('Locals', 'ip')).value).toMatch(/^→ packet\+14 /);
    expect((await dap.row('Locals', 'seen')).value).toMatch(/^→ flows\[.*\] \(/);
    const registers = await dap.variables(await dap.scope('Registers'));
    expect(registers.find(({ name }) => name === 'r10')!.value).toMatch(/^0x[0-9a-f]+$/);
  });
});
