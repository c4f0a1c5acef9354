/** What a program did to a packet, as text: bytes that came or went, bytes that changed, and what that means by layer. */
import { dissect, type DissectedLayer } from './dissect';
import { BYTES_PER_ROW, formatOffset, hexColumns } from './hexdump';
import type { Framing } from './link-type';

export interface PacketDifference {
  /** False: the two packets are the same. */
  changed: boolean;
  /** `20 bytes were inserted at offset 14`, at most one: XDP and tc helpers move one edge at a time. */
  moved?: { kind: 'inserted' | 'removed'; offset: number; length: number };
  /** Changed bytes outside the moved part, as [start, end) offsets in the output. */
  ranges: [number, number][];
  /** For people, one line each. */
  lines: string[];
}

/** Hexdump rows shown at most; a packet encrypted whole would otherwise fill the console. */
const MAX_ROWS = 16;

export function comparePackets(input: Uint8Array, output: Uint8Array, framing: Framing): PacketDifference {
  const at = movedAt(input, output);
  const growth = output.length - input.length;
  const moved =
    growth === 0
      ? undefined
      : {
          kind: growth > 0 ? ('inserted' as const) : ('removed' as const),
          offset: at,
          length: Math.abs(growth),
        };
  /** The output byte at `i` came from this input byte; undefined for inserted ones. */
  const origin = (i: number): number | undefined => {
    if (i < at) return i;
    if (growth <= 0) return i - growth;
    return i < at + growth ? undefined : i - growth;
  };
  const ranges = changedRanges(input, output, origin);
  if (!moved && ranges.length === 0) return { changed: false, ranges, lines: [] };
  const lines: string[] = [];
  if (moved) lines.push(describeMove(moved, input.length, output.length));
  lines.push(...compareLayers(dissect(input, framing), dissect(output, framing)));
  lines.push(...rows(input, output, origin, moved, ranges));
  return { changed: true, ...(moved ? { moved } : {}), ranges, lines };
}

/**
 * The place where bytes came or went: the split that leaves the most bytes equal when what lies before it is
 * aligned at the head and what lies behind it at the tail. The tail wins ties, then the head.
 */
function movedAt(input: Uint8Array, output: Uint8Array): number {
  const shorter = Math.min(input.length, output.length);
  if (input.length === output.length) return shorter;
  let fromTail = 0;
  for (let i = 0; i < shorter; i++)
    if (input[input.length - 1 - i] === output[output.length - 1 - i]) fromTail++;
  let score = fromTail;
  let best = { at: 0, score };
  for (let i = 0; i < shorter; i++) {
    // Byte `i` moves from the tail-aligned part to the head-aligned part.
    if (input[i] === output[i]) score++;
    if (input[input.length - shorter + i] === output[output.length - shorter + i]) score--;
    if (score > best.score || (i === shorter - 1 && score >= best.score)) best = { at: i + 1, score };
  }
  return best.at;
}

function changedRanges(
  input: Uint8Array,
  output: Uint8Array,
  origin: (i: number) => number | undefined,
): [number, number][] {
  const ranges: [number, number][] = [];
  for (let i = 0; i < output.length; i++) {
    const from = origin(i);
    if (from === undefined || input[from] === output[i]) continue;
    const last = ranges.at(-1);
    if (last && last[1] === i) last[1] = i + 1;
    else ranges.push([i, i + 1]);
  }
  return ranges;
}

function describeMove(moved: NonNullable<PacketDifference['moved']>, before: number, after: number): string {
  const { kind, offset, length } = moved;
  const shorter = Math.min(before, after);
  const where = offset === shorter ? 'at the tail' : offset === 0 ? 'at the head' : `at offset ${offset}`;
  const bytes = length === 1 ? '1 byte' : `${length} bytes`;
  return `${bytes} ${kind} ${where} (length ${before} → ${after})`;
}

