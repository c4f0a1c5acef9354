import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { parseHex } from './hex';
import { writePcap } from './pcap';

const bytesOf = (text: string) => {
  const parsed = parseHex(text);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return Array.from(parsed.value);
};
const problemOf = (text: string) => {
  const parsed = parseHex(text);
  return parsed.ok ? undefined : `${parsed.problems[0]!.path}: ${parsed.problems[0]!.message}`;
};

describe('hex text', () => {
  it.each([
    ['00 11 22', [0, 0x11, 0x22]],
    ['001122', [0, 0x11, 0x22]],
    ['0x00, 0x11, 0xfF', [0, 0x11, 0xff]],
    ['0x001122', [0, 0x11, 0x22]],
    ['\\x00\\x11', [0, 0x11]],
    ['aa:bb:cc', [0xaa, 0xbb, 0xcc]],
    ['0011 2233\n4455', [0, 0x11, 0x22, 0x33, 0x44, 0x55]],
    ['', []],
  ])('reads %j', (text, expected) => {
    expect(bytesOf(text)).toEqual(expected);
  });

  it.each([
    ['00 1g', 'line 1, column 5: "g" is not hexadecimal'],
    ['00\n  zz', 'line 2, column 3: "z" is not hexadecimal'],
    ['00 123', 'line 1, column 4: "123" has an odd number of digits; a byte is two'],
    ['0x00 0x1', 'line 1, column 6: "0x1" has an odd number of digits; a byte is two'],
    [
      '\t0x0000:  4500 0054\n\t0x0010:  4500',
      'line 2, column 1: the offset is 0x10, but 0x4 bytes came before',
    ],
    ['00000000: 00\n00000000: 11', 'line 2, column 1: a second packet begins here; give one packet only'],
  ])('says where %j goes wrong', (text, expected) => {
    expect(problemOf(text)).toBe(expected);
  });

  it('reads what tcpdump, xxd-like tools and hexdump print', () => {
    // Text columns that look like hex digits must not be taken for bytes.
    const packet = Uint8Array.from({ length: 75 }, (_, i) =>
      i < 14 ? i : 'abcdef0123456789'.charCodeAt(i % 16),
    );
    const pcap = writePcap([packet], 1);
    for (const flag of ['-xx', '-XX']) {
      const text = execFileSync('tcpdump', ['-n', flag, '-r', '-'], {
        input: pcap,
        stdio: ['pipe', 'pipe', 'ignore'],
      }).toString();
      expect(text).toContain('0x0010:');
      expect(bytesOf(text), flag).toEqual(Array.from(packet));
    }
    const canonical = execFileSync('hexdump', ['-C'], { input: packet }).toString();
    expect(bytesOf(canonical)).toEqual(Array.from(packet));
    const wireshark =
      '0000   61 62 63 64 65 66 30 31 32 33 34 35 36 37 38 39   abcdef0123456789\n0010   61 62   ab';
    expect(bytesOf(wireshark)).toHaveLength(18);
    const xxd =
      '00000000: 6162 6364 6566 3031 3233 3435 3637 3839  abcdef0123456789\n00000010: 6162 0a    ab.\n';
    expect(bytesOf(xxd)).toHaveLength(19);
  });

  it('survives a megabyte in one token and arbitrary text', () => {
    expect(bytesOf('ab'.repeat(500_000))).toHaveLength(500_000);
    for (let seed = 0; seed < 2000; seed++) {
      const text = Array.from({ length: seed % 40 }, (_, i) =>
        String.fromCharCode((seed * (i + 7)) % 300),
      ).join('');
      expect(() => parseHex(text)).not.toThrow();
    }
  });
});
