/** A comparison with NULL before a pointer is followed or passed on. */
import { assignedAt } from './code/assigned';
import { exitsAt } from './code/exit';
import { assignmentsTo, bare, usesOf, variablesAt } from './code/function';
import { addCondition, checkPlace, insertBefore, isInBlock, statementOf } from './code/place';
import { followedAt, type Follow } from './code/pointers';
import { checkLines, indentAt, indentUnit, startsLine } from './code/style';
import { capitalised } from './code/words';
import type { Candidate, Situation } from './fix';

/** Pointers of one statement that are tried; the kernel knows which one it meant. */
const MAX_POINTERS = 3;

export function checkNull(situation: Situation): Candidate[] {
  return checksOf(situation, () => true);
}

/**
 * The same for pointers that another function of the file returned. When such a function returns NULL for a packet
 * that is too short, the compiler may conclude from the access behind it that the packet never is, and drop the check.
 */
export function checkNullOfResult(situation: Situation): Candidate[] {
  const { code, node, functions } = situation;
  const scope = variablesAt(code, node);
  return checksOf(situation, (name) => {
    const variable = scope.get(name);
    if (!variable) return false;
    const values = [variable.value, ...assignmentsTo(code, variable).map((one) => one.fields.right)];
    const callees = values.map((value) => value && bare(value).fields.function?.text);
    return functions.some((one) => one.returnsPointer && callees.includes(one.name));
  });
}

function checksOf(situation: Situation, isWanted: (name: string) => boolean): Candidate[] {
  const { failure, node, code, source } = situation;
  const origin = failure?.causes.find(({ kind }) => kind === 'origin');
  const assigned = assignedAt(situation.nodeOf(origin?.instruction))?.text;
  const scope = variablesAt(code, node);
  const all = followedAt(node).filter(({ base }) =>
    base.type === 'identifier'
      ? (scope.get(base.text)?.pointers ?? 0) > 0
      : ['field_expression', 'subscript_expression'].includes(base.type),
  );
  const wanted = all.filter(({ base }) => isWanted(base.text));
  const known = wanted.filter(({ base }) => base.text === assigned);
  const pointers = [...known, ...wanted.filter((one) => !known.includes(one))].slice(0, MAX_POINTERS);
  return pointers.flatMap((pointer) => [...earlyExits(pointer), ...skipped(pointer)]);

  function earlyExits({ base, by }: Follow): Candidate[] {
    const place = checkPlace(by);
    if (!place) return [];
    if (place.kind !== 'statement') {
      const title = `Check first that \`${base.text}\` is not NULL`;
      return [{ title, edits: addCondition(place, base.text), group: 'first' }];
    }
    return exitsAt(situation, place.statement).flatMap((exit, order) => {
      const lines = checkLines(code, indentUnit(source, code), `!${base.text}`, exit.code);
      const edits = insertBefore(source, code, place.statement, lines);
      const title = `${capitalised(exit.words)} when \`${base.text}\` is NULL`;
      return edits ? [{ title, edits, isAlternative: order > 0, group: exit.code }] : [];
    });
  }

  /** `if (v)` before the statement, where nothing after it needs the pointer. */
  function skipped({ base, by }: Follow): Candidate[] {
    const statement = statementOf(by);
    const variable = variablesAt(code, by).get(base.text);
    if (!variable || statement?.type !== 'expression_statement' || !isInBlock(statement)) return [];
    if (!startsLine(source.text, statement.start) || statement.text.includes('\n')) return [];
    if (usesOf(code, variable).some((use) => use.start >= statement.end)) return [];
    // What the statement gives to another variable would be missing behind it.
    const assigned = statement.children[0]?.fields.left;
    if (assigned?.type === 'identifier') return [];
    const indent = indentAt(source.text, statement.start);
    const text = `if (${base.text})\n${indent}${indentUnit(source, code)}`;
    const edits = [{ start: statement.start, end: statement.start, text }];
    return [
      { title: `Do this only when \`${base.text}\` is not NULL`, edits, isAlternative: true, group: 'skip' },
    ];
  }
}
