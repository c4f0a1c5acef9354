/** What can go wrong in a run without stopping it: calls that failed, and ends that lose the packet. */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { isHelperCall } from '../../../toolchain/insn/effects';
import {
  describeReturnValue,
  isAbortVerdict,
  isDropVerdict,
  negativeErrno,
} from '../../../toolchain/program/return-values';
import type { OpenedRun } from '../../recorder/open-run';
import { Kind } from '../../recorder/replay/code';
import type { Machine } from '../../recorder/replay/machine';
import { calledName } from './functions';
import { hitAt } from './lines';
import type { Hit, Source } from './source';

export type ExceptionFilter = 'helperError' | 'lookupMissed' | 'dropped' | 'aborted' | 'tailCallFailed';

/** Numbers of helpers: `enum bpf_func_id` of include/uapi/linux/bpf.h. */
const Helper = { MAP_LOOKUP: 1, TAIL_CALL: 12, MAP_LOOKUP_PERCPU: 195 } as const;
/** Error numbers are at most this large: MAX_ERRNO of include/linux/err.h. */
const MAX_ERRNO = 4095n;

const CONDITION = 'C expression over what is in scope there; stops only where it is not zero';
const call = (filter: ExceptionFilter, label: string, description: string) => ({
  filter,
  label,
  description,
  supportsCondition: true,
  conditionDescription: CONDITION,
});
const end = (filter: ExceptionFilter, label: string, description: string) => ({
  filter,
  label,
  description,
  supportsCondition: true,
  conditionDescription: CONDITION,
});

export const exceptionFilters: (DebugProtocol.ExceptionBreakpointsFilter & { filter: ExceptionFilter })[] = [
  call(
    'helperError',
    'Helper Returned an Error',
    'Stops behind a call that returned a negative error number; of kernel functions (kfuncs) only if the program looks at the result.',
  ),
  call('lookupMissed', 'Map Lookup Missed', 'Stops behind a lookup in a map that found nothing.'),
  end('dropped', 'Packet Dropped', 'Stops where the program returns a verdict that drops the packet.'),
  end('aborted', 'Program Aborted', 'Stops where the program returns XDP_ABORTED or calls bpf_throw.'),
  end('tailCallFailed', 'Tail Call Failed', 'Stops behind a tail call that did not happen.'),
];

export function isExceptionFilter(name: string): name is ExceptionFilter {
  return exceptionFilters.some(({ filter }) => filter === name);
}

export function exceptionSource(run: OpenedRun, filter: ExceptionFilter): Source {
  if (filter === 'dropped' || filter === 'aborted') return { known: atEnd(run, filter) };
  if (filter === 'tailCallFailed') return { observer: failedTailCalls(run) };
  return { observer: results(run, filter) };
}

/** The last instruction is where the whole state is still to be seen. */
function atEnd(run: OpenedRun, filter: 'dropped' | 'aborted'): Source['known'] {
  const { timeline, recording, ending } = run;
  const { type } = recording.program;
  const raw = recording.result.returnValue;
  const at = timeline.length - 1;
  const text = describe();
  return (from, to) => (text && at >= from && at < to ? [{ ...hitAt(at), describe: () => text }] : []);

  function describe(): string | undefined {
    if (filter === 'aborted' && ending.kind === 'left')
      return calledName(run, ending.insn) === 'bpf_throw' ? 'The program threw an exception' : undefined;
    const isIt = filter === 'dropped' ? isDropVerdict : isAbortVerdict;
    if (ending.kind !== 'returned' || !isIt(type, raw)) return undefined;
    return `${filter === 'dropped' ? 'Packet dropped' : 'Aborted'}: returns ${describeReturnValue(type, raw).text}`;
  }
}

function failedTailCalls({ code }: OpenedRun): Source['observer'] {
  const isTailCall = (insn: number) => {
    const decoded = code.insns[insn];
    return decoded !== undefined && isHelperCall(decoded) && decoded.imm === Helper.TAIL_CALL;
  };
  return {
    wants: isTailCall,
    before: () => undefined,
    after: ({ step, ending }) =>
      ending ? undefined : behind(step, 'Tail call failed: no program at that index, or too many in a row'),
  };
}

/** Results of calls, behind the instruction at which they are known: the call, or the exit of the last callback. */
function results(run: OpenedRun, filter: 'helperError' | 'lookupMissed'): Source['observer'] {
  const { code } = run;
  let called = -1;
  return {
    wants: (insn) => code.kind[insn] === Kind.CALL || code.kind[insn] === Kind.EXIT,
    before: ({ pc, frames }) => {
      const top = frames.at(-1);
      const isCallback = code.kind[pc] === Kind.EXIT && top?.isCallback === true;
      called = code.kind[pc] === Kind.CALL ? pc : isCallback ? top.call : -1;
      return undefined;
    },
    after: (machine) => {
      const hasReturned = called >= 0 && !machine.ending && machine.pc === code.next[called];
      if (!hasReturned || (machine.known & 1) === 0) return undefined;
      const text = filter === 'helperError' ? failure(run, called, machine) : miss(run, called, machine);
      return text === undefined ? undefined : behind(machine.step, text);
    },
  };
}

function behind(step: number, text: string): Hit {
  return { ...hitAt(step), describe: () => text };
}

function failure(run: OpenedRun, insn: number, machine: Machine): string | undefined {
  const result = BigInt.asIntN(64, machine.register(0));
  if (result >= 0n || result < -MAX_ERRNO) return undefined;
  const name = negativeErrno(Number(result));
  return `${calledName(run, insn)} returned ${name ? `${name} (${result})` : result}`;
}

function miss(run: OpenedRun, insn: number, machine: Machine): string | undefined {
  const { imm } = run.code.insns[insn]!;
  const isLookup = imm === Helper.MAP_LOOKUP || imm === Helper.MAP_LOOKUP_PERCPU;
  if (!isLookup || !isHelperCall(run.code.insns[insn]!) || machine.register(0) !== 0n) return undefined;
  return `${calledName(run, insn)} found no entry`;
}
