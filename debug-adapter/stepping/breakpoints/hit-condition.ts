/** Hit counts as users of VS Code know them: `5`, `= 5`, `> 3`, `>= 3`, `< 3`, `<= 3`, `% 2`. */
import { fail, succeed } from '../../../toolchain/problem';
import type { Outcome } from '../../../toolchain/problem';

/** Whether to stop at a place that is reached for the `count`th time, the first being 1. */
export type HitCondition = (count: number) => boolean;

const OPERATORS: Record<string, (count: number, number: number) => boolean> = {
  '==': (count, number) => count === number,
  '>': (count, number) => count > number,
  '>=': (count, number) => count >= number,
  '<': (count, number) => count < number,
  '<=': (count, number) => count <= number,
  '%': (count, number) => count % number === 0,
};

export function parseHitCondition(text: string): Outcome<HitCondition> {
  const [, operator = '', digits] = /^\s*(>=?|<=?|={1,3}|%)?\s*(\d{1,15})\s*$/.exec(text) ?? [];
  const holds = OPERATORS[/^=*$/.test(operator) ? '==' : operator];
  const number = Number(digits);
  if (digits === undefined || !holds || (operator === '%' && number === 0))
    return fail(
      'breakpoint/hit-condition',
      `"${text}" is not a hit count.`,
      'Write 5 for the fifth time, >= 3 from the third time on, % 2 for every second time.',
    );
  return succeed((count) => holds(count, number));
}