/** Layers matched by type in order; the checksum's verdict is told, since a changed field often breaks it. */
function compareLayers(before: DissectedLayer[], after: DissectedLayer[]): string[] {
  const lines: string[] = [];
  for (const [old, now] of alignLayers(before, after)) {
    if (!old) lines.push(`+ ${now!.title}`);
    else if (!now) lines.push(`- ${old.title}`);
    else
      for (const field of now.fields) {
        const was = old.fields.find((candidate) => candidate.name === field.name);
        if (was?.value === field.value || field.name === 'data') continue;
        lines.push(`${layerName(now)} ${field.name} ${was ? was.text : 'none'} → ${field.text}`);
      }
  }
  return lines;
}

function layerName(layer: DissectedLayer): string {
  return layer.title.split(' ', 1)[0]!;
}

type Pair = [DissectedLayer | undefined, DissectedLayer | undefined];

/** Longest common subsequence by type, preferring equal addresses, found from the inside out: tunnels wrap outside. */
function alignLayers(before: DissectedLayer[], after: DissectedLayer[]): Pair[] {
  const weight = (old: DissectedLayer, now: DissectedLayer) =>
    old.type !== now.type ? 0 : old.title === now.title ? 3 : 2;
  const table = Array.from({ length: before.length + 1 }, () => new Array<number>(after.length + 1).fill(0));
  for (let i = 1; i <= before.length; i++)
    for (let j = 1; j <= after.length; j++) {
      const match = weight(before[i - 1]!, after[j - 1]!);
      table[i]![j] = Math.max(
        table[i - 1]![j]!,
        table[i]![j - 1]!,
        match > 0 ? table[i - 1]![j - 1]! + match : 0,
      );
    }
  const pairs: Pair[] = [];
  let i = before.length;
  let j = after.length;
  while (i > 0 || j > 0) {
    const match = i > 0 && j > 0 ? weight(before[i - 1]!, after[j - 1]!) : 0;
    if (match > 0 && table[i]![j] === table[i - 1]![j - 1]! + match) pairs.push([before[--i], after[--j]]);
    else if (j > 0 && (i === 0 || table[i]![j - 1]! >= table[i - 1]![j]!))
      pairs.push([undefined, after[--j]]);
    else pairs.push([before[--i], undefined]);
  }
  return pairs.reverse();
}

/** Rows of the output that changed, each under the input's bytes that it came from, changed bytes underlined. */
function rows(
  input: Uint8Array,
  output: Uint8Array,
  origin: (i: number) => number | undefined,
  moved: PacketDifference['moved'],
  ranges: [number, number][],
): string[] {
  const inserted: [number, number][] =
    moved?.kind === 'inserted' ? [[moved.offset, moved.offset + moved.length]] : [];
  const touched = new Set<number>();
  for (const [start, end] of [...ranges, ...inserted])
    for (let row = Math.floor(start / BYTES_PER_ROW); row * BYTES_PER_ROW < end; row++) touched.add(row);
  const lines: string[] = [];
  const sorted = [...touched].sort((a, b) => a - b);
  for (const row of sorted.slice(0, MAX_ROWS)) {
    const offsets = Array.from(
      { length: Math.min(BYTES_PER_ROW, output.length - row * BYTES_PER_ROW) },
      (_, i) => row * BYTES_PER_ROW + i,
    );
    const before = offsets.map((i) => {
      const from = origin(i);
      return from === undefined ? undefined : input[from];
    });
    const label = formatOffset(row * BYTES_PER_ROW);
    if (before.some((byte) => byte !== undefined)) lines.push(`${label} - ${hexColumns(before)}`.trimEnd());
    lines.push(`${label} + ${hexColumns(offsets.map((i) => output[i]))}`);
    const marks = offsets.map((i, column) => (i === undefined || before[column] === output[i] ? '  ' : '^^'));
    lines.push(`       ${marks.map((mark, i) => (i === 8 ? ' ' : '') + mark).join(' ')}`.trimEnd());
  }
  if (sorted.length > MAX_ROWS) lines.push(`… ${sorted.length - MAX_ROWS} more rows changed`);
  return lines;
}
