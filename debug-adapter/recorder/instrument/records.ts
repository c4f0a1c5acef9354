/**
 * Points that share one reservation in the trace. Between the first and the last point of a record one register has to
 * be free, to hold the record's address; a second one is needed at the reservation.
 */
import { bit, reads, writes } from '../../../toolchain/insn/effects';
import type { Insn } from '../../../toolchain/insn/insn';
import { mayNotReturn } from './flow';
import type { Flow } from './flow';
import type { Liveness, RegisterSets } from './liveness';
import { registersIn } from './points';
import type { Point } from './points';

export interface TraceRecord {
  /** Number in the trace, from 1 on. */
  id: number;
  points: Point[];
  /** Bytes: 8 for the id, and 8 for each field. */
  size: number;
  /** Register that holds its address from the first point to the last. */
  address: number;
  /** Register used at the reservation. */
  scratch: number;
  /** Those of the two that hold a value of the program's, to be kept on the stack meanwhile. */
  spilled: number[];
}

/** Bytes before the first field. */
export const RECORD_HEADER = 8;
/** Records are small beside the header page of the trace, which is what they may reach back into. */
const MAX_FIELDS = 64;
/** Where {@link emit} has the CPU's number until it is recorded. */
export const CPU_REGISTER = 0;
/** R0 to R9. */
const USABLE = 0x3ff;

export interface RegisterFacts {
  liveness: Liveness;
  must: RegisterSets;
  may: RegisterSets;
}

/** No register is free at an instruction, and none may be kept on the stack. */
export interface NoRegister {
  insn: number;
}

/**
 * @param divided whether something else stands before an instruction, which leaves no register as it is.
 */
export function groupPoints(
  flow: Flow,
  points: readonly Point[],
  facts: RegisterFacts,
  divided: (insn: number) => boolean = () => false,
): TraceRecord[] | NoRegister {
  const records: TraceRecord[] = [];
  let index = 0;
  for (const { end } of flow.blocks) {
    const inBlock: Point[] = [];
    while (index < points.length && (points[index] as Point).insn < end)
      inBlock.push(points[index++] as Point);
    while (inBlock.length > 0) {
      const record = beginRecord(flow, inBlock, facts, records.length + 1, divided);
      if (!record) return { insn: (inBlock[0] as Point).insn };
      inBlock.splice(0, record.points.length);
      records.push(record);
    }
  }
  return records;
}

/** The record that begins with the first of the points and takes as many more as it can. */
function beginRecord(
  flow: Flow,
  points: readonly Point[],
  facts: RegisterFacts,
  id: number,
  divided: (insn: number) => boolean,
): TraceRecord | undefined {
  const first = points[0] as Point;
  const free = registersIn(freeAt(first, facts));
  const keepable = registersIn(at(first, facts.must) & ~freeAt(first, facts) & ~recorded(first) & USABLE);
  let best: { address: number; length: number } | undefined;
  for (const address of free.length > 0 ? free : keepable) {
    const length = reach(flow, points, address, facts, divided);
    if (length > (best?.length ?? 0)) best = { address, length };
  }
  if (!best) return undefined;
  const { address, length } = best;
  const scratch = [...free, ...keepable].find((register) => register !== address);
  if (scratch === undefined) return undefined;
  const taken = points.slice(0, length);
  const fields = taken.reduce((sum, point) => sum + point.fields.length, 0);
  return {
    id,
    points: taken,
    size: RECORD_HEADER + 8 * fields,
    address,
    scratch,
    spilled: [address, scratch].filter((register) => !free.includes(register)),
  };
}

/** How many of the points a record can take whose address is in a register: as long as nothing touches it. */
function reach(
  flow: Flow,
  points: readonly Point[],
  address: number,
  facts: RegisterFacts,
  divided: (insn: number) => boolean,
): number {
  let fields = 0;
  let from = points[0] as Point;
  for (const [count, point] of points.entries()) {
    for (const index of insnsBetween(flow, from, point)) {
      if (divided(index)) return count;
      const insn = flow.insns[index] as Insn;
      // Records of functions that a call runs stand between what is recorded before and after it.
      if ((reads(insn) | writes(insn)) & bit(address) || mayNotReturn(insn)) return count;
    }
    from = point;
    fields += point.fields.length;
    if (fields > MAX_FIELDS || recorded(point) & bit(address)) return count;
    const needsScratch = point.fields.some(({ kind }) => kind === 'stack');
    if (needsScratch && (freeAt(point, facts) & ~bit(address)) === 0) return count;
  }
  return points.length;
}

function* insnsBetween(flow: Flow, from: Point, to: Point): Generator<number> {
  let index = from.side === 'after' ? flow.next(from.insn) : from.insn;
  const end = to.side === 'after' ? flow.next(to.insn) : to.insn;
  for (; index < end; index = flow.next(index)) yield index;
}

function recorded({ fields }: Point): number {
  return fields.reduce((set, field) => {
    if (field.kind === 'stack') return set;
    return set | bit(field.kind === 'register' ? field.register : CPU_REGISTER);
  }, 0);
}

/** Registers that nobody needs at a point, because nothing reads them or nothing is in them, and that are not recorded. */
export function freeAt(point: Point, { liveness, may }: RegisterFacts): number {
  return USABLE & ~(at(point, liveness) & at(point, may)) & ~recorded(point);
}

function at({ insn, side }: Point, sets: RegisterSets): number {
  return side === 'after' ? sets.after(insn) : sets.before(insn);
}
