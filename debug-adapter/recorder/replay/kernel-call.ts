/** What a call of a helper or kernel function does that no instruction shows: to the packet, to maps, to memory. */
import { isHelperCall, isKfuncCall } from '../../../toolchain/insn/effects';
import type { Insn } from '../../../toolchain/insn/insn';
import { helperWrites } from '../instrument/helpers';
import type { Machine } from './machine';

/** To be called before the call runs; the function returned when it has returned, or has called the program. */
export function beginCall(machine: Machine, pc: number): () => void {
  const { code, tracked, kernel } = machine;
  const insn = code.insns[pc] as Insn;
  const contentOf = (register: number) =>
    machine.known & (1 << register) ? machine.register(register) : undefined;
  const ended = kernel?.calls.begin(machine, pc);
  const changed = isHelperCall(insn) ? tracked?.effectOf(insn.imm, contentOf) : undefined;
  if (isHelperCall(insn)) forgetOutputs(machine, insn.imm, contentOf);
  return () => {
    const result = contentOf(0);
    changed?.(result);
    if (isKfuncCall(insn)) tracked?.kfuncCalled(code.kfuncs.get(pc));
    ended?.(result);
  };
}

/** What a helper writes is not known until the program reads it, but for what is recorded when it has returned. */
function forgetOutputs(
  { outputs, step }: Machine,
  helper: number,
  argument: (register: number) => bigint | undefined,
): void {
  helperWrites(helper)?.forEach(({ pointer, size }, nth) => {
    const address = argument(pointer);
    const length = typeof size === 'number' ? BigInt(size) : argument(size.argument);
    if (address !== undefined && length !== undefined) outputs.write(step, nth, address, Number(length));
  });
}
