/** A comparison of an index with the number of elements, or a mask that keeps it below. */
import { ancestors, walk, type SyntaxNode } from '../../toolchain/c/tree';
import { boundOf, valueOf, type Bound } from './code/arrays';
import { exitsAt } from './code/exit';
import { bare, isPure, loopAround, signOf, variablesAt } from './code/function';
import { addCondition, checkPlace, insertBefore, statementOf } from './code/place';
import { checkLines, indentUnit } from './code/style';
import { capitalised } from './code/words';
import type { Candidate, Situation } from './fix';

export function boundIndex(situation: Situation): Candidate[] {
  const { node, code, source } = situation;
  const statement = statementOf(node);
  const around = [node, ...ancestors(node)].filter((one) => one.type === 'subscript_expression');
  const others = [...walk(statement ?? node)].filter((one) => one.type === 'subscript_expression');
  return [...new Set([...around, ...others])].flatMap((access) => {
    const { argument, index } = access.fields;
    const bound = argument && boundOf(source, code, argument);
    if (!bound || !index || valueOf(source, index.text) !== undefined) return [];
    const shorter = shortened(situation, access, index, bound);
    // In a loop that always runs too far any other check would always be the end of it.
    if (shorter.length > 0) return shorter;
    const better = moved(situation, index, bound);
    const others = [...checked(situation, access, index, bound), ...masked(index, bound)];
    return better.length > 0 ? [...better, ...others.map(asAlternative)] : others;
  });
}

function asAlternative(candidate: Candidate): Candidate {
  return { ...candidate, isAlternative: true };
}

/** A comparison that lets one index too many through. */
function moved({ code, source }: Situation, index: SyntaxNode, bound: Bound): Candidate[] {
  return [...walk(code.body)].flatMap((one): Candidate[] => {
    const { left, right } = one.fields;
    if (one.type !== 'binary_expression' || !left || !right || bare(left).text !== index.text) return [];
    const better = one.operator === '<=' ? '<' : one.operator === '>' ? '>=' : undefined;
    const isSame =
      right.text === bound.text || (bound.value !== undefined && valueOf(source, right.text) === bound.value);
    if (!better || !isSame) return [];
    const at = left.end + source.text.slice(left.end, right.start).indexOf(one.operator!);
    const edits = [{ start: at, end: at + one.operator!.length, text: better }];
    return [
      { title: `Compare \`${left.text} ${better} ${right.text}\`: ${right.text} is one too many`, edits },
    ];
  });
}

/** The condition of a loop with more rounds than the array has elements. */
function shortened({ source }: Situation, access: SyntaxNode, index: SyntaxNode, bound: Bound): Candidate[] {
  const loop = loopAround(access);
  const { left, right } = loop?.fields.condition?.fields ?? {};
  const { operator } = loop?.fields.condition ?? {};
  if (loop?.type !== 'for_statement' || !left || !right || left.text !== index.text) return [];
  const last = valueOf(source, right.text);
  if (last === undefined || bound.value === undefined || !/^<=?$/.test(operator ?? '')) return [];
  const at = left.end + source.text.slice(left.end, right.start).indexOf(operator!);
  if (operator === '<=' && last === bound.value) {
    const edits = [{ start: at, end: at + 2, text: '<' }];
    return [{ title: `Compare \`${left.text} < ${right.text}\`: ${right.text} is one too many`, edits }];
  }
  if (last <= bound.value) return [];
  const edits = [{ start: at, end: right.end, text: `< ${bound.text}` }];
  return [{ title: `Stop the loop at \`${left.text} < ${bound.text}\``, edits }];
}

function checked(situation: Situation, access: SyntaxNode, index: SyntaxNode, bound: Bound): Candidate[] {
  const { code, source } = situation;
  const place = checkPlace(access);
  if (!place || !isPure(index)) return [];
  const name = inOperand(index);
  const isSigned = signOf(variablesAt(code, index).get(bare(index).text)) === 'signed';
  const limit = bound.text;
  const what = `\`${index.text}\` is not below ${bound.value ?? `\`${bound.text}\``}`;
  if (place.kind !== 'statement') {
    const check = isSigned ? `${name} >= 0 && ${name} < ${limit}` : `${name} < ${limit}`;
    return [
      {
        title: `Check first that \`${index.text}\` is below ${bound.value ?? `\`${limit}\``}`,
        edits: addCondition(place, check),
      },
    ];
  }
  const check = isSigned ? `${name} < 0 || ${name} >= ${limit}` : `${name} >= ${limit}`;
  return exitsAt(situation, place.statement).flatMap((exit, order) => {
    const lines = checkLines(code, indentUnit(source, code), check, exit.code);
    const edits = insertBefore(source, code, place.statement, lines);
    return edits
      ? [{ title: `${capitalised(exit.words)} when ${what}`, edits, isAlternative: order > 0 }]
      : [];
  });
}

/** `i & (N - 1)`: other elements are used for indexes that are too large, so somebody has to want that. */
function masked(index: SyntaxNode, bound: Bound): Candidate[] {
  const { value } = bound;
  if (value === undefined || value < 2 || (value & (value - 1)) !== 0) return [];
  const mask = /^[A-Za-z_]\w*$/.test(bound.text) ? `(${bound.text} - 1)` : String(value - 1);
  const edits = [{ start: index.start, end: index.end, text: `${inOperand(index)} & ${mask}` }];
  return [
    {
      title: `Keep \`${index.text}\` below ${value} with a mask`,
      edits,
      isAlternative: true,
      manner: 'mask',
    },
  ];
}

/** An expression as the operand of a comparison or a mask. */
function inOperand(node: SyntaxNode): string {
  const isWhole = !['binary_expression', 'conditional_expression', 'assignment_expression'].includes(
    node.type,
  );
  return isWhole ? node.text : `(${node.text})`;
}
