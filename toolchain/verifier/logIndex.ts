/**
 * A verifier log for random access. A log may have millions of lines, so no object is kept for a line: where it
 * begins, its class, its instruction, opcode and target stand in arrays, fourteen bytes together, beside the text.
 */
import { LINE_KINDS, classify } from './log';
import type { LineKind, LogLine } from './log';

const kindNumber = new Map(LINE_KINDS.map((kind, index) => [kind, index]));
const INSTRUCTION = kindNumber.get('instruction') as number;
const STATE = kindNumber.get('state') as number;
const PRECISION = kindNumber.get('precision') as number;
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
  /** Of an instruction line, where it jumps or which function of the program it calls; -1 for other lines. */
  target(line: number): number;
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
class LogReader implements LogIndex {
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
  private targets = new Int32Array(1024);
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
    return this.kind(line) === 'instruction' ? (this.opcodes[line] as number) : 0;
  }

  target(line: number): number {
    return this.kind(line) === 'instruction' ? (this.targets[line] as number) : -1;
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
    // Memory that is not written to is never taken, so room for lines of an ordinary length costs nothing.
    const expected = this.length + piece.length / 40;
    if (expected > this.starts.length) this.grow(Math.ceil(expected));
    this.pieces.push(piece);
    this.bases.push(this.total);
    for (let start = 0; start < piece.length;) {
      const newline = piece.indexOf('\n', start);
      const end = newline < 0 ? piece.length : newline;
      if (this.length === this.starts.length) this.grow(this.length * 2);
      this.starts[this.length] = this.total + start;
      this.read(piece, start, end);
      this.length++;
      start = end + 1;
    }
    this.total += piece.length;
  }

  /** Nearly all lines are of a few classes that their first characters tell, without a string of their own. */
  private read(piece: string, start: number, end: number): void {
    if (!this.inReport && !this.inListing && this.readCommon(piece, start, end)) return;
    const line = this.length;
    const text = piece.slice(start, end);
    const found = classify(text, line);
    if (text.startsWith('Live regs before')) this.inListing = false;
    if (text.startsWith('Verification failed:')) this.inReport = true;
    else if (found.kind === 'statistics' || found.kind === 'libbpf') this.inReport = false;
    if (/^(subprog#|stack use)/.test(text) && found.kind === 'liveness') this.inListing = true;
    else if (found.kind !== 'liveness' && found.kind !== 'instruction') this.inListing = false;
    if (this.inReport && found.kind !== 'blank') this.set(line, REPORT);
    else if (this.inListing && found.kind === 'instruction') this.set(line, LIVENESS);
    else if (found.kind === 'instruction')
      this.setInstruction(line, found.insn, opcodeIn(text), text, 0, text.length);
    else this.set(line, kindNumber.get(found.kind) as number, found.insn);
    if (this.kinds[line] === TEXT) this.unknownLines++;
  }

  private readCommon(piece: string, start: number, end: number): boolean {
    const line = this.length;
    const first = piece.charCodeAt(start);
    if (first === 0x3b) return this.set(line, SOURCE);
    // `mark_precise: `, of which logs are full. Comparing letters costs a third of what startsWith does.
    if (first === 0x6d && piece.charCodeAt(start + 4) === 0x5f && piece.charCodeAt(start + 5) === 0x70) {
      const isWhole = piece.charCodeAt(start + 12) === 0x3a && piece.charCodeAt(start + 13) === 0x20;
      return isWhole && start + 13 < end && this.set(line, PRECISION);
    }
    if (first < 0x30 || first > 0x39) return false;
    let at = start;
    let insn = 0;
    for (let digit; at - start < 8; at++) {
      digit = piece.charCodeAt(at) - 0x30;
      if (!(digit >= 0 && digit <= 9)) break;
      insn = insn * 10 + digit;
    }
    if (piece.charCodeAt(at) !== 0x3a || piece.charCodeAt(at + 1) !== 0x20) return false;
    const next = piece.charCodeAt(at + 2);
    if (next === 0x52 && at + 2 < end) return this.set(line, STATE, insn);
    if (next !== 0x28 || piece.charCodeAt(at + 5) !== 0x29 || at + 5 >= end) return false;
    const opcode = (hex(piece.charCodeAt(at + 3)) << 4) | hex(piece.charCodeAt(at + 4));
    return opcode >= 0 && this.setInstruction(line, insn, opcode, piece, at + 6, end);
  }

  private setInstruction(
    line: number,
    insn: number,
    opcode: number,
    text: string,
    from: number,
    end: number,
  ): true {
    const group = opcode & 7;
    this.opcodes[line] = opcode;
    // Classes JMP and JMP32. The destination stands behind the condition, which is short.
    this.targets[line] = group === 5 || group === 6 ? targetIn(text, from, end, insn) : -1;
    return this.set(line, INSTRUCTION, insn);
  }

  private set(line: number, kind: number, insn = -1): true {
    this.kinds[line] = kind;
    this.insns[line] = insn;
    return true;
  }

  private grow(size: number): void {
    const enlarge = <T extends Uint32Array | Int32Array | Uint8Array>(from: T, to: T): T => {
      to.set(from);
      return to;
    };
    this.starts = enlarge(this.starts, new Uint32Array(size));
    this.insns = enlarge(this.insns, new Int32Array(size));
    this.kinds = enlarge(this.kinds, new Uint8Array(size));
    this.opcodes = enlarge(this.opcodes, new Uint8Array(size));
    this.targets = enlarge(this.targets, new Int32Array(size));
  }
}

/** A poisoned instruction is a call, whatever stands in its place. */
function opcodeIn(text: string): number {
  return parseInt(/^\d+: *\(([0-9a-f]{2})\)/.exec(text)?.[1] ?? '85', 16);
}

/** No condition is longer; what stands behind may be a state of any length. */
const TARGET_WITHIN = 96;

/** Where `goto pc+3`, `call pc-7` and the like lead; -1 without any. */
function targetIn(text: string, from: number, lineEnd: number, insn: number): number {
  const end = Math.min(lineEnd, from + TARGET_WITHIN);
  let at = from;
  // The `pc` of ` pc`: scanned by hand, since indexOf would go on to the end of the text.
  while (
    at < end &&
    !(text.charCodeAt(at) === 0x63 && text.charCodeAt(at - 1) === 0x70 && text.charCodeAt(at - 2) === 0x20)
  )
    at++;
  const sign = text.charCodeAt(++at);
  if (at >= end || (sign !== 0x2b && sign !== 0x2d)) return -1;
  const before = text.charCodeAt(at - 4);
  // `goto` or `call`; `may_goto` and `gotol` lead elsewhere in ways of their own.
  if (before !== 0x6f && before !== 0x6c) return -1;
  let offset = 0;
  for (at++; at < end; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (!(digit >= 0 && digit <= 9) || offset > 1e7) break;
    offset = offset * 10 + digit;
  }
  return insn + 1 + (sign === 0x2b ? offset : -offset);
}

/** Value of a lower-case hexadecimal digit; negative for anything else. */
function hex(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  return code >= 0x61 && code <= 0x66 ? code - 0x61 + 10 : -0x100;
}
