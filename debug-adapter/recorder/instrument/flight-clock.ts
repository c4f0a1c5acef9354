/**
 * The time of a run. To ask for it takes longer than all else that is recorded of a short run, since many clocks lie
 * outside of the processor. It is asked for by the first few runs of each tick of the kernel; those that come after them
 * in the same tick, of which there are many then, have the time of the last one that asked, and say so.
 */
import type { Insn } from '../../../toolchain/insn/insn';
import { Alu } from '../../../toolchain/insn/opcodes';
import { alu, ldx, stx } from './emit';
import type { TraceLayout } from './emit';
import { HELPER, RING, call, goto, jump, jumpBetween, lengthOf, mapValue, set } from './ring';

/** Runs that ask within a tick, which are a few thousand in a second. */
const ASKING = 32;

/** A run's time: nanoseconds of the kernel's monotonic clock, and whether they are those of an earlier run in the same tick. */
export interface RunTime {
  nanoseconds: bigint;
  isOfTick: boolean;
}

export function readTime(word: bigint): RunTime {
  return { nanoseconds: word >> 1n, isOfTick: (word & 1n) === 1n };
}

/** To R0. R1 to R5 are lost. What CPUs do to the tick's words at the same time makes one more or less ask. */
export function timeCode({ map }: TraceLayout): Insn[] {
  const newTick = [set(2, ASKING), stx(1, 2, RING.ASKING), stx(1, 0, RING.TICK)];
  const ask = [
    alu(Alu.SUB, 2, 1),
    stx(1, 2, RING.ASKING),
    call(HELPER.KTIME_GET_NS),
    mapValue(1, map),
    stx(1, 0, RING.TIME),
    alu(Alu.LSH, 0, 1),
  ];
  const take = [ldx(0, 1, RING.TIME, 8), alu(Alu.LSH, 0, 1), alu(Alu.OR, 0, 1), goto(lengthOf(ask))];
  return [
    call(HELPER.JIFFIES64),
    mapValue(1, map),
    ldx(2, 1, RING.TICK, 8),
    jumpBetween('==', 2, 0, lengthOf(newTick)),
    ...newTick,
    ldx(2, 1, RING.ASKING, 8),
    jump('!=', 2, 0, lengthOf(take)),
    ...take,
    ...ask,
  ];
}
