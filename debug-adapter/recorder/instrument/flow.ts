/** A program's subprograms and basic blocks. */
import {
  isCall,
  isExit,
  isGoto,
  isHelperCall,
  isJump,
  isMayGoto,
  isPacketLoad,
  isSubprogramCall,
  jumpDistance,
} from '../../../toolchain/insn/effects';
import type { Insn } from '../../../toolchain/insn/insn';
import { slotsOf } from '../../../toolchain/insn/insn';
import { LD_IMM64, Pseudo } from '../../../toolchain/insn/opcodes';

export interface Subprogram {
  index: number;
  /** First instruction, and the one after its last. */
  start: number;
  end: number;
  /** The kernel may call it, with arguments of its own: its address is taken. */
  isCallback: boolean;
}

export interface Block {
  /** First instruction, and the one after its last. */
  start: number;
  end: number;
  /** Starts of the blocks that may follow within the subprogram. */
  successors: number[];
}

export interface Flow {
  insns: readonly (Insn | undefined)[];
  subprograms: Subprogram[];
  /** In the order of the program. */
  blocks: Block[];
  /** Subprogram of each instruction. */
  subprogramOf(insn: number): Subprogram;
  /** Instruction that a call or a function's address goes to. */
  target(insn: number): number;
  /** Whether a jump leads here. */
  isJumpTarget(insn: number): boolean;
  next(insn: number): number;
}

/** Finds subprograms by who calls them, and blocks by who jumps where. The kernel has accepted the program already. */
export function analyseFlow(insns: readonly (Insn | undefined)[]): Flow {
  const at = (index: number): Insn => insns[index] as Insn;
  const next = (index: number): number => index + slotsOf(at(index));
  const target = (index: number): number => index + 1 + at(index).imm;
  const starts = new Map<number, boolean>([[0, false]]);
  const jumpTargets = new Set<number>();
  insns.forEach((insn, index) => {
    if (!insn) return;
    if (isSubprogramCall(insn)) starts.set(target(index), starts.get(target(index)) ?? false);
    if (insn.code === LD_IMM64 && insn.src === Pseudo.FUNCTION) starts.set(target(index), true);
    if (isJump(insn)) jumpTargets.add(index + 1 + jumpDistance(insn));
  });
  const ordered = [...starts].sort(([a], [b]) => a - b);
  const subprograms = ordered.map(([start, isCallback], index): Subprogram => {
    return { index, start, end: ordered[index + 1]?.[0] ?? insns.length, isCallback };
  });
  const owner = new Int32Array(insns.length);
  for (const { index, start, end } of subprograms) owner.fill(index, start, end);

  const blocks: Block[] = [];
  let start = 0;
  for (let index = 0; index < insns.length; index = next(index)) {
    const insn = at(index);
    const following = next(index);
    const ends =
      isJump(insn) ||
      isExit(insn) ||
      jumpTargets.has(following) ||
      starts.has(following) ||
      following >= insns.length ||
      mayNotReturn(insn);
    if (!ends) continue;
    const successors: number[] = [];
    if (isJump(insn)) successors.push(index + 1 + jumpDistance(insn));
    if (!isExit(insn) && !isGoto(insn) && following < insns.length) successors.push(following);
    blocks.push({ start, end: following, successors });
    start = following;
  }
  return {
    insns,
    subprograms,
    blocks,
    subprogramOf: (insn) => subprograms[owner[insn] as number] as Subprogram,
    target,
    isJumpTarget: (insn) => jumpTargets.has(insn),
    next,
  };
}

/** BPF_FUNC_tail_call */
const TAIL_CALL = 12;

/**
 * Whether what follows an instruction may not be what runs next, or not at once, and nothing but the kernel knows:
 * functions of the program run in between, the program ends here, or a loop is left.
 */
export function mayNotReturn(insn: Insn): boolean {
  if (isPacketLoad(insn) || isMayGoto(insn)) return true;
  if (!isCall(insn)) return false;
  return !isHelperCall(insn) || insn.imm === TAIL_CALL || CALLBACK_HELPERS.has(insn.imm);
}

/** Helpers that call a function of the program: for_each_map_elem, loop, find_vma, user_ringbuf_drain. */
const CALLBACK_HELPERS = new Set([164, 181, 180, 209]);

/** Helpers and kfuncs whose callback runs later, when the program has ended: timer_set_callback. */
export const LATER_CALLBACK_HELPERS = new Set([170]);
