/**
 * What a run has to be for the flight recorder to stop: a condition in C over the run's variables and `returned`. What
 * it asks of `returned` alone is tried in the kernel, on every run; the rest here, on the runs that are left.
 */
import { parseCondition } from '../expressions/condition';
import type { Condition } from '../expressions/condition';
import { scopeOfRun } from '../expressions/run-scope';
import type { Scope, Variable } from '../expressions/scope';
import { decode } from '../../toolchain/btf/value';
import { succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';
import { namedReturnValue } from '../../toolchain/program/return-values';
import type { ReturnCondition } from '../recorder/instrument/kept-code';
import type { OpenedRun } from '../recorder/open-run';

export interface StopCondition {
  text: string;
  /** Tried in the kernel. Absent: every run is left to be tried here. */
  inKernel(programType: string): ReturnCondition | undefined;
  /** Whether that is all there is. */
  isWhole(programType: string): boolean;
  /** Whether it holds of a run, whose present step may be another one afterwards. */
  holds(run: OpenedRun): Outcome<boolean>;
}

/** The most lines that are gone back through to find one at which all is known that a condition names. */
const LOOK_BACK = 500;

export async function parseStopCondition(text: string): Promise<Outcome<StopCondition>> {
  const parsed = await parseCondition(text);
  if (!parsed.ok) return parsed;
  const parts = conjuncts(text);
  const simple = (programType: string) => parts.map((part) => returnCondition(part, programType));
  return succeed({
    text: text.trim(),
    inKernel: (programType) => simple(programType).find((part) => part !== undefined),
    isWhole: (programType) => parts.length === 1 && simple(programType)[0] !== undefined,
    holds: (run) => holdsOf(run, parsed.value),
  });
}

/** What stands between `&&` outside of all brackets. A condition with `||` there is one part. */
function conjuncts(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if ('([{'.includes(character)) depth++;
    else if (')]}'.includes(character)) depth--;
    else if (depth === 0 && (text.startsWith('||', at) || character === '?' || character === '"'))
      return [text];
    else if (depth === 0 && text.startsWith('&&', at)) {
      parts.push(text.slice(start, at));
      start = at + 2;
      at++;
    }
  }
  return [...parts, text.slice(start)];
}

function returnCondition(text: string, programType: string): ReturnCondition | undefined {
  const [, operator, operand = ''] = /^\s*returned\s*(==|!=|<=|>=|<|>)\s*(-?\w+)\s*$/.exec(text) ?? [];
  if (operator === undefined) return undefined;
  const isNumber = /^-?(0x[0-9a-f]+|\d+)$/i.test(operand);
  const sign = operand.startsWith('-') ? -1 : 1;
  const value = isNumber ? sign * Number(operand.replace('-', '')) : namedReturnValue(programType, operand);
  if (value === undefined || value > 0x7fff_ffff || value < -0x8000_0000) return undefined;
  // The kernel compares without a sign where the number has none, and `returned` is an int.
  if (operator !== '==' && operator !== '!=' && value >= 0) return undefined;
  return { operator: operator as ReturnCondition['operator'], value };
}

/** At the last line of the run at which all is known that the condition names. */
function holdsOf(run: OpenedRun, condition: Condition): Outcome<boolean> {
  const { timeline, statements, ending } = run;
  const returned = ending.kind === 'returned' ? BigInt.asIntN(32, returnedBy(run)) : undefined;
  timeline.seek(timeline.length);
  let last = condition.holds(withReturned(scopeOfRun(run), returned, run));
  for (
    let index = statements.count - 1, tried = 0;
    index >= 0 && tried < LOOK_BACK && !last.ok;
    index--, tried++
  ) {
    timeline.seek(statements.step(index));
    last = condition.holds(withReturned(scopeOfRun(run), returned, run));
  }
  return last;
}

function returnedBy({ recording }: OpenedRun): bigint {
  return BigInt(recording.result.returnValue);
}

/** Names of return values mean what they mean to programs of this type, though they may be macros. */
function withReturned(scope: Scope, returned: bigint | undefined, { recording }: OpenedRun): Scope {
  const type = scope.types.integer(4, true);
  const constant = (name: string, number: bigint): Variable => ({
    type,
    read() {
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setInt32(0, Number(number), scope.types.littleEndian);
      return succeed({ value: decode(scope.types, type, bytes, { name }), known: new Uint8Array(4).fill(1) });
    },
  });
  return {
    ...scope,
    variable(name) {
      if (name === 'returned' && returned !== undefined) return constant(name, returned);
      const known = scope.variable(name);
      if (known || scope.types.enumerator(name)) return known;
      const value = namedReturnValue(recording.program.type, name);
      return value === undefined ? undefined : constant(name, BigInt(value));
    },
    names: () => ['returned', ...scope.names()],
  };
}
