/** Limits on the size that is given to a helper. */
import { walk, type SyntaxNode } from '../../toolchain/c/tree';
import { sizeOfTarget } from './code/arrays';
import { callAt } from './code/assigned';
import { exitsAt } from './code/exit';
import { bare, signOf, variablesAt, type Variable } from './code/function';
import { checkPlace, insertBefore } from './code/place';
import { checkLines, indentUnit } from './code/style';
import { capitalised } from './code/words';
import type { Candidate, Situation } from './fix';

export function clampSize(situation: Situation): Candidate[] {
  const { failure, node, code, source } = situation;
  const number = Number(
    /^R(\d)\b/.exec(failure?.kernelMessage.split('\n').findLast((line) => /^R\d /.test(line)) ?? '')?.[1],
  );
  const callee = /call (\w+)#/.exec(failure?.path.steps.at(-1)?.text ?? '')?.[1];
  const call =
    callAt(node, callee) ??
    [...walk(node)].find((one) => one.type === 'call_expression' && one.fields.function?.text === callee);
  const args = call?.fields.arguments?.children ?? [];
  const size = args[number - 1];
  const memory = args[number - 2];
  if (!call || !size || !failure) return [];
  const variable = variablesAt(code, call).get(bare(size).text);
  if (!variable || variable.pointers > 0) return [];
  const place = checkPlace(call);
  if (place?.kind !== 'statement') return [];
  const { statement } = place;
  const { name } = variable;
  const unit = indentUnit(source, code);
  const leaving = (condition: string, when: string): Candidate[] =>
    exitsAt(situation, statement).flatMap((exit, order) => {
      const edits = insertBefore(source, code, statement, checkLines(code, unit, condition, exit.code));
      return edits
        ? [{ title: `${capitalised(exit.words)} when ${when}`, edits, isAlternative: order > 0 }]
        : [];
    });
  const isSigned = signOf(variable) === 'signed';
  if (failure.id === 'bpf/size-zero') {
    return isSigned
      ? leaving(`${name} <= 0`, `\`${name}\` is not positive`)
      : leaving(`${name} == 0`, `\`${name}\` is 0`);
  }
  const limit = memory && sizeOfTarget(source, code, memory);
  const sameRegister = keptTogether(situation, variable, call);
  if (isSigned) {
    // Negative sizes are errors; a comparison with sizeof() alone would take them for large ones.
    const both = limit
      ? leaving(`${name} < 0 || ${name} > ${limit}`, `\`${name}\` is not 0 to \`${limit}\``)
      : [];
    return [
      ...leaving(`${name} < 0`, `\`${name}\` is negative`),
      ...both.map((one) => ({ ...one, group: 'both' })),
      ...sameRegister,
    ];
  }
  return [...sameRegister, ...(limit ? clamped(limit) : [])];

  function clamped(limit: string): Candidate[] {
    if (variable!.type.includes('const')) return [];
    const lines = checkLines(code, unit, `${name} > ${limit}`, `${name} = ${limit};`);
    const edits = insertBefore(source, code, statement, lines);
    const title = `Limit \`${name}\` to \`${limit}\``;
    const tooLong = leaving(`${name} > ${limit}`, `\`${name}\` is more than \`${limit}\``);
    return [...(edits ? [{ title, edits }] : []), ...tooLong.map((one) => ({ ...one, isAlternative: true }))];
  }
}

/**
 * The check is there, but the compiler made it on a copy of the variable. `barrier_var` of libbpf's bpf_helpers.h
 * before the check makes the value that is checked the one that is used, and changes nothing else.
 */
function keptTogether({ source, code }: Situation, variable: Variable, call: SyntaxNode): Candidate[] {
  const check = [...walk(code.body)].find(
    (one) =>
      one.type === 'if_statement' &&
      one.start < call.start &&
      [...walk(one.fields.condition ?? one)].some(
        (part) =>
          part.type === 'binary_expression' &&
          /^[<>]=?$/.test(part.operator ?? '') &&
          [part.fields.left, part.fields.right].some((side) => side && bare(side).text === variable.name),
      ),
  );
  if (!check) return [];
  const edits = insertBefore(source, code, check, [`barrier_var(${variable.name});`]);
  const title = `Let the compiler use the \`${variable.name}\` that was checked, with \`barrier_var\``;
  return edits ? [{ title, edits }] : [];
}
