/** What the verifier knew of the registers that a stretch of a path uses, before and after it, in words. */
import { mergesOffsets } from './knowledge/knowledge';
import { spellPointer } from './knowledge/pointer';
import { rangeOf, spellRange } from './knowledge/range';
import type { FailingPath } from './path';
import type { KnownState } from './tracker';
import type { Value } from './value';

export interface RegisterChange {
  /** `R1`. */
  name: string;
  /** C name of the variable that the compiler keeps there, before or after. */
  variable?: string;
  /** `map value of totals, may be NULL`, `∈ [0, 1500]`; absent where the log does not tell. */
  before?: string;
  after?: string;
}

/** Registers that are listed; of a longer stretch those it used last. */
const MAX_REGISTERS = 8;

/** The variable that lives in a register before an instruction runs, as DWARF has it. */
export type VariableIn = (insn: number, register: number) => string | undefined;

/** The registers that the steps from position `first` to `last` name, but for the frame pointer. */
export function registersAround(
  path: FailingPath,
  first: number,
  last: number,
  variableIn: VariableIn = () => undefined,
): RegisterChange[] {
  const [start, end] = [path.steps[first], path.steps[last]];
  if (!start || !end) return [];
  const numbers = new Set<number>();
  for (let at = last; at >= first && numbers.size < MAX_REGISTERS; at--) {
    const step = path.steps[at];
    // What a called function does with its registers is told under the call.
    if (!step || step.frame !== end.frame) continue;
    for (const [, number] of step.text.matchAll(/\b[rw](\d)\b/g)) numbers.add(Number(number));
    if (step.text.startsWith('call ')) numbers.add(0);
  }
  const dialect = { mergesOffsets: mergesOffsets(path.log) };
  const [before, after] = [path.states.before(first), path.states.after(last)];
  const isRefused = last === path.steps.length - 1;
  const text = (state: KnownState, number: number): string | undefined => {
    const value = state.frame === end.frame ? state.registers[number] : undefined;
    return value && spellValue(value, dialect);
  };
  return [...numbers]
    .sort((a, b) => a - b)
    .map((number): RegisterChange => {
      const was = text(before, number);
      // The instruction that was refused changed nothing.
      const is = isRefused ? undefined : text(after, number);
      const next = path.steps[last + 1]?.insn;
      const variable =
        (is !== undefined && next !== undefined ? variableIn(next, number) : undefined) ??
        (was !== undefined ? variableIn(start.insn, number) : undefined);
      return {
        name: `R${number}`,
        ...(variable !== undefined && { variable }),
        ...(was !== undefined && { before: was }),
        ...(is !== undefined && { after: is }),
      };
    })
    .filter((change) => change.before !== undefined || change.after !== undefined);
}

function spellValue(value: Value, dialect: { mergesOffsets: boolean }): string {
  if (value.type !== 'scalar') return spellPointer(value, dialect);
  return spellRange(rangeOf(value.bounds, 64, true))?.replace(/^= /, '') ?? 'any number';
}
