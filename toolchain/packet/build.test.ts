import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { buildPacket } from './build';
import { dissect } from './dissect';
import { writePcap } from './pcap';
import { layersJsonSchema } from './schema';

const build = (...layers: unknown[]) => {
  const built = buildPacket(layers);
  if (!built.ok) throw new Error(JSON.stringify(built.problems));
  return built.value;
};
/** What tcpdump, which shares no code with us, says of a frame. */
const tcpdump = (frame: Uint8Array) =>
  execFileSync('tcpdump', ['-n', '-e', '-vv', '-r', '-'], {
    input: writePcap([frame], 1),
    stdio: ['pipe', 'pipe', 'ignore'],
  }).toString();
const problemsOf = (...layers: unknown[]) => {
  const built = buildPacket(layers);
  return built.ok ? [] : built.problems.map((problem) => `${problem.path}: ${problem.message}`);
};

const ethernet = { type: 'ethernet' };
const ipv4 = { type: 'ipv4' };
const ipv6 = { type: 'ipv6' };
const text = { type: 'payload', text: 'hello' };

describe('layers to bytes, read by tcpdump', () => {
  it.each([
    [
      'TCP over IPv4',
      [ethernet, { ...ipv4, ttl: 7, dscp: 46 }, { type: 'tcp', flags: ['SYN', 'ACK'] }, text],
      [/tos 0xb8, ttl 7,/, /10\.0\.0\.1\.12345 > 10\.0\.0\.2\.80: Flags \[S\.\], cksum 0x\w+ \(correct\)/],
    ],
    [
      'TCP options',
      [
        ethernet,
        ipv4,
        {
          type: 'tcp',
          options: [
            { mss: 1460 },
            { sackPermitted: true },
            { timestamps: { value: 9, echo: 8 } },
            { nop: true },
            { windowScale: 7 },
          ],
        },
      ],
      [/\(correct\)/, /options \[mss 1460,sackOK,TS val 9 ecr 8,nop,wscale 7\]/],
    ],
    [
      'UDP of odd length',
      [ethernet, ipv4, { type: 'udp', destinationPort: 7777 }, text],
      [/\[udp sum ok\] UDP, length 5/],
    ],
    [
      'UDP over IPv6 with extension headers',
      [
        ethernet,
        ipv6,
        { type: 'hopByHop', options: [{ type: 5, data: '0000' }] },
        { type: 'destinationOptions' },
        { type: 'udp', destinationPort: 9999 },
        text,
      ],
      [/HBH/, /DSTOPT/, /12345 > 9999: \[udp sum ok\]/],
    ],
    [
      'an IPv6 fragment',
      [ethernet, ipv6, { type: 'fragment', offset: 1480, nextHeader: 'udp', identification: 66 }, text],
      [/frag \(0x00000042:1480\|5\)/],
    ],
    [
      'an IPv4 fragment with options',
      [ethernet, { ...ipv4, moreFragments: true, options: [{ type: 148, data: '0000' }] }, { type: 'icmp' }],
      [/flags \[\+\]/, /options \(RA\)/],
    ],
    [
      'VLAN',
      [ethernet, { type: 'vlan', id: 100, priority: 3 }, ipv4, { type: 'icmp' }],
      [/802\.1Q.*vlan 100, p 3/],
    ],
    [
      'QinQ',
      [ethernet, { type: 'vlan', id: 5 }, { type: 'vlan', id: 6 }, { type: 'arp', targetIp: '10.0.0.9' }],
      [/802\.1Q-QinQ/, /vlan 5/, /vlan 6/, /who-has 10\.0\.0\.9 tell 10\.0\.0\.1/],
    ],
    ['ICMP echo', [ethernet, ipv4, { type: 'icmp' }, text], [/ICMP echo request, id 1, seq 1/]],
    [
      'ICMP unreachable with the quoted packet',
      [
        ethernet,
        ipv4,
        { type: 'icmp', message: 'destinationUnreachable', code: 3 },
        { ...ipv4, source: '10.0.0.2', destination: '10.0.0.1' },
        { type: 'udp', destinationPort: 4000 },
      ],
      [/udp port 4000 unreachable/, /\[udp sum ok\]/],
    ],
    [
      'ICMPv6 neighbour solicitation',
      [
        ethernet,
        ipv6,
        { type: 'icmpv6', message: 'neighborSolicitation', linkLayerAddress: '02:00:00:00:00:01' },
      ],
      [
        /hlim 255/,
        /\[icmp6 sum ok\] ICMP6, neighbor solicitation.*who has fd00::2/,
        /source link-address option/,
      ],
    ],
    ['ICMPv6 echo', [ethernet, ipv6, { type: 'icmpv6' }, text], [/\[icmp6 sum ok\] ICMP6, echo request/]],
    [
      'IPv4 in IPv4',
      [ethernet, ipv4, { ...ipv4, source: '192.168.0.1' }, { type: 'udp', destinationPort: 1234 }],
      [/192\.168\.0\.1\.12345 > 10\.0\.0\.2\.1234: \[udp sum ok\]/],
    ],
    [
      'a large payload',
      [ethernet, ipv4, { type: 'udp', destinationPort: 1234 }, { type: 'payload', length: 1400, fill: 0xaa }],
      [/\[udp sum ok\] UDP, length 1400/],
    ],
  ])('%s', (_, layers, expected) => {
    const said = tcpdump(build(...layers));
    for (const pattern of expected) expect(said).toMatch(pattern);
    expect(said).not.toMatch(/bad cksum|wrong|incorrect|invalid/);
  });

  it('makes wrong packets when told to', () => {
    const said = tcpdump(build(ethernet, { ...ipv4, checksum: 1 }, { type: 'tcp', checksum: 2 }));
    expect(said).toMatch(/bad cksum 1/);
    expect(said).toMatch(/cksum 0x0002 \(incorrect/);
    expect(build(ethernet, { ...ipv4, totalLength: 999 }).slice(16, 18)).toEqual(Uint8Array.of(3, 231));
  });

  it('comes back from dissect with every checksum correct', () => {
    const frame = build(ethernet, ipv6, { type: 'hopByHop' }, { type: 'tcp' }, text);
    const layers = dissect(frame, 'ethernet');
    expect(layers.map((layer) => layer.type)).toEqual(['ethernet', 'ipv6', 'hopByHop', 'tcp', 'payload']);
    const sums = layers.flatMap((layer) => layer.fields).filter((field) => field.checksum);
    expect(sums.map((field) => field.checksum?.correct)).toEqual([true]);
  });
});

describe('problems name the field', () => {
  it.each([
    [[ethernet, ipv4, { ...ipv4, ttl: 300 }], 'packet[2].ttl: 300 is more than 255'],
    [[{ type: 'vlan' }], 'packet[0].id: is missing (number)'],
    [[{ ...ipv4, ttl: '64' }], 'packet[0].ttl: "64" is not a number'],
    [[{ ...ipv4, ttl: 1.5 }], 'packet[0].ttl: 1.5 is not a whole number'],
    [[{ ...ipv4, source: '10.0.0' }], 'packet[0].source: "10.0.0" is not an IPv4 address such as 10.0.0.1'],
    [[{ ...ipv4, fragmentOffset: 7 }], 'packet[0].fragmentOffset: 7 is not a multiple of 8'],
    [[{ type: 'ip' }], /^packet\[0\]\.type: "ip" is not one of ethernet, vlan/],
    [[{}], /^packet\[0\]\.type: is missing/],
    [['tcp'], /^packet\[0\]: is not a layer/],
    [[{ type: 'tcp' }], /^packet\[0\]: has no IP layer around it/],
    [[{ ...ipv4, src: '10.0.0.1' }], /^packet\[0\]\.src: there is no such field \(did you mean source\?\)/],
    [[ipv4, { type: 'tcp', flags: ['SIN'] }], /^packet\[1\]\.flags\[0\]: "SIN" is not one of FIN, SYN/],
    [[ipv4, { type: 'icmp', message: 'ping' }], /^packet\[1\]\.message: "ping" is not one of echoReply/],
    [[ipv4, { type: 'icmp', message: 256 }], 'packet[1].message: 256 is more than 255'],
    [[{ type: 'payload', hex: 'zz' }], /^packet\[0\]\.hex: "zz" is not hex text \(line 1, column 1/],
    [[{ type: 'payload' }], 'packet[0]: has none of text, hex, length'],
    [[{ ...ipv4, options: '00'.repeat(44) }], 'packet[0].options: are 44 bytes; IPv4 has room for 40'],
  ])('%j', (layers, expected) => {
    const [first] = problemsOf(...layers);
    expect(first).toMatch(expected);
  });

  it('reports every wrong layer, and survives anything', () => {
    expect(problemsOf({ type: 'x' }, { type: 'y' })).toHaveLength(2);
    for (const nonsense of [null, 5, 'x', {}, [], [null], [[]], [{ type: {} }], [{ type: '__proto__' }]])
      expect(buildPacket(nonsense).ok).toBe(false);
  });
});

it('has a JSON schema with one branch for each layer', () => {
  const schema = JSON.stringify(layersJsonSchema());
  for (const type of ['ethernet', 'ipv6', 'payload']) expect(schema).toContain(`"const":"${type}"`);
});

it('dissects any bytes without throwing, covering each exactly once', () => {
  const seeds = [
    build(ethernet, ipv4, { type: 'tcp', options: [{ mss: 1 }] }, text),
    build(ethernet, ipv6, { type: 'hopByHop' }, { type: 'icmpv6', message: 'neighborSolicitation' }),
    build(ethernet, ipv4, { type: 'icmp', message: 'timeExceeded' }, ipv4, { type: 'udp' }),
  ];
  let state = 99;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let round = 0; round < 20_000; round++) {
    const bytes = Uint8Array.from(seeds[round % 3]!);
    for (let i = 0; i < 3; i++) bytes[random(bytes.length)] = random(256);
    const cut = bytes.subarray(0, random(bytes.length + 1));
    let end = 0;
    for (const layer of dissect(cut, round % 2 ? 'ethernet' : 'ip')) {
      expect(layer.offset).toBe(end);
      end += layer.length;
    }
    expect(end).toBe(cut.length);
  }
});
