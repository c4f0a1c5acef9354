/**
 * A verifier log for random access. A log may have millions of lines, so no object is kept for a line: where it
 * begins, its class, its instruction and opcode stand in arrays, ten bytes together, beside the text.
 */
import { LINE_KINDS, classify } from './log';
import type { LineKind, LogLine } from './log';

const kindNumber = new Map(LINE_KINDS.map((kind, index) => [kind, index]));
const INSTRUCTION = kindNumber.get('instruction') as number;
const SOURCE = kindNumber.get('source') as number;
const TEXT = kindNumber.get('text') as number;
const REPORT = kindNumber.get('report') as number;
const LIVENESS = kindNumber.get('liveness') as number;

/** Lines of a log that has been read; all numbers are zero-based. */
export interface LogIndex {
  /** Number of lines. A final newline makes none. */
  readonly length: number;
  /** Lines of no known form, among them the verifier's reasons for rejecting. */
  readonly unknownLines: number;
  text(line: number): string;
  kind(line: number): LineKind;
  /** Instruction the line is about: of an instruction, a state, a branch's target; -1 for other lines. */
  insn(line: number): number;
  /** Of an instruction line, its first byte; 0 for other lines. */
  opcode(line: number): number;
  at(line: number): LogLine;
}

/** Reads a log that is at hand. Its text is not copied. */
export function indexLog(log: string): LogIndex {
  const reader = new LogReader();
  reader.push(log);
  return reader.finish();
}

/** Lines of a log in their order. */
export function* parseLog(log: string): Generator<LogLine> {
  const index = indexLog(log);
  for (let line = 0; line < index.length; line++) yield index.at(line);
}

/** Reads a log that arrives in pieces, of bytes or text, which need not end where lines or characters do. */
export async function readLog(chunks: AsyncIterable<Uint8Array | string>): Promise<LogIndex> {
  const reader = new LogReader();
  const decoder = new TextDecoder();
  for await (const chunk of chunks) {
    reader.push(typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }));
  }
  reader.push(decoder.decode());
  return reader.finish();
}

/** Takes a log apart while it arrives. */
export class LogReader implements LogIndex {
  length = 0;
  unknownLines = 0;
  /** Pieces of the text, each with whole lines, and the position of each in the text. */
  private readonly pieces: string[] = [];
  private readonly bases: number[] = [];
  private total = 0;
  /** What came after the last newline. */
  private rest: string[] = [];
  private starts = new Uint32Array(1024);
  private insns = new Int32Array(1024);
  private kinds = new Uint8Array(1024);
  private opcodes = new Uint8Array(1024);
  private inReport = false;
  /** Whether the lines are a listing of a function that 7.x prints before it walks: its rows look like steps. */
  private inListing = false;
  /** Piece that was read last: lines are mostly read in order. */
  private recent = 0;

  push(chunk: string): void {
    const end = chunk.lastIndexOf('\n') + 1;
    if (end === 0) {
      if (chunk) this.rest.push(chunk);
      return;
    }
    const whole = end === chunk.length ? chunk : chunk.slice(0, end);
    this.add(this.rest.length ? this.rest.join('') + whole : whole);
    this.rest = end === chunk.length ? [] : [chunk.slice(end)];
  }

  finish(): LogIndex {
    if (this.rest.length) this.add(this.rest.join(''));
    this.rest = [];
    return this;
  }

  text(line: number): string {
    if (!(line >= 0 && line < this.length)) return '';
    const start = this.starts[line] as number;
    const piece = this.pieceOf(start);
    const base = this.bases[piece] as number;
    const text = this.pieces[piece] as string;
    const end = line + 1 < this.length ? (this.starts[line + 1] as number) - base : Infinity;
    // The last line of a piece ends with it, and the very last may have no newline.
    const limit = Math.min(end, text.length);
    return text.slice(start - base, text.charCodeAt(limit - 1) === 0x0a ? limit - 1 : limit);
  }

  kind(line: number): LineKind {
    return line >= 0 && line < this.length ? (LINE_KINDS[this.kinds[line] as number] as LineKind) : 'text';
  }

