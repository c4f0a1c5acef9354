/** The rewritten program: original instructions with the code between them that records. */
import { bit, isGoto, isJump, isSubprogramCall, jumpDistance } from '../../../toolchain/insn/effects';
import { encodeInsns, slotsOf } from '../../../toolchain/insn/insn';
import type { Insn } from '../../../toolchain/insn/insn';
import {
  Alu,
  Class,
  Jump,
  LD_IMM64,
  Mode,
  Pseudo,
  R10,
  SOURCE_REGISTER,
} from '../../../toolchain/insn/opcodes';
import type { Flow } from './flow';
import type { Field, Point } from './points';
import { registersIn } from './points';
import type { RegisterFacts, TraceRecord } from './records';
import { CPU_REGISTER, RECORD_HEADER, freeAt } from './records';

/**
 * The trace: an array map of one value. Its first page holds the number of bytes written so far (u64 at 0); records
 * follow one another from the second page on.
 */
export interface TraceLayout {
  /** Handle of the map. */
  map: number;
  /** Bytes of records; a power of two. Record addresses are taken modulo this. */
  capacity: number;
}
export const TRACE_HEADER = 4096;

const BYTES = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 } as const;

export interface Emitted {
  instructions: Uint8Array<ArrayBuffer>;
  /** Index in the new program of each original instruction, with what is recorded before it. */
  start: Int32Array;
}

/** Why a program cannot be rewritten. */
export interface TooFar {
  insn: number;
}

export function emit(
  flow: Flow,
  records: readonly TraceRecord[],
  facts: RegisterFacts,
  trace: TraceLayout,
  stackDepth: (subprogram: number) => number,
  longJumps: boolean,
): Emitted | TooFar {
  const writer: RecordWriter = {
    firstField: ({ size }) => TRACE_HEADER - size + RECORD_HEADER,
    reserve: (record, spill) => reserve(record, trace, spill),
  };
  return layOut(flow, recordingCode(flow, records, facts, writer, stackDepth), longJumps);
}

/** How a record is begun. */
export interface RecordWriter {
  /** Where its fields begin, counted from where the address register points to. */
  firstField(record: TraceRecord): number;
  /** Takes the record's bytes, so that the address register leads to them. */
  reserve(record: TraceRecord, spill: Spiller): Insn[];
}

/** Code to put into a program, by the index of an original instruction. */
export interface Inserted {
  /** Where a subprogram begins: jumps to its first instruction go past it. */
  entry: Map<number, Insn[]>;
  /** Before an instruction, for those who arrive there anew. */
  arrival: Map<number, Arrival>;
  /** Before an instruction, always. */
  before: Map<number, Insn[]>;
  after: Map<number, Insn[]>;
}

export interface Arrival {
  code: Insn[];
  /** Who comes from the instruction above goes past it. */
  passedFromAbove: boolean;
  /** So does a jump from there. */
  isPassedFrom(insn: number): boolean;
}

/** The code that records. */
export function recordingCode(
  flow: Flow,
  records: readonly TraceRecord[],
  facts: RegisterFacts,
  writer: RecordWriter,
  stackDepth: (subprogram: number) => number,
): Inserted {
  const entry = new Map<number, Insn[]>();
  const before = new Map<number, Insn[]>();
  const after = new Map<number, Insn[]>();
  const sides = { before: entry, ahead: before, after };
  for (const record of records) {
    const { insn: at } = record.points[0] as Point;
    const spill = spiller(stackDepth(flow.subprogramOf(at).index));
    let offset = writer.firstField(record);
    record.points.forEach((point, index) => {
      const code: Insn[] = [];
      if (point.fields.some(({ kind }) => kind === 'cpu')) code.push(...ASK_FOR_CPU);
      if (index === 0) code.push(...writer.reserve(record, spill));
      for (const field of point.fields) {
        code.push(...store(field, record, offset, freeAt(point, facts)));
        offset += 8;
      }
      if (index === record.points.length - 1 && record.spilled.includes(record.address))
        code.push(spill.restore(record.address, 0));
      sides[point.side].set(point.insn, code);
    });
  }
  return { entry, arrival: new Map(), before, after };
}

/**
 * The program with code put into it.
 * @param longJumps whether the kernel has jumps of 32 bits (CPU version 4, since Linux 6.6). Without, a jump that has
 * become too long for its 16 bits is too far.
 */
export function layOut(flow: Flow, inserted: Inserted, longJumps = false): Emitted | TooFar {
  const long = new Set<number>();
  for (;;) {
    const emitted = layOutWith(flow, inserted, long);
    if ('instructions' in emitted || !longJumps || long.has(emitted.insn)) return emitted;
    // With a longer jump in it the program is longer, and others may have become too long.
    long.add(emitted.insn);
  }
}

