/** A program and its points of recording, laid out for quick execution. */
import { analyseFlow } from '../instrument/flow';
import type { TraceRecord } from '../instrument/records';
import type { Field } from '../instrument/points';
import { Class, LD_IMM64, Pseudo } from '../../../toolchain/insn/opcodes';
import {
  isAtomic,
  isCall,
  isExit,
  isGoto,
  isHelperCall,
  isJump,
  isLoad,
  isMayGoto,
  isPacketLoad,
  isSubprogramCall,
  jumpDistance,
} from '../../../toolchain/insn/effects';
import { decodeInsns } from '../../../toolchain/insn/insn';
import type { Insn } from '../../../toolchain/insn/insn';

export const Kind = {
  ALU: 0,
  JUMP: 1,
  LOAD: 2,
  STORE: 3,
  ATOMIC: 4,
  IMMEDIATE: 5,
  SUBPROGRAM: 6,
  CALL: 7,
  EXIT: 8,
  MAY_GOTO: 9,
} as const;

/** A point of recording. */
export interface ReplayPoint {
  /** Number of the record that begins here; 0 when the record began at an earlier point. */
  record: number;
  fields: readonly Field[];
}

export interface ReplayCode {
  insns: readonly (Insn | undefined)[];
  kind: Uint8Array;
  code: Uint8Array;
  dst: Uint8Array;
  src: Uint8Array;
  off: Int16Array;
  imm: Int32Array;
  high: Int32Array;
  /** Where the next instruction is, and where a jump or a call to a subprogram leads. */
  next: Int32Array;
  target: Int32Array;
  /** 1 for a jump that is always taken. */
  isGoto: Uint8Array;
  /** 1 for a load whose result the trace gives. */
  isInput: Uint8Array;
  before: (ReplayPoint | undefined)[];
  ahead: (ReplayPoint | undefined)[];
  after: (ReplayPoint | undefined)[];
  /** Names of the kernel functions that are called, by instruction. */
  kfuncs: ReadonlyMap<number, string>;
  /** Number of a record → start of the subprogram whose entry it records. */
  entries: Map<number, number>;
  /** Start → stack bytes, of each subprogram. */
  stackDepth: Map<number, number>;
  subprogramOf(insn: number): number;
}

/**
 * @param addresses what 64-bit immediate loads of maps and kernel variables give, by instruction.
 */
export function replayCode(
  instructions: Uint8Array,
  records: readonly Pick<TraceRecord, 'id' | 'points'>[],
  stackDepth: readonly number[],
  addresses: ReadonlyMap<number, bigint>,
  kfuncs: ReadonlyMap<number, string> = new Map(),
): ReplayCode {
  const flow = analyseFlow(decodeInsns(instructions));
  const count = flow.insns.length;
  const code: ReplayCode = {
    insns: flow.insns,
    kind: new Uint8Array(count),
    code: new Uint8Array(count),
    dst: new Uint8Array(count),
    src: new Uint8Array(count),
    off: new Int16Array(count),
    imm: new Int32Array(count),
    high: new Int32Array(count),
    next: new Int32Array(count),
    target: new Int32Array(count),
    isGoto: new Uint8Array(count),
    isInput: new Uint8Array(count),
    before: new Array<ReplayPoint | undefined>(count).fill(undefined),
    ahead: new Array<ReplayPoint | undefined>(count).fill(undefined),
    after: new Array<ReplayPoint | undefined>(count).fill(undefined),
    kfuncs,
    entries: new Map(),
    stackDepth: new Map(flow.subprograms.map(({ start, index }) => [start, stackDepth[index] ?? 512])),
    subprogramOf: (insn) => flow.subprogramOf(insn).start,
  };
  flow.insns.forEach((insn, index) => {
    if (!insn) return;
    code.kind[index] = kindOf(insn);
    code.code[index] = insn.code;
    code.dst[index] = insn.dst;
    code.src[index] = insn.src;
    code.off[index] = insn.off;
    code.imm[index] = insn.imm;
    code.high[index] = insn.high;
    code.next[index] = flow.next(index);
    if (isGoto(insn)) code.isGoto[index] = 1;
    if (isJump(insn)) {
      code.target[index] = index + 1 + jumpDistance(insn);
    } else if (isSubprogramCall(insn)) {
      code.target[index] = flow.target(index);
    }
    const address = addresses.get(index);
    if (insn.code === LD_IMM64 && insn.src !== Pseudo.NUMBER && address !== undefined) {
      code.imm[index] = Number(BigInt.asIntN(32, address));
      code.high[index] = Number(BigInt.asIntN(32, address >> 32n));
    }
  });
  for (const { id, points } of records) {
    points.forEach(({ insn, side, fields }, position) => {
      code[side][insn] = { record: position === 0 ? id : 0, fields };
      if (side === 'before') code.entries.set(id, insn);
      if (side === 'after' && fields.some((field) => field.kind === 'register' && !field.checked))
        code.isInput[insn] = 1;
    });
  }
  return code;
}

function kindOf(insn: Insn): number {
  if (isLoad(insn)) return Kind.LOAD;
  if (isAtomic(insn)) return Kind.ATOMIC;
  if (insn.code === LD_IMM64) return Kind.IMMEDIATE;
  if (isSubprogramCall(insn)) return Kind.SUBPROGRAM;
  if (isCall(insn) || isPacketLoad(insn)) return Kind.CALL;
  if (isHelperCall(insn)) return Kind.CALL;
  if (isExit(insn)) return Kind.EXIT;
  if (isMayGoto(insn)) return Kind.MAY_GOTO;
  if (isJump(insn)) return Kind.JUMP;
  const group = insn.code & 7;
  return group === Class.ALU || group === Class.ALU64 ? Kind.ALU : Kind.STORE;
}
