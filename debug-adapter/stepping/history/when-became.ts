/** Since when something is as it is: the last statement after which an expression changed, or a condition came to hold. */
import { parseCondition } from '../../expressions/condition';
import { evaluate } from '../../expressions/evaluate';
import { knownText } from '../../expressions/known-text';
import { parseExpression } from '../../expressions/parse';
import { scopeOfRun } from '../../expressions/run-scope';
import { isMap } from '../../expressions/scope';
import type { Scope } from '../../expressions/scope';
import type { Expression } from '../../expressions/syntax';
import { format } from '../../../toolchain/btf/format';
import { fail, succeed } from '../../../toolchain/problem';
import type { Outcome } from '../../../toolchain/problem';
import type { OpenedRun } from '../../recorder/open-run';
import type { LastWriteResponse } from '../../protocol';
import type { StepFrame } from '../moment';
import type { Pace } from '../pace';
import { activationOf } from '../targets';
import { depthOf, findPlace, sameFrame, speaksOfFrame } from './find-place';
import { lastChange } from './last-write';
import { textOf } from './place';
import { statementsOf } from './values';

export interface Asked {
  expression?: string | undefined;
  condition?: string | undefined;
}

/** Undefined: it cannot be told there. */
type Test = (scope: Scope) => boolean | undefined;

interface Question {
  label: string;
  test: Test;
  /** Whether it speaks of the frame that it was asked in. */
  isOfFrame: boolean;
  text(scope: Scope): string | undefined;
}

/** What lies in memory or a register is what its last change made it, which needs no looking at each statement. */
async function byWrites(
  run: OpenedRun,
  { expression, condition }: Asked,
  frame: StepFrame,
  pace: Pace,
): Promise<LastWriteResponse | undefined> {
  if (condition !== undefined || expression === undefined) return undefined;
  const place = await findPlace(run, expression, frame);
  if (!place.ok || place.value.kind === 'value') return undefined;
  const { label, call } = place.value;
  const present = textOf(run, place.value);
  const change = await lastChange(run, place.value, pace);
  const range = call ? `this call of ${frame.name}` : 'the run';
  if (!change) return { text: `${label} has been ${present} since ${range} began.` };
  const { before, after, ...at } = change;
  const where = at.line === undefined ? `instruction ${at.insn}` : `line ${at.line}`;
  return { text: `${label} became ${after} at ${where}; before it was ${before}.`, at, before, after };
}

/** Leaves the machine anywhere. */
export async function whenBecame(
  run: OpenedRun,
  asked: Asked,
  frame: StepFrame,
  pace: Pace,
): Promise<Outcome<LastWriteResponse>> {
  const here = run.timeline.machine.step;
  const written = await byWrites(run, asked, frame, pace);
  if (written) return succeed(written);
  run.timeline.seek(here);
  const read = await questionOf(run, asked, frame);
  if (!read.ok) return read;
  const question = read.value;
  const found = await search(run, question, frame, pace);
  if (!found)
    return succeed({
      text: `${question.label} did not hold at any earlier line of ${rangeOf(question, frame)}.`,
    });
  const { statements, source, timeline } = run;
  const { earlier, since } = found;
  if (earlier === undefined) {
    const line = source.placeOf(statements.insn(since))?.line;
    return succeed({
      text: `${question.label} has been so since line ${line ?? '?'}, where ${rangeOf(question, frame)} first shows it.`,
    });
  }
  const place = source.placeOf(statements.insn(earlier));
  const scopeAt = (index: number) => {
    timeline.seek(statements.step(index));
    return scopeOfRun(run, question.isOfFrame ? found.frame() : undefined);
  };
  const after = question.text(scopeAt(since));
  const before = question.text(scopeAt(earlier));
  const what = asked.condition === undefined ? `became ${after}` : 'came to hold';
  return succeed({
    text: `${question.label} ${what} at line ${place?.line ?? '?'}${before === undefined || asked.condition !== undefined ? '' : `; before it was ${before}`}.`,
    at: {
      step: statements.step(earlier),
      insn: statements.insn(earlier),
      ...(place ? { path: place.path, line: place.line } : {}),
    },
    ...(before === undefined ? {} : { before }),
    ...(after === undefined ? {} : { after }),
  });
}

