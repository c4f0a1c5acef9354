/**
 * Rewrites a program so that while it runs in the kernel it records what cannot be recomputed: the content of memory
 * it loads, results of helpers and kfuncs, where its stack frames lie. Re-execution (../replay) computes the rest.
 */
import { isCall, isHelperCall } from '../../../toolchain/insn/effects';
import { decodeInsns } from '../../../toolchain/insn/insn';
import type { Insn } from '../../../toolchain/insn/insn';
import { Alu, Class, Jump, LD_IMM64, Pseudo, SOURCE_REGISTER } from '../../../toolchain/insn/opcodes';
import type { TraceLayout } from './emit';
import { SPILL_BYTES, emit } from './emit';
import { LATER_CALLBACK_HELPERS, analyseFlow } from './flow';
import type { Flow } from './flow';
import { analyseFrame } from './frame';
import { analyseInitialised, analyseLiveness } from './liveness';
import type { Recording } from './points';
import { choosePoints } from './points';
import { groupPoints } from './records';
import type { TraceRecord } from './records';

/** A loaded program as libbpf prepared it; see `programPrepared` of the kernel protocol. */
export interface PreparedProgram {
  instructions: Uint8Array;
  /** `struct bpf_func_info[]` and `struct bpf_line_info[]`, offsets in instructions. */
  funcInfo: Uint8Array;
  lineInfo: Uint8Array;
}

export interface Instrumented {
  variant: PreparedProgram;
  flow: Flow;
  records: TraceRecord[];
}

/** Why a program cannot be recorded, in words for its user. */
export interface CannotRecord {
  reason: string;
  /** Instruction that stands in the way. */
  insn?: number;
}

/**
 * @param parametersOf number of parameters of a FUNC of the object's BTF.
 * @param options `withCpu`: whether to record the CPU of the run, as following per-CPU maps needs it; `longJumps`: whether
 * the kernel has jumps of 32 bits.
 * @param stackDepth bytes of stack by subprogram, in the order of the program, as the verifier's statistics list them.
 */
export function instrument(
  program: PreparedProgram,
  stackDepth: readonly number[],
  trace: TraceLayout,
  recording: Recording,
  parametersOf: (functionType: number) => number | undefined,
  { withCpu = false, longJumps = false } = {},
): Instrumented | CannotRecord {
  const insns = decodeInsns(program.instructions);
  const obstacle = findObstacle(insns);
  if (obstacle) return obstacle;
  const flow = analyseFlow(insns);
  const liveness = analyseLiveness(flow);
  const facts = { liveness, ...analyseInitialised(flow) };
  const parameters = functionParameters(program.funcInfo, parametersOf);
  const points = choosePoints(flow, liveness, analyseFrame(flow), recording, parameters, withCpu);
  const records = groupPoints(flow, points, facts);
  if (!Array.isArray(records))
    return { reason: 'every register is in use where a value has to be recorded', insn: records.insn };
  const depth = (subprogram: number) => stackDepth[subprogram] ?? 512;
  const full = records.find(({ spilled, points: [first] }) => {
    return spilled.length > 0 && depth(flow.subprogramOf(first!.insn).index) > 512 - SPILL_BYTES;
  });
  if (full) {
    return {
      reason: 'all 512 bytes of the stack and all registers are in use where a value has to be recorded',
      insn: full.points[0]!.insn,
    };
  }
  const emitted = emit(flow, records, facts, trace, depth, longJumps);
  if (!('instructions' in emitted))
    return {
      reason: 'with the recording in between, a jump would be too long for an instruction',
      insn: emitted.insn,
    };
  const { instructions, start } = emitted;
  return {
    variant: { instructions, ...movedInfo(program, start) },
    flow,
    records,
  };
}

/** Number of parameters of the function that starts at an instruction. */
export function functionParameters(
  funcInfo: Uint8Array,
  parametersOf: (functionType: number) => number | undefined,
): (start: number) => number | undefined {
  const types = functionTypes(funcInfo);
  return (start) => {
    const type = types.get(start);
    return type === undefined ? undefined : parametersOf(type);
  };
}

/** Functions and lines of a program whose instructions have moved. */
export function movedInfo(
  { funcInfo, lineInfo }: PreparedProgram,
  start: Int32Array,
): Pick<PreparedProgram, 'funcInfo' | 'lineInfo'> {
  return { funcInfo: moveOffsets(funcInfo, 8, start), lineInfo: moveOffsets(lineInfo, 16, start) };
}

/** First instruction of each function → type id of its FUNC. */
function functionTypes(funcInfo: Uint8Array): Map<number, number> {
  const view = new DataView(funcInfo.buffer, funcInfo.byteOffset, funcInfo.byteLength);
  const types = new Map<number, number>();
  for (let at = 0; at + 8 <= funcInfo.length; at += 8)
    types.set(view.getUint32(at, true), view.getUint32(at + 4, true));
  return types;
}

/** The records of `size` bytes with their first field, an instruction's index, moved to where that is now. */
function moveOffsets(records: Uint8Array, size: number, start: Int32Array): Uint8Array<ArrayBuffer> {
  const moved = new Uint8Array(records);
  const view = new DataView(moved.buffer);
  for (let at = 0; at + size <= moved.length; at += size) {
    view.setUint32(at, start[view.getUint32(at, true)] ?? 0, true);
  }
  return moved;
}

/** The first instruction that keeps a program from being recorded. */
export function findObstacle(insns: readonly (Insn | undefined)[]): CannotRecord | undefined {
  for (const [index, insn] of insns.entries()) {
    const reason = insn && obstacle(insn);
    if (reason) return { reason, insn: index };
  }
  return undefined;
}

function obstacle(insn: Insn): string | undefined {
  if (isHelperCall(insn) && LATER_CALLBACK_HELPERS.has(insn.imm))
    return 'a timer runs its callback after the program has ended, so that there is no one run to record';
  if (insn.code === (Class.ALU64 | Alu.MOV | SOURCE_REGISTER) && insn.off === 1)
    return 'it uses an arena, whose memory user space may change at any time';
  if (insn.code === (Class.JMP | Jump.JA | SOURCE_REGISTER)) return 'it jumps through a table';
  if (isCall(insn) && insn.code & SOURCE_REGISTER) return 'it calls through a register';
  if (insn.code === LD_IMM64 && (insn.src === Pseudo.MAP_INDEX || insn.src === Pseudo.MAP_INDEX_VALUE))
    return 'it names maps by index';
  return undefined;
}
