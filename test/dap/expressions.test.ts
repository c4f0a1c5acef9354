/** C expressions at steps of a recorded run, over the adapter as a client uses it. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DapClient, fixture, markedLine } from './client';
import {
  generator,
  INTEGER_TYPES,
  interesting,
  randomExpression,
} from '../../debug-adapter/expressions/testing';
import { sharedTarget } from './target';

const target = sharedTarget();
const program = fixture('expressions.bpf.c');

/** 10.0.0.7:4660 → 10.0.0.9:53 by UDP, 02:…:01 → 02:…:02, ttl 64. */
export const packet = [
  { type: 'ethernet', source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' },
  { type: 'ipv4', source: '10.0.0.7', destination: '10.0.0.9', ttl: 64 },
  { type: 'udp', sourcePort: 4660, destinationPort: 53 },
  { type: 'payload', text: 'hello' },
];

async function stoppedAt(...markers: string[]): Promise<DapClient> {
  const dap = await DapClient.initialized();
  const launched = dap.request('launch', { ...target.configuration, program, packet });
  await dap.request('setBreakpoints', {
    source: { path: program },
    breakpoints: markers.map((marker) => ({ line: markedLine('expressions.bpf.c', marker) })),
  });
  await dap.request('configurationDone');
  await launched;
  await dap.event('stopped');
  return dap;
}

async function value(dap: DapClient, expression: string, frame = 0): Promise<string> {
  const { stackFrames } = await dap.request<{ stackFrames: { id: number }[] }>('stackTrace', { threadId: 1 });
  const frameId = stackFrames[frame]!.id;
  const { result } = await dap.request<{ result: string }>('evaluate', { expression, frameId });
  return result;
}

async function goOn(dap: DapClient, command = 'continue'): Promise<void> {
  const seen = dap.events.length;
  await dap.request(command, { threadId: 1 });
  await dap.event('stopped', undefined, seen);
}

describe('expressions at a step', () => {
  let dap: DapClient;
  beforeAll(async () => {
    dap = await stoppedAt('#SEEN');
  });
  afterAll(() => dap.close());

  it.each([
    // Pointers into the packet, followed.
    ['ip->protocol', '17'],
    ['ip->saddr == ipv4("10.0.0.7")', '1'],
    ['ip->saddr', '117440522 (10.0.0.7)'],
    ['bpf_ntohs(eth->h_proto) == 0x0800', '1'],
    ['eth->h_source == mac("02:00:00:00:00:01")', '1'],
    ['eth->h_dest != mac("02:00:00:00:00:01")', '1'],
    ['ip->ihl * 4', '20'],
    ['((struct ethhdr *)data)->h_dest[5]', '2'],
    ['*(__u8 *)(data + 23)', '17'],
    ['(*ip).ttl', '64'],
    ['(void *)(ip + 1) - data', '34'],
    ['bpf_ntohs(((struct udphdr *)(ip + 1))->dest)', '53'],
    ['(end - data) > 40 && ip->protocol == 17', '1'],
    // Locals on the stack, bit-fields and unnamed unions.
    ['flow.saddr == ip->saddr', '1'],
    ['bpf_ntohs(flow.port)', '4660'],
    ['sizeof flow', '8'],
    ['sizeof(struct seen)', '24'],
    // Map values by pointer and by key.
    ['seen->first + 1', '10'],
    ['seen->flags', '2748'],
    ['seen->delta < 0', '1'],
    ['seen->name == "first"', '1'],
    ["seen->name[0] == 'f'", '1'],
    ['seen->bytes[0]', '4'],
    ['flows[flow].flags', '2748'],
    ['flows[{saddr = 10.0.0.7, port = htons(4660)}].word == 0x01020304', '1'],
    ['protocols[ip->protocol]', '2'],
    ['protocols[17] + protocols[6]', '2'],
    // Globals, enumerators, registers.
    ['limit', '40'],
    ['table[1]', '-1'],
    ['*(table + 2)', '4'],
    ['&table[3] - table', '3'],
    ['*&limit', '40'],
    ['(limit, table[0]) + 1', '4'],
    ['table[1] < 0u', '0'],
    ['limit > XDP_TX ? XDP_DROP : XDP_PASS', '1'],
    ['XDP_DROP', 'XDP_DROP (1)'],
    ['eth->h_proto == bpf_htons(ETH_P_IP)', '1'],
    ['ETH_HLEN + ETH_ALEN', '20'],
    ['UINT_LEAST == 3', '1'],
    ['NESTED', '24'],
    ['$r10 != 0', '1'],
    // The packet by its layers.
    ['$packet.ipv4.source == "10.0.0.7"', '1'],
    ['$packet.udp.destinationPort == 53 && $packet.ipv4.ttl > 60', '1'],
    ['$packet.ethernet.source', '02:00:00:00:00:01'],
  ])('%s is %s', async (expression, expected) => {
    expect(await value(dap, expression)).toBe(expected);
  });

  it.each([
    ['nothing', /There is no variable, map or enumerator "nothing" here\. There are .*ip/],
    ['ip->nothing', /ip has no member nothing\. It has .*ttl/],
    ['flows[{saddr = 10.0.0.8, port = 1}]', /flows has no entry \{saddr/],
    ['flows.packets', /flows is a map; write flows\[KEY\]/],
    ['*limit', /`limit` is no pointer/],
    ['(struct nothing *)data', /The program has no type struct nothing \*/],
    ['limit = 3', /would change a value, and an expression only reads/],
    ['rank(0, 1)', /rank cannot be called: nothing is run/],
    ['$packet.tcp.sourcePort', /The packet has no layer tcp here\. It has \$packet\.ethernet, .*udp/],
    ['$packet.udp.nothing', /has no field nothing\. It has .*sourcePort/],
    ['ip->saddr == 10.0.0.7', /write ipv4\("10\.0\.0\.7"\)/],
    ['eth->h_dest == 02:00:00:00:00:01', /write mac\("02:00:00:00:00:01"\)/],
    ['LOOP', /LOOP is a macro that leads back to itself/],
    ['NO_SUCH_MACRO', /There is no variable, map or enumerator "NO_SUCH_MACRO"/],
  ])('says why %s has no value', async (expression, reason) => {
    await expect(value(dap, expression)).rejects.toThrow(reason);
  });

  it('opens what it shows, and names it so that it can be asked for again', async () => {
    const { stackFrames } = await dap.request<{ stackFrames: { id: number }[] }>('stackTrace', {
      threadId: 1,
    });
    const frameId = stackFrames[0]!.id;
    const asked = await dap.request<{ variablesReference: number }>('evaluate', {
      expression: '(struct ethhdr *)data',
      frameId,
    });
    const [pointee] = await dap.variables(asked.variablesReference);
    const members = await dap.variables(pointee!.variablesReference);
    expect(members.map(({ name }) => name)).toEqual(['h_dest', 'h_source', 'h_proto']);
    for (const { evaluateName, value: shown } of members) expect(await value(dap, evaluateName!)).toBe(shown);
  });

  it('stands beside the code in short, where it is that of a variable', async () => {
    const { stackFrames } = await dap.request<{ stackFrames: { id: number }[] }>('stackTrace', {
      threadId: 1,
    });
    const ask = async (...expressions: string[]) =>
      (
        await dap.request<{ values: (string | null)[] }>('bpf/inlineValues', {
          expressions,
          frameId: stackFrames[0]!.id,
        })
      ).values;
    expect(await ask('ip', 'ip->ttl', 'limit', 'ip')).toEqual([
      expect.stringMatching(/^→ packet\+14( \?)?$/),
      '= 64',
      '= 40',
      expect.stringMatching(/^→ packet\+14( \?)?$/),
    ]);
    expect(await ask('XDP_DROP', 'flows', 'ETH_HLEN', 'nothing', 'ip->nothing', '1 +')).toEqual(
      Array(6).fill(null),
    );
  });

  it('speaks of the frame that is chosen', async () => {
    const other = await stoppedAt('#RANK');
    try {
      // A structure in the caller, a pointer to it here.
      expect(await value(other, 'flow.port == udp->source', 1)).toBe('1');
      expect(await value(other, 'length')).toBe('47');
      expect(await value(other, 'bpf_ntohs(flow->port)')).toBe('4660');
      await expect(value(other, 'length', 1)).rejects.toThrow(/no variable, map or enumerator "length"/);
    } finally {
      await other.close();
    }
  });

  it('is of the step, forward and back', async () => {
    const other = await stoppedAt('#SEEN', '#TTL', '#VERDICT');
    try {
      expect(await value(other, 'flows[flow].packets')).toBe('0');
      await goOn(other);
      expect(await value(other, 'ip->ttl')).toBe('64');
      expect(await value(other, 'flows[{saddr = 10.0.0.7, port = htons(4660)}].packets')).toBe('5');
      expect(await value(other, 'limit')).toBe('39');
      await goOn(other, 'reverseContinue');
      expect(await value(other, 'limit')).toBe('40');
    } finally {
      await other.close();
    }
  });
});

describe('what a function returned', () => {
  it('is shown behind it, and at the end of the run', async () => {
    const dap = await stoppedAt('#RANK');
    try {
      await goOn(dap, 'stepOut');
      const [first] = await dap.variables(await dap.scope('Locals'));
      expect(first).toMatchObject({
        name: '(rank returned)',
        value: expect.stringMatching(/^-1 \(R0 = 0xffffffff/),
      });
      await goOn(dap);
      const [last] = await dap.variables(await dap.scope('Locals'));
      expect(last).toMatchObject({ name: '(expressions returned)', value: 'XDP_TX (3)' });
    } finally {
      await dap.close();
    }
  });
});

describe('expressions and the kernel', () => {
  it('agree on what a program computed', async () => {
    const random = generator(Number(process.env.BPF_STUDIO_SEED ?? 7));
    const count = 120;
    const names = INTEGER_TYPES.map((_, at) => `v${at}`);
    // Signed division needs an instruction set newer than most, and shifts by too much are undefined in C.
    const operators = ['+', '-', '*', '&', '|', '^'];
    const texts = Array.from({ length: count }, () =>
      randomExpression(random, { depth: 3, names, operators }),
    );
    const declarations = INTEGER_TYPES.map((type, at) => {
      const value = type === '_Bool' ? 1n : BigInt.asUintN(64, interesting(random));
      return `volatile ${type} v${at} = (${type})${value}ULL;`;
    });
    const file = path.join(mkdtempSync(path.join(os.tmpdir(), 'bpfs-expressions-')), 'random.bpf.c');
    writeFileSync(
      file,
      `#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
${declarations.join('\n')}
volatile long out[${count}];
SEC("xdp") int program(struct xdp_md *ctx)
{
${texts.map((text, at) => `\tout[${at}] = (long)${text};`).join('\n')}
\treturn XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
`,
    );
    const dap = await DapClient.started('launch', {
      ...target.configuration,
      program: file,
      packet: '00 '.repeat(60),
    });
    try {
      const asked = texts.map(async (text, at) => {
        expect(await value(dap, `(long)${text}`), text).toBe(await value(dap, `out[${at}]`));
      });
      await Promise.all(asked);
    } finally {
      await dap.close();
    }
  });
});

describe('expressions without a run', () => {
  it('speak of maps and globals as they are now', async () => {
    const dap = await DapClient.started('launch', {
      ...target.configuration,
      program,
      packet,
      stopOnEntry: true,
    });
    try {
      const now = async (expression: string) =>
        (await dap.request<{ result: string }>('evaluate', { expression })).result;
      expect(await now('limit + table[0]')).toBe('43');
      expect(await now('protocols[table[2]] == 0 ? sizeof(struct seen) : 0')).toBe('24');
      expect(await now('protocols[protocols[3]]')).toBe('0');
      await expect(now('$r1')).rejects.toThrow(/R1 holds nothing/);
      await expect(now('flows[{saddr = 10.0.0.7, port = 1}]')).rejects.toThrow(/flows has no entry/);
      const { value: set } = await dap.request<{ value: string }>('setExpression', {
        expression: 'table[1]',
        value: '7',
      });
      expect(set).toBe('7');
      expect(await now('table[1] * 2')).toBe('14');
    } finally {
      await dap.close();
    }
  });
});