/** @param long jumps that are made by way of one of 32 bits. */
function layOutWith(
  flow: Flow,
  { entry, arrival, before, after }: Inserted,
  long: ReadonlySet<number>,
): Emitted | TooFar {
  const { insns } = flow;
  const takesDetour = (insn: number) => long.has(insn) && !isGoto(insns[insn] as Insn);
  const detour = (insn: number) => (takesDetour(insn) ? DETOUR : 0);
  const start = new Int32Array(insns.length);
  /** Where jumps to an instruction go: behind what is recorded when a subprogram is entered. */
  const landing = new Int32Array(insns.length);
  /** Behind what is there for those who arrive anew. */
  const past = new Int32Array(insns.length);
  const place = new Int32Array(insns.length);
  let length = 0;
  const slots = (code: readonly Insn[] | undefined) =>
    (code ?? []).reduce((sum, insn) => sum + slotsOf(insn), 0);
  insns.forEach((insn, index) => {
    if (!insn) return;
    const arrivals = arrival.get(index);
    start[index] = length;
    landing[index] = length + slots(entry.get(index)) + (arrivals?.passedFromAbove ? 1 : 0);
    past[index] = (landing[index] as number) + slots(arrivals?.code);
    place[index] = (past[index] as number) + slots(before.get(index));
    length = (place[index] as number) + slotsOf(insn) + detour(index) + slots(after.get(index));
  });

  const output: Insn[] = [];
  for (let index = 0; index < insns.length; index = flow.next(index)) {
    const original = insns[index] as Insn;
    const insn = { ...original };
    const following = (place[index] as number) + 1;
    const arrivals = arrival.get(index);
    if (isJump(insn)) {
      const target = index + 1 + jumpDistance(original);
      const isPassed = arrival.get(target)?.isPassedFrom(index) === true;
      const distance = ((isPassed ? past : landing)[target] as number) - following;
      if (insn.code === (Class.JMP32 | Jump.JA)) insn.imm = distance;
      else if (takesDetour(index)) insn.off = 1;
      else if (long.has(index)) Object.assign(insn, { code: Class.JMP32 | Jump.JA, off: 0, imm: distance });
      else if (distance < -0x8000 || distance > 0x7fff) return { insn: index };
      else insn.off = distance;
    } else if (isSubprogramCall(insn) || (insn.code === LD_IMM64 && insn.src === Pseudo.FUNCTION)) {
      insn.imm = (start[flow.target(index)] as number) - following;
    }
    output.push(...(entry.get(index) ?? []));
    if (arrivals?.passedFromAbove) output.push(goto(slots(arrivals.code)));
    output.push(...(arrivals?.code ?? []), ...(before.get(index) ?? []));
    output.push(insn);
    if (takesDetour(index)) {
      const target = (landing[index + 1 + jumpDistance(original)] as number) - following - DETOUR;
      output.push(goto(1), { ...goto(0), code: Class.JMP32 | Jump.JA, imm: target });
    }
    output.push(...(after.get(index) ?? []));
  }
  return { instructions: encodeInsns(output), start };
}

/** Slots behind a jump for going on where it is not taken, and for the long jump that is taken instead. */
const DETOUR = 2;

export interface Spiller {
  save(register: number, slot: number): Insn;
  restore(register: number, slot: number): Insn;
}

/** Bytes that two spilled registers take below a subprogram's own stack. */
export const SPILL_BYTES = 16;

function spiller(depth: number): Spiller {
  const offset = (slot: number) => -(Math.ceil(depth / 8) * 8) - 8 * (slot + 1);
  return {
    save: (register, slot) => stx(R10, register, offset(slot)),
    restore: (register, slot) => ldx(register, R10, offset(slot), 8),
  };
}

/**
 * Takes the record's bytes: the address register then points so far behind the trace's beginning as bytes were written
 * with this record, which lies below it. Without a branch, since a branch would double what the verifier has to follow.
 */
function reserve(record: TraceRecord, { map, capacity }: TraceLayout, spill: Spiller): Insn[] {
  const { address, scratch, spilled, size, id } = record;
  const slot = (register: number) => (register === address ? 0 : 1);
  return [
    ...spilled.map((register) => spill.save(register, slot(register))),
    { code: LD_IMM64, dst: address, src: Pseudo.MAP_VALUE, off: 0, imm: map, high: 0 },
    ldx(scratch, address, 0, 8),
    alu(Alu.ADD, scratch, size),
    stx(address, scratch, 0),
    alu(Alu.AND, scratch, capacity - 8),
    { code: Class.ALU64 | Alu.ADD | SOURCE_REGISTER, dst: address, src: scratch, off: 0, imm: 0, high: 0 },
    {
      code: Class.ST | Mode.MEM | BYTES[4],
      dst: address,
      src: 0,
      off: TRACE_HEADER - size,
      imm: id,
      high: 0,
    },
    ...spilled.filter((register) => register === scratch).map((register) => spill.restore(register, 1)),
  ];
}

/** Where the program begins, R1 is all that holds a value; R6 keeps it through the call. The result is in R0. */
const ASK_FOR_CPU: readonly Insn[] = [
  { code: Class.ALU64 | Alu.MOV | SOURCE_REGISTER, dst: 6, src: 1, off: 0, imm: 0, high: 0 },
  { code: Class.JMP | Jump.CALL, dst: 0, src: 0, off: 0, imm: 8, high: 0 },
  { code: Class.ALU64 | Alu.MOV | SOURCE_REGISTER, dst: 1, src: 6, off: 0, imm: 0, high: 0 },
];

function store(field: Field, { address }: TraceRecord, offset: number, free: number): Insn[] {
  if (field.kind === 'cpu') return [stx(address, CPU_REGISTER, offset)];
  if (field.kind === 'register') return [stx(address, field.register, offset)];
  const scratch = registersIn(free & ~bit(address))[0] as number;
  return [ldx(scratch, R10, field.offset, field.size), stx(address, scratch, offset)];
}

function goto(distance: number): Insn {
  return { code: Class.JMP | Jump.JA, dst: 0, src: 0, off: distance, imm: 0, high: 0 };
}
export function ldx(dst: number, src: number, off: number, size: 1 | 2 | 4 | 8): Insn {
  return { code: Class.LDX | Mode.MEM | BYTES[size], dst, src, off, imm: 0, high: 0 };
}
export function stx(dst: number, src: number, off: number): Insn {
  return { code: Class.STX | Mode.MEM | BYTES[8], dst, src, off, imm: 0, high: 0 };
}
export function alu(operation: number, dst: number, imm: number): Insn {
  return { code: Class.ALU64 | operation, dst, src: 0, off: 0, imm, high: 0 };
}
