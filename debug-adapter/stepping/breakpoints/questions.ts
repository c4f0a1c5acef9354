/** What breakpoints ask, as C expressions over a run. */
import { parseCondition, parseLogMessage } from '../../expressions/condition';
import { scopeOfRun } from '../../expressions/run-scope';
import { succeed } from '../../../toolchain/problem';
import type { Outcome } from '../../../toolchain/problem';
import type { OpenedRun } from '../../recorder/open-run';
import type { Ask } from './stops';

/** Read once, and asked at whichever step the run is at. */
export async function askOf(run: OpenedRun, text: string): Promise<Outcome<Ask>> {
  const parsed = await parseCondition(text);
  if (!parsed.ok) return parsed;
  const condition = parsed.value;
  return succeed(() => {
    const answer = condition.holds(scopeOfRun(run));
    if (answer.ok) return { holds: answer.value };
    return { problem: `The condition ${text.trim()} cannot be evaluated: ${answer.problem.message}` };
  });
}

/** A log point's message, rendered at whichever step the run is at. */
export async function messageOf(run: OpenedRun, text: string): Promise<Outcome<() => string>> {
  const parsed = await parseLogMessage(text);
  if (!parsed.ok) return parsed;
  const message = parsed.value;
  return succeed(() => message.render(scopeOfRun(run)));
}
