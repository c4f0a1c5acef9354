/** What a function returned, where the run is right behind it. */
import { describeReturnValue } from '../../toolchain/program/return-values';
import type { OpenedRun } from '../recorder/open-run';
import { isExit } from '../../toolchain/insn/effects';

/** Moves the run to and fro. */
export function returnedAt(run: OpenedRun): { name: string; value: string } | undefined {
  const { timeline, statements, code, source, recording, ending } = run;
  const { machine } = timeline;
  const { step } = machine;
  const isEnd = step >= timeline.length;
  if (isEnd) {
    if (ending.kind !== 'returned') return undefined;
    const { name, type } = recording.program;
    return { name, value: describeReturnValue(type, recording.result.returnValue).text };
  }
  // Only behind a line of a function that was called from here can one have returned.
  const here = statements.at(step);
  const wasDeeper = here > 0 && statements.depth(here - 1) >> 8 > machine.frames.length;
  if (step === 0 || !wasDeeper || (machine.known & 1) === 0) return undefined;
  const value = machine.register(0);
  const { pc } = timeline.seek(step - 1);
  timeline.seek(step);
  const insn = code.insns[pc];
  const name = source.functionAt(pc)?.name;
  if (!insn || !isExit(insn) || name === undefined) return undefined;
  const signed = BigInt.asIntN(32, value);
  return { name, value: `${signed} (R0 = 0x${value.toString(16)})` };
}