  insn(line: number): number {
    return line >= 0 && line < this.length ? (this.insns[line] as number) : -1;
  }

  opcode(line: number): number {
    return line >= 0 && line < this.length ? (this.opcodes[line] as number) : 0;
  }

  at(line: number): LogLine {
    return { number: line, kind: this.kind(line), text: this.text(line), insn: this.insn(line) };
  }

  private pieceOf(position: number): number {
    const { bases, recent } = this;
    if (position >= (bases[recent] as number) && position < (bases[recent + 1] ?? Infinity)) return recent;
    let low = 0;
    let high = bases.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((bases[middle] as number) <= position) low = middle;
      else high = middle - 1;
    }
    return (this.recent = low);
  }

  private add(piece: string): void {
    this.pieces.push(piece);
    this.bases.push(this.total);
    for (let start = 0; start < piece.length;) {
      const newline = piece.indexOf('\n', start);
      const end = newline < 0 ? piece.length : newline;
      if (this.length === this.starts.length) this.grow();
      this.starts[this.length] = this.total + start;
      this.read(piece, start, end);
      this.length++;
      start = end + 1;
    }
    this.total += piece.length;
  }

  /** Most lines are instructions and source lines: their first characters are enough, without a string of their own. */
  private read(piece: string, start: number, end: number): void {
    const line = this.length;
    let at = start;
    let insn = 0;
    for (let digit; at < end && at - start < 8; at++) {
      digit = piece.charCodeAt(at) - 0x30;
      if (digit < 0 || digit > 9) break;
      insn = insn * 10 + digit;
    }
    if (
      !this.inReport &&
      !this.inListing &&
      at > start &&
      piece.startsWith(': (', at) &&
      piece.charCodeAt(at + 5) === 0x29
    ) {
      const opcode = (hex(piece.charCodeAt(at + 3)) << 4) | hex(piece.charCodeAt(at + 4));
      if (opcode >= 0 && at + 5 < end) {
        this.set(line, INSTRUCTION, insn, opcode);
        return;
      }
    }
    if (!this.inReport && piece.charCodeAt(start) === 0x3b) {
      this.set(line, SOURCE, -1, 0);
      return;
    }
    const text = piece.slice(start, end);
    const found = classify(text, line);
    if (text.startsWith('Live regs before')) this.inListing = false;
    if (text.startsWith('Verification failed:')) this.inReport = true;
    else if (found.kind === 'statistics' || found.kind === 'libbpf') this.inReport = false;
    if (/^(subprog#|stack use)/.test(text) && found.kind === 'liveness') this.inListing = true;
    else if (found.kind !== 'liveness' && found.kind !== 'instruction') this.inListing = false;
    const isRow = this.inListing && found.kind === 'instruction';
    if (this.inReport && found.kind !== 'blank') this.set(line, REPORT, -1, 0);
    else if (isRow) this.set(line, LIVENESS, -1, 0);
    else this.set(line, kindNumber.get(found.kind) as number, found.insn, opcodeIn(found));
    if (this.kinds[line] === TEXT) this.unknownLines++;
  }

  private set(line: number, kind: number, insn: number, opcode: number): void {
    this.kinds[line] = kind;
    this.insns[line] = insn;
    this.opcodes[line] = opcode;
  }

  private grow(): void {
    const size = this.starts.length * 2;
    const enlarge = <T extends Uint32Array | Int32Array | Uint8Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.starts = enlarge(this.starts, new Uint32Array(size));
    this.insns = enlarge(this.insns, new Int32Array(size));
    this.kinds = enlarge(this.kinds, new Uint8Array(size));
    this.opcodes = enlarge(this.opcodes, new Uint8Array(size));
  }
}

/** A poisoned instruction is a call, whatever stands in its place. */
function opcodeIn({ kind, text }: LogLine): number {
  if (kind !== 'instruction') return 0;
  return parseInt(/^\d+: *\(([0-9a-f]{2})\)/.exec(text)?.[1] ?? '85', 16);
}

/** Value of a lower-case hexadecimal digit; negative for anything else. */
function hex(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x66 ? code - 0x61 + 10 : -0x100;
}
