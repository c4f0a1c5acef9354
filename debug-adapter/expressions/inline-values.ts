/** Values beside the code: short ones, and none where there is nothing certain to say. */
import { localNodes } from '../stepping/local-rows';
import type { VariableNode } from '../variables/node';
import { fail } from '../../toolchain/problem';
import { rowFor, scopeOf, type Standpoint } from './ask';

/** More would not stand beside a line. */
const MAX_LENGTH = 80;
const NAME = /^[A-Za-z_]\w*$/;

/**
 * What to write behind each expression, in their order: `= 60`, `→ packet+14` for a pointer, with ` ?` behind what a
 * variable was when it last was somewhere; null for what has no value here, and for names of no variable.
 */
export async function inlineValues(
  standpoint: Standpoint,
  expressions: readonly string[],
): Promise<(string | null)[]> {
  const { at } = standpoint;
  const locals = new Map(at && localNodes(at.moment, at.frame).map((row) => [row.name, row]));
  const notFetched = () => fail('expression/not-read', 'The kernel is not asked.', '');
  const scope = scopeOf(standpoint, notFetched);
  const found = new Map<string, string | null>();
  for (const text of new Set(expressions)) {
    const local = locals.get(text);
    if (local) found.set(text, brief(local));
    // Maps, macros and enumerators say nothing new.
    else if (NAME.test(text) && !scope.variable(text)) found.set(text, null);
    else {
      const row = await rowFor(standpoint, text);
      found.set(text, row.ok ? brief(row.value) : null);
    }
  }
  return expressions.map((text) => found.get(text) ?? null);
}

function brief({ brief: said, value }: VariableNode): string | null {
  const text = said ?? value;
  if (text === '') return null;
  const short = text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH - 1)}…` : text;
  return short.startsWith('→') ? short : `= ${short}`;
}
