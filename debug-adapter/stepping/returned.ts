/** What a function returned, where the run is right behind it. */
import { format } from '../../toolchain/btf/format';
import { decode } from '../../toolchain/btf/value';
import { describeReturnValue } from '../../toolchain/program/return-values';
import type { OpenedRun } from '../recorder/open-run';
import { bytesOfNumber } from './frame-view';
import { isExit } from '../../toolchain/insn/effects';

/** Moves the run to and fro. */
export function returnedAt(run: OpenedRun): { name: string; value: string } | undefined {
  const { timeline, statements, code, source, recording, ending, object } = run;
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
  const hex = `0x${value.toString(16)}`;
  const type = returnType(run, name);
  if (type === undefined) return { name, value: `R0 = ${hex}` };
  const size = object.btf!.sizeOf(type);
  // Of a function that returns nothing, R0 is whatever it left there.
  if (size === 0 || size > 8) return undefined;
  return { name, value: `${format(decode(object.btf!, type, bytesOfNumber(value, size)))} (R0 = ${hex})` };
}

/** 0 for void; undefined if the object's BTF does not have the function. */
function returnType({ object: { btf } }: OpenedRun, name: string): number | undefined {
  const found = btf?.find('func', name);
  const prototype = found?.kind === 'func' ? btf?.type(found.type) : undefined;
  return prototype?.kind === 'func_proto' ? prototype.returns : undefined;
}
