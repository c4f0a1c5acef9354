import { expect, it } from 'vitest';
import { buildPacket } from './build';
import { comparePackets } from './difference';
import { concat } from './bytes';

const build = (...layers: unknown[]) => {
  const built = buildPacket(layers);
  if (!built.ok) throw new Error(JSON.stringify(built.problems));
  return built.value;
};
const ethernet = { type: 'ethernet' };
const udp = [
  { type: 'udp', destinationPort: 53 },
  { type: 'payload', text: 'some payload bytes' },
];
const plain = build(ethernet, { type: 'ipv4' }, ...udp);

it('says nothing of an unchanged packet', () => {
  expect(comparePackets(plain, plain.slice(), 'ethernet')).toEqual({ changed: false, ranges: [], lines: [] });
});

it('names changed fields and underlines their bytes', () => {
  const routed = build(ethernet, { type: 'ipv4', ttl: 63 }, ...udp);
  const { lines, ranges, moved } = comparePackets(plain, routed, 'ethernet');
  expect(moved).toBeUndefined();
  expect(lines[0]).toBe('IPv4 ttl 64 → 63');
  expect(lines[1]).toMatch(/^IPv4 checksum 0x\w{4} \(correct\) → 0x\w{4} \(correct\)$/);
  expect(ranges).toEqual([
    [22, 23],
    [24, 25],
  ]);
  expect(lines.slice(2)).toEqual([
    expect.stringMatching(/^0010 - 00 2e 00 00 00 00 40 11 {2}66 /),
    expect.stringMatching(/^0010 \+ 00 2e 00 00 00 00 3f 11 {2}67 /),
    '                         ^^     ^^',
  ]);
});

it('tells that a forgotten checksum update made the checksum wrong', () => {
  const broken = plain.slice();
  broken[22] = 63;
  expect(comparePackets(plain, broken, 'ethernet').lines.join('\n')).toContain('IPv4 ttl 64 → 63');
});

it.each([
  [
    'a VLAN tag pushed',
    build(ethernet, { type: 'vlan', id: 7 }, { type: 'ipv4' }, ...udp),
    { kind: 'inserted', offset: 12, length: 4 },
    ['4 bytes inserted at offset 12 (length 60 → 64)', '+ VLAN 7'],
  ],
  [
    'IP-in-IP',
    build(ethernet, { type: 'ipv4', source: '1.2.3.4', destination: '5.6.7.8' }, { type: 'ipv4' }, ...udp),
    { kind: 'inserted', offset: 14, length: 20 },
    ['20 bytes inserted at offset 14 (length 60 → 80)', '+ IPv4 1.2.3.4 → 5.6.7.8'],
  ],
  [
    'bytes at the tail',
    concat(plain, Uint8Array.of(1, 2, 3)),
    { kind: 'inserted', offset: 60, length: 3 },
    ['3 bytes inserted at the tail (length 60 → 63)'],
  ],
  [
    'a cut tail',
    plain.subarray(0, 50),
    { kind: 'removed', offset: 50, length: 10 },
    ['10 bytes removed at the tail (length 60 → 50)'],
  ],
  [
    'a head removed',
    plain.subarray(8),
    { kind: 'removed', offset: 0, length: 8 },
    ['8 bytes removed at the head (length 60 → 52)'],
  ],
])('recognises %s', (_, output, moved, said) => {
  const difference = comparePackets(plain, output, 'ethernet');
  expect(difference.moved).toEqual(moved);
  for (const line of said) expect(difference.lines).toContain(line);
});

it('bounds what it prints for a packet rewritten whole', () => {
  const big = new Uint8Array(4096);
  const { lines } = comparePackets(
    big,
    big.map(() => 0xff),
    'ethernet',
  );
  expect(lines.length).toBeLessThan(80);
  expect(lines.at(-1)).toMatch(/more rows changed$/);
});
