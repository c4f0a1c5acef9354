/** A first value for a variable, or for the padding of one. */
import { walk, type SyntaxNode } from '../../toolchain/c/tree';
import { passValue } from './code/exit';
import { localVariables, usesOf, type FunctionCode, type Variable } from './code/function';
import { insertAfter, statementOf } from './code/place';
import { indentAt, startsLine } from './code/style';
import { isLoneIdentifier } from './code/words';
import type { Candidate, Situation } from './fix';

/** Variables that are tried; the kernel knows which one it meant. */
const MAX_VARIABLES = 4;

export function initialise(situation: Situation): Candidate[] {
  const { code, node } = situation;
  const statement = statementOf(node);
  const named = new Set(
    [...walk(statement ?? node)].filter((one) => one.type === 'identifier').map(({ text }) => text),
  );
  const locals = localVariables(code).filter((one) => !/\bstatic\b/.test(one.declaration.text.slice(0, 40)));
  // A place at the end of the function, or in a header's macro, names no variable.
  const here = locals.filter(({ name }) => named.has(name));
  const others = locals.filter((one) => !here.includes(one) && one.value === undefined);
  const byPlace = [...here, ...others];
  const variables = byPlace.slice(0, Math.max(MAX_VARIABLES, here.length));
  return [...variables.flatMap((one) => firstValue(situation, one)), ...lastReturn(situation)];
}

function firstValue(situation: Situation, variable: Variable): Candidate[] {
  const { code, source } = situation;
  const { name, value, declarator } = variable;
  if (value?.type === 'initializer_list') return zeroed(situation, variable);
  if (value) return [];
  if (isAggregate(variable)) {
    const braces = { start: declarator.end, end: declarator.end, text: ' = {}' };
    return [{ title: `Initialise \`${name}\` with zeros`, edits: [braces] }, ...zeroed(situation, variable)];
  }
  const first = valueFor();
  const edits = [{ start: declarator.end, end: declarator.end, text: ` = ${first}` }];
  return [{ title: `Initialise \`${name}\` with ${first}`, edits }];

  function valueFor(): string {
    if (variable.pointers > 0) return isLoneIdentifier(source.text, 'NULL') ? 'NULL' : '0';
    // What the function returns must not become an action that drops packets.
    const isReturned = usesOf(code, variable).some((use) => use.parent?.type === 'return_statement');
    return isReturned ? passValue(situation) : '0';
  }
}

function isAggregate({ type, pointers, dimensions }: Variable): boolean {
  return pointers === 0 && (dimensions.length > 0 || /^(?:const |volatile )*(?:struct|union)\b/.test(type));
}

/**
 * All bytes zero, padding included, which an initialiser leaves alone: `__builtin_memset` after the declaration, and
 * the members of a designated initialiser assigned one by one.
 */
function zeroed({ source }: Situation, variable: Variable): Candidate[] {
  const { name, value, declaration, declarator, nameNode, dimensions } = variable;
  const isAlone =
    declaration.children.filter((one) => one.end > (declaration.fields.type?.end ?? 0)).length === 1;
  if (dimensions.length > 0 || !isAlone || !startsLine(source.text, declaration.start)) return [];
  const lines = [`__builtin_memset(&${name}, 0, sizeof(${name}));`];
  for (const member of value?.children ?? []) {
    const designator = member.type === 'initializer_pair' ? member.fields.designator : undefined;
    const given = member.fields.value;
    if (designator?.type !== 'field_designator' || !given || given.type === 'initializer_list') return [];
    lines.push(`${name}${designator.text} = ${given.text};`);
  }
  const edits = value ? [{ start: nameNode.end, end: declarator.end, text: '' }] : [];
  const inserted = insertAfter(source, declaration, lines);
  if (!inserted) return [];
  return [
    {
      title: `Set all of \`${name}\` to zero first, padding included`,
      edits: [...edits, ...inserted],
    },
  ];
}

/** A return at the end of a function that ends without one. */
function lastReturn(situation: Situation): Candidate[] {
  const { code, source } = situation;
  const last = code.body.children.at(-1);
  if (!last || last.type === 'return_statement' || code.returnType === 'void') return [];
  const value = passValue(situation);
  const indent = indentAt(source.text, last.start);
  const edits = [
    {
      start: endOfLast(code, source.text),
      end: endOfLast(code, source.text),
      text: `\n${indent}return ${value};`,
    },
  ];
  return [{ title: `Return ${value} at the end`, edits }];
}

function endOfLast(code: FunctionCode, text: string): number {
  const close: SyntaxNode = code.body;
  return text.slice(0, close.end - 1).trimEnd().length;
}