function rangeOf({ isOfFrame }: Question, { name }: StepFrame): string {
  return isOfFrame ? `this call of ${name}` : 'the run';
}

async function questionOf(
  run: OpenedRun,
  { expression, condition }: Asked,
  frame: StepFrame,
): Promise<Outcome<Question>> {
  const text = condition ?? expression;
  if (text === undefined)
    return fail('history/nothing', 'There is neither an expression nor a condition.', 'Give one of them.');
  const parsed = await parseExpression(text);
  if (!parsed.ok) return parsed;
  const isOfFrame = speaksOfFrame(run, parsed.value, frame);
  const shown = expression === undefined ? undefined : await parseExpression(expression);
  if (shown && !shown.ok) return shown;
  const textIn = (scope: Scope) => (shown ? knownValue(shown.value, scope) : undefined);
  const label = text.trim();
  if (condition !== undefined) {
    const asked = await parseCondition(condition);
    if (!asked.ok) return asked;
    const test: Test = (scope) => {
      const answer = asked.value.holds(scope);
      return answer.ok ? answer.value : undefined;
    };
    return succeed({ label, test, isOfFrame, text: textIn });
  }
  const now = evaluate(parsed.value, scopeOfRun(run, frame));
  if (!now.ok) return now;
  const present = textIn(scopeOfRun(run, frame));
  if (present === undefined)
    return fail(
      'history/unknown',
      `${label} has no value here that is known.`,
      'Ask at a line where it has one.',
    );
  const test: Test = (scope) => {
    const there = textIn(scope);
    return there === undefined ? undefined : there === present;
  };
  return succeed({ label, test, isOfFrame, text: textIn });
}

function knownValue(expression: Expression, scope: Scope): string | undefined {
  const found = evaluate(expression, scope);
  if (!found.ok || isMap(found.value) || knownText(found.value) !== undefined) return undefined;
  return format(found.value.value);
}

/** Statements looked at from one piece of the way back: forward, because that is how a run is executed. */
const PIECE = 256;

/**
 * Goes back to the last stretch of statements for which the test holds, and to the statement before it for which it
 * does not. `earlier` is the last statement before the stretch, the one that made it so; undefined when nothing before
 * contradicts.
 */
async function search(
  run: OpenedRun,
  { test, isOfFrame }: Question,
  frame: StepFrame,
  pace: Pace,
): Promise<{ since: number; earlier: number | undefined; frame: () => StepFrame | undefined } | undefined> {
  const { statements, timeline } = run;
  const here = timeline.machine.step;
  const there = sameFrame(run, frame);
  const depth = depthOf(run, frame);
  const call = isOfFrame ? { ...activationOf(run, depth), depth } : undefined;
  const { first, isOf } = statementsOf(run, call);
  /** Earliest statement of the stretch; what was looked at before it is not known to contradict. */
  let since: number | undefined;
  for (let end = statements.at(here) + 1; end > first; end -= PIECE) {
    const start = Math.max(first, end - PIECE);
    const indexes = Array.from({ length: end - start }, (_, at) => start + at).filter(isOf);
    await pace.breathe((statements.count - start) / (statements.count + 1));
    const answers = indexes.map((index) => {
      timeline.seek(statements.step(index));
      const present = isOfFrame ? there() : undefined;
      return isOfFrame && !present ? undefined : test(scopeOfRun(run, present));
    });
    for (let at = indexes.length - 1; at >= 0; at--) {
      if (answers[at] === true) since = indexes[at];
      else if (answers[at] === false && since !== undefined)
        return { since, earlier: previous(since, first, isOf), frame: there };
    }
  }
  return since === undefined ? undefined : { since, earlier: undefined, frame: there };
}

function previous(index: number, first: number, isOf: (index: number) => boolean): number | undefined {
  for (let before = index - 1; before >= first; before--) if (isOf(before)) return before;
  return undefined;
}
