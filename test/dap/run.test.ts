/** Test runs of every program type that has them, through DAP, on the machine's kernel. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { buildPacket } from '../../toolchain/packet/build';
import { writePcap } from '../../toolchain/packet/pcap';
import { hexText } from '../../toolchain/packet/hexdump';
import { lastCpu } from '../support/cpus';
import { DapClient, fixture, markedLine, objectOf, tool } from './client';
import { sharedTarget } from './target';

const target = sharedTarget();
let client: DapClient | undefined;
afterEach(async () => {
  await client?.close();
  client = undefined;
});

const launch = async (configuration: Record<string, unknown>) => {
  client = await DapClient.started('launch', { ...target.configuration, ...configuration });
  return client;
};
const refusal = async (configuration: Record<string, unknown>) => {
  client = await DapClient.initialized();
  return client.request('launch', { ...target.configuration, ...configuration }).then(
    () => 'launched',
    (error: Error) => error.message,
  );
};

const layers = [
  { type: 'ethernet' },
  { type: 'ipv4', ttl: 9 },
  { type: 'udp' },
  { type: 'payload', text: 'hello' },
];
const built = buildPacket(layers);
const packet = built.ok ? built.value : new Uint8Array(0);
const capture = path.join(mkdtempSync(path.join(os.tmpdir(), 'bpfs-dap-')), 'two.pcap');
writeFileSync(capture, writePcap([new Uint8Array(60), packet], 1));

describe('XDP', () => {
  it.each([
    ['layers', layers],
    ['hex text', hexText(packet)],
    ['a capture', { pcap: capture, index: 2 }],
  ])('runs on a packet from %s and shows the difference', async (_, form) => {
    const { console } = await launch({ program: fixture('xdp_ttl.bpf.c'), packet: form });
    expect(console).toMatch(/^xdp_ttl returned XDP_TX \(3\) in \d+ ns, with its recording$/m);
    expect(console).toContain('IPv4 ttl 9 → 8');
    expect(console).toMatch(/IPv4 checksum 0x\w+ \(correct\) → 0x\w+ \(correct\)/);
  });

  it('stops on the program with its maps and globals to be looked at', async () => {
    const dap = await launch({ program: fixture('xdp_ttl.bpf.c'), packet: layers });
    const { threads } = await dap.request<{ threads: { id: number; name: string }[] }>('threads');
    expect(threads).toEqual([{ id: 1, name: 'xdp_ttl (xdp)' }]);
    const { stackFrames } = await dap.request<{ stackFrames: Record<string, unknown>[] }>('stackTrace', {
      threadId: 1,
    });
    expect(stackFrames).toMatchObject([
      {
        name: 'xdp_ttl() = XDP_TX (3)',
        source: { path: fixture('xdp_ttl.bpf.c') },
      },
    ]);
    expect(await dap.tree('Maps', 'counts', '[17]')).toEqual([
      'packets = 1',
      'bytes = 47',
      'seen = FIRST_SEEN_NOW (1)',
      'flags = 0',
    ]);
    const globals = await dap.variables(await dap.scope('Globals'));
    expect(globals.map(({ name, value }) => `${name} = ${value}`).sort()).toEqual([
      'last_name = "none"',
      'threshold = 1',
      'total = 1',
      'verdicts = [0, 0, 0, 1]',
    ]);
  });

  it('continue runs again on the same maps, restart on fresh ones', async () => {
    const dap = await launch({ program: fixture('xdp_ttl.bpf.c'), packet: layers });
    const seen = dap.events.length;
    await dap.request('continue', { threadId: 1 });
    await dap.event('stopped', undefined, seen);
    expect((await dap.row('Globals', 'total')).value).toBe('2');
    const before = dap.events.length;
    await dap.request('restart');
    await dap.event('stopped', undefined, before);
    expect((await dap.row('Globals', 'total')).value).toBe('1');
  });

  it('repeats, sets globals first, and stops before the run when asked to', async () => {
    const dap = await launch({
      program: fixture('xdp_ttl.bpf.c'),
      packet: layers,
      repeat: 1000,
      globals: { threshold: 100, last_name: 'set' },
      stopOnEntry: true,
    });
    expect((await dap.row('Globals', 'total')).value).toBe('0');
    expect((await dap.row('Globals', 'last_name')).value).toBe('"set"');
    const seen = dap.events.length;
    await dap.request('continue', { threadId: 1 });
    await dap.event('stopped', undefined, seen);
    expect(dap.console).toMatch(/returned XDP_DROP \(1\) in \d+ ns on average over 1000 runs/);
    expect((await dap.row('Globals', 'total')).value).toBe('1000');
  });

  it('without debugging it runs, prints and ends', async () => {
    client = await DapClient.initialized();
    await Promise.all([
      client.request('launch', { ...target.configuration, program: fixture('xdp_ttl.bpf.c'), noDebug: true }),
      client.request('configurationDone'),
    ]);
    await client.event('terminated');
    expect(client.console).toContain('xdp_ttl returned XDP_TX (3)');
    expect(client.console).toContain('no packet was given');
    expect(client.printed('stdout')).toMatch(/^Loaded xdp_ttl /);
    expect(client.printed('console')).toBe('');
    expect(client.printed('stderr')).toBe('');
  });
});

describe('other program types', () => {
  const types = objectOf('types.bpf.c');

  it('tc: context fields go in and come out', async () => {
    const dap = await launch({ program: types, entry: 'classify', context: { mark: 7, cb: [4] } });
    expect(dap.console).toMatch(/classify returned TC_ACT_SHOT \(2\)/);
    expect(dap.console).toMatch(/struct __sk_buff: .*mark = 7.*priority = 8.*cb = \[4, 8, 0, 0, 0\]/);
    expect(dap.console).toContain('packet: unchanged');
  });

  it.each([
    ['raw', { context: { args: [40, 2] } }, /^raw returned 42$/m],
    ['raw', { context: { args: [40, 2] }, cpu: lastCpu() }, /^raw returned 42$/m],
    ['add', { context: { left: 20, right: 3 } }, /^add returned 23$/m],
    [
      'lookup',
      {
        context: {
          family: 'AF_INET',
          protocol: 'IPPROTO_TCP',
          remote_ip4: '10.0.0.1',
          remote_port: 5,
          local_ip4: '10.0.0.2',
          local_port: 8080,
        },
      },
      /^lookup returned SK_PASS \(1\)/m,
    ],
    ['lookup', {}, /^lookup returned SK_DROP \(0\)/m],
    [
      'egress',
      { packet: [{ type: 'ipv4' }, { type: 'udp' }, { type: 'payload', length: 200 }] },
      /^egress returned dropped \(0\)/m,
    ],
    ['filter', { packet: [{ type: 'ipv4' }, { type: 'udp' }] }, /^filter returned NF_DROP \(0\)/m],
    ['dissect', {}, /struct bpf_flow_keys: nhoff = 14, thoff = 34, .*ip_proto = 17, .*dport = 53/],
    ['sock', {}, /^sock returned 46 \(bytes of the packet to keep\)/m],
    ['lwt', {}, /^lwt returned BPF_DROP \(2\)/m],
  ])('%s %j', async (entry, configuration, expected) => {
    const { console } = await launch({ program: types, entry, ...configuration });
    expect(console).toMatch(expected);
    // What the kernel did to a frame behind the program's back is no change of the program's.
    expect(console).not.toContain('packet:\n');
  });
});

describe('what cannot be run is refused in words', () => {
  const xdp = objectOf('xdp_ttl.bpf.c');
  const types = objectOf('types.bpf.c');

  it.each([
    [{ program: types }, /has 10 programs\. Choose one with "entry": .*classify, raw, add/],
    [{ program: types, entry: 'nope' }, /no program "nope" .*classify/],
    [{ program: types, entry: 'trace' }, /no support for programs of type tracepoint.*"request": "attach"/],
    [{ program: '/nonexistent.bpf.c' }, /nonexistent\.bpf\.c cannot be read: there is no such file/],
    [{ program: '/bin/true' }, /compiled for x86-64, not for BPF|not for BPF/],
    [{}, /"program": is missing; it is the path of a \.bpf\.c or \.o file/],
    [{ program: xdp, repeat: 0 }, /"repeat"/],
    [{ program: xdp, packet: 5 }, /"packet": 5 is not right: it is hex text/],
    [{ program: xdp, packet: '00 0g' }, /not hex text: line 1, column 5: "g" is not hexadecimal/],
    [{ program: xdp, packet: [{ type: 'ipv4', ttl: 300 }] }, /packet\[0\]\.ttl: 300 is more than 255/],
    [{ program: xdp, packet: { pcap: '/nonexistent.pcap' } }, /capture \/nonexistent\.pcap cannot be read/],
    [
      { program: xdp, packet: { pcap: capture, index: 3 } },
      /there is no packet 3: the capture holds packets 1 to 2/,
    ],
    [
      { program: xdp, packet: { pcap: '/bin/true' } },
      /neither \.pcap nor \.pcapng: it begins with 7f 45 4c 46/,
    ],
    [
      { program: xdp, packet: '0011' },
      /refused to run xdp_ttl \(EINVAL\): the packet has 2 bytes, and an Ethernet header takes 14/,
    ],
    [
      { program: xdp, context: { mark: 1 } },
      /context\.mark: struct xdp_md has no such field; a test run takes data, ingress_ifindex/,
    ],
    [
      { program: types, entry: 'classify', context: { len: 3 } },
      /EINVAL.*does not take len of struct __sk_buff; it takes mark/,
    ],
    [{ program: types, entry: 'raw', context: { args: [1] } }, /EINVAL.*reads more arguments/],
    [{ program: types, entry: 'raw', repeat: 5 }, /runs raw_tracepoint programs once/],
    [{ program: types, entry: 'add', packet: '00' }, /takes no packet/],
    [{ program: types, entry: 'add', context: { middle: 1 } }, /has no member middle/],
    [{ program: xdp, cpu: 1 }, /lets only raw_tracepoint programs be run on a chosen CPU/],
    [{ program: xdp, hostSocket: undefined, target: 'moon' }, /"moon" is not a target/],
    [{ program: xdp, globals: { nope: 1 } }, /no such global variable; it has .*threshold/],
    [{ program: xdp, globals: { threshold: 'x' } }, /"globals\.threshold"/],
    [
      { program: objectOf('maps.bpf.c', '-g0'), entry: 'fill' },
      /BTF is required, but is missing or corrupted\..*Compile .* `clang -O2 -g -target bpf -c`\.$/s,
    ],
    [
      { program: objectOf('plain.bpf.c', '-g0'), globals: { threshold: 1 } },
      /"globals" needs the types of the variables: compile the object with -g\./,
    ],
    [{ program: fixture('xdp_ttl.bpf.c'), clangPath: '/nonexistent/clang' }, /nonexistent\/clang/],
    [{ program: xdp, hostSocket: '/nonexistent.sock' }, /No kernel host answers at \/nonexistent\.sock/],
  ])('%j', async (configuration, expected) => {
    expect(await refusal(configuration)).toMatch(expected);
  });

  it('a rejected program: the verifier is quoted, in the error and in the console', async () => {
    expect(await refusal({ program: fixture('rejected.bpf.c') })).toMatch(
      /rejected careless: R1 offset is outside of the packet/,
    );
    expect(client!.console).toMatch(/invalid access to packet, off=3 size=1/);
    // The finding stands where it is in the source, as compilers write it.
    const line = markedLine('rejected.bpf.c', '#ERR');
    expect(client!.console).toMatch(new RegExp(`rejected\\.bpf\\.c:${line}:\\d+: error: `));
  });

  it('an object without line information runs, its frame without a source', async () => {
    const stripped = path.join(mkdtempSync(path.join(os.tmpdir(), 'bpfs-dap-')), 'plain.o');
    execFileSync(tool('llvm-objcopy'), ['--remove-section=.BTF.ext', objectOf('events.bpf.c'), stripped]);
    const dap = await launch({ program: stripped });
    expect(dap.console).toContain('tell returned XDP_DROP (1)');
    const { stackFrames } = await dap.request<{ stackFrames: { line: number; presentationHint?: string }[] }>(
      'stackTrace',
      {
        threadId: 1,
      },
    );
    expect(stackFrames[0]).toMatchObject({ line: 0, presentationHint: 'label' });
  });

  it('an object without BTF runs when it has no map; its globals are bytes that can be written', async () => {
    const dap = await launch({ program: objectOf('plain.bpf.c', '-g0') });
    expect(dap.console).toContain('plain returned XDP_DROP (1)');
    const { stackFrames } = await dap.request<{ stackFrames: { id: number }[] }>('stackTrace', {
      threadId: 1,
    });
    const { scopes } = await dap.request<{ scopes: { name: string }[] }>('scopes', {
      frameId: stackFrames[0]!.id,
    });
    expect(scopes.map(({ name }) => name)).not.toContain('Maps');
    expect((await dap.row('Globals', '.data')).value).toBe('03 00 00 00 (u32 3)');
    expect((await dap.row('Globals', '.bss')).value).toBe('01 00 00 00 (u32 1)');
    const reference = await dap.scope('Globals');
    await dap.request('setVariable', { variablesReference: reference, name: '.data', value: '01 00 00 00' });
    const seen = dap.events.length;
    await dap.request('continue', { threadId: 1 });
    await dap.event('stopped', undefined, seen);
    expect(dap.console).toContain('plain returned XDP_PASS (2)');
  });

  it('an object stripped of debug information keeps what BTF tells', async () => {
    const stripped = path.join(mkdtempSync(path.join(os.tmpdir(), 'bpfs-dap-')), 'stripped.o');
    execFileSync(tool('llvm-strip'), ['--strip-debug', objectOf('xdp_ttl.bpf.c'), '-o', stripped]);
    const dap = await launch({ program: stripped, packet: layers });
    expect((await dap.row('Globals', 'total')).value).toBe('1');
    const { stackFrames } = await dap.request<{ stackFrames: { line: number }[] }>('stackTrace', {
      threadId: 1,
    });
    expect(stackFrames[0]!.line).toBe(markedLine('xdp_ttl.bpf.c', '#END'));
  });

  it('a source that does not compile: clang is quoted', async () => {
    const message = await refusal({ program: fixture('broken.bpf.c') });
    expect(message).toMatch(/broken\.bpf\.c:9:9: error: use of undeclared identifier 'XDP_DROPP'/);
  });
});
