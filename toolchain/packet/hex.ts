/**
 * Hex text to bytes. Read are plain digits (`00 11 22`, `0011:2233`, `0x00, 0x11`, `\x00\x11`)
 * and the dumps of tcpdump -x/-xx/-X/-XX, xxd, hexdump -C and Wireshark's "copy as hex dump".
 */
import { BYTES_PER_ROW } from './hexdump';
import type { PacketProblem, Parsed } from './problem';

/** Every problem's path is `line L, column C`, both one-based. */
export function parseHex(text: string): Parsed<Uint8Array> {
  const lines = text.split(/\r\n|\r|\n/);
  const layout = DUMPS.find((dump) => lines.some((line) => dump.start.test(line)));
  return layout ? parseDump(lines, layout) : parseDigits(lines);
}

/** No packet is longer; a mistyped offset must not fill the memory. */
const MAX_REPEATED = 0x100000;

interface DumpLayout {
  /** A line that can only be the first row of such a dump. */
  start: RegExp;
  /** A row: group 1 is the offset; hex columns follow the match. */
  row: RegExp;
  /** Where the hex columns end, and text begins, in what follows the offset. */
  end: RegExp;
  digits: RegExp;
}

const DUMPS: DumpLayout[] = [
  // `        0x0000:  4500 0054 …  E..T` (tcpdump) and `00000000: 4500 0054 …  E..T` (xxd).
  {
    start: /^\s*(0x0{4}|0{4,8}):\s/,
    row: /^\s*(?:0x)?([0-9a-fA-F]{4,8}):\s+/,
    end: /\s{2,}/,
    digits: /^([0-9a-fA-F]{2})+$/,
  },
  // `00000000  45 00 00 54 00 00 40 00  40 01 …  |E..T|` (hexdump -C).
  {
    start: /^0{8} {2}([0-9a-fA-F]{2} {1,2}){1,16} *\|/,
    row: /^([0-9a-fA-F]{8})(?: {2}|$)/,
    end: /\s*\|/,
    digits: /^[0-9a-fA-F]{2}$/,
  },
  // `0000   45 00 00 54 …   E..T` (Wireshark).
  {
    start: /^0{4} {2,3}([0-9a-fA-F]{2}( {1,2}|$)){1,16}/,
    row: /^([0-9a-fA-F]{4,8}) {2,3}/,
    end: /\s{3,}/,
    digits: /^[0-9a-fA-F]{2}$/,
  },
];

function parseDump(lines: string[], layout: DumpLayout): Parsed<Uint8Array> {
  const bytes: number[] = [];
  const problems: PacketProblem[] = [];
  // What tcpdump prints above the first row is a summary of the packet, not part of it.
  const first = lines.findIndex((line) => layout.start.test(line));
  let repeats = false;
  for (const [index, line] of lines.entries()) {
    if (index < first || line.trim() === '') continue;
    if (line.trim() === '*' && bytes.length >= BYTES_PER_ROW) {
      repeats = true;
      continue;
    }
    const match = layout.row.exec(line);
    if (!match) {
      problems.push(at(index, 0, `expected an offset as in the lines before, found "${excerpt(line)}"`));
      break;
    }
    const offset = parseInt(match[1]!, 16);
    const rest = line.slice(match[0].length);
    if (offset === 0 && bytes.length > 0) {
      problems.push(at(index, 0, 'a second packet begins here; give one packet only'));
      break;
    }
    if (repeats) repeatLastRow(bytes, Math.min(offset, MAX_REPEATED));
    repeats = false;
    if (offset !== bytes.length) {
      const message = `the offset is 0x${offset.toString(16)}, but 0x${bytes.length.toString(16)} bytes came before`;
      problems.push(at(index, 0, message));
      break;
    }
    const end = rest.search(layout.end);
    const columns = end < 0 ? rest : rest.slice(0, end);
    for (const token of columns.matchAll(/\S+/g)) {
      if (layout.digits.test(token[0])) appendPairs(bytes, token[0]);
      else problems.push(at(index, match[0].length + token.index, notHex(token[0])));
    }
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: Uint8Array.from(bytes) };
}

/** `*` in a dump stands for rows equal to the one before it, up to the next row's offset. */
function repeatLastRow(bytes: number[], end: number): void {
  const row = bytes.slice(-BYTES_PER_ROW);
  while (bytes.length + row.length <= end) for (const byte of row) bytes.push(byte);
}

function parseDigits(lines: string[]): Parsed<Uint8Array> {
  const bytes: number[] = [];
  const problems: PacketProblem[] = [];
  for (const [index, line] of lines.entries()) {
    for (const token of line.matchAll(/[^\s,;:]+/g)) {
      const digits = token[0].replaceAll(/\\x|0[xX]/g, (prefix, position: number) =>
        // `0x` is a prefix at the start of a token only; in the middle it would be a digit and a mistake.
        prefix === '\\x' || position === 0 ? '' : prefix,
      );
      const bad = /[^0-9a-fA-F]/.exec(digits);
      if (bad) {
        const column = token.index + token[0].length - digits.length + bad.index;
        problems.push(at(index, column, notHex(bad[0])));
      } else if (digits.length % 2 === 1) {
        const message = `"${excerpt(token[0])}" has an odd number of digits; a byte is two`;
        problems.push(at(index, token.index, message));
      } else appendPairs(bytes, digits);
      if (problems.length >= 5) return { ok: false, problems };
    }
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, value: Uint8Array.from(bytes) };
}

function appendPairs(bytes: number[], digits: string): void {
  for (let i = 0; i < digits.length; i += 2) bytes.push(parseInt(digits.slice(i, i + 2), 16));
}

function at(line: number, column: number, message: string): PacketProblem {
  return { path: `line ${line + 1}, column ${column + 1}`, message };
}

function notHex(text: string): string {
  return `"${excerpt(text)}" is not hexadecimal`;
}

function excerpt(text: string): string {
  const trimmed = text.trim();
  return trimmed.length > 24 ? `${trimmed.slice(0, 24)}…` : trimmed;
}
