/** Loops that the verifier can follow: `bpf_for`, or a limit on the rounds. */
import { ancestors, contains, walk, type SyntaxNode } from '../../toolchain/c/tree';
import {
  assignmentsTo,
  declaredBy,
  isPure,
  signOf,
  usesOf,
  variablesAt,
  type Variable,
} from './code/function';
import { insertBefore, isInBlock, statementOf } from './code/place';
import { startsLine } from './code/style';
import { valueOf } from './code/arrays';
import type { Candidate, Situation } from './fix';

/** Limits that are tried, the largest first; the first that the kernel accepts is offered. */
const LIMITS = [1024, 256, 64];

const LOOPS = new Set(['for_statement', 'while_statement', 'do_statement']);

export function boundLoop(situation: Situation): Candidate[] {
  const { node, code } = situation;
  const around = [node, ...ancestors(node)].filter((one) => LOOPS.has(one.type));
  // The place may be the one before the loop or behind it; then every loop of the function may be the one.
  const statement = statementOf(node);
  const loops =
    around.length > 0
      ? around
      : [...walk(code.body)].filter(
          (one) => LOOPS.has(one.type) && (!statement || one.start >= statement.start),
        );
  return loops.slice(0, 3).flatMap((loop) => [...counted(situation, loop), ...limited(situation, loop)]);
}

/** `for (i = a; i < b; i++)` → `bpf_for(i, a, b)`: the verifier looks at one round for all. */
function counted(situation: Situation, loop: SyntaxNode): Candidate[] {
  const { code, source } = situation;
  const { initializer, condition, update, body } = loop.fields;
  if (loop.type !== 'for_statement' || !initializer || !condition || !update || !body) return [];
  const first = startOf(situation, loop, initializer);
  if (!first) return [];
  const { variable, from } = first;
  const isStep = new RegExp(
    `^(?:\\+\\+${variable.name}|${variable.name}\\+\\+|${variable.name} \\+= 1)$`,
  ).test(update.text);
  const end =
    condition.type === 'binary_expression' &&
    condition.operator === '<' &&
    condition.fields.left?.text === variable.name
      ? condition.fields.right
      : undefined;
  if (!isStep || !end || !isPure(end) || !isPure(from) || signOf(variable) === undefined) return [];
  // bpf_for sets its variable anew in each round, and leaves it at another value than the loop does.
  if (assignmentsTo(code, variable).some((one) => contains(body, one))) return [];
  if (!first.isOwn && usesOf(code, variable).some((use) => use.start >= loop.end)) return [];
  if (!isInBlock(loop) || !startsLine(source.text, loop.start)) return [];
  // A pragma or macro before the loop stays with it.
  const declaration = first.isOwn
    ? insertBefore(source, code, loop, [`${variable.type} ${variable.name};`])
    : [];
  if (!declaration) return [];
  const head = `bpf_for(${variable.name}, ${from.text}, ${end.text})`;
  const isBlock = body.type === 'compound_statement';
  const loopEdit = isBlock
    ? { start: loop.start, end: body.start, text: `${head} ` }
    : { start: loop.start, end: headEnd(source.text, body), text: head };
  return [{ title: `Use \`${head}\``, edits: [...declaration, loopEdit] }];
}

function headEnd(text: string, body: SyntaxNode): number {
  return text.slice(0, body.start).trimEnd().length;
}

/** The variable a loop counts with, and where it begins. */
function startOf(
  { code }: Situation,
  loop: SyntaxNode,
  initializer: SyntaxNode,
): { variable: Variable; from: SyntaxNode; isOwn: boolean } | undefined {
  if (initializer.type === 'declaration') {
    const [variable, ...others] = declaredBy(initializer);
    return variable?.value && others.length === 0
      ? { variable, from: variable.value, isOwn: true }
      : undefined;
  }
  const { left, right } = initializer.fields;
  const variable = left && variablesAt(code, loop).get(left.text);
  if (initializer.type !== 'assignment_expression' || initializer.operator !== '=' || !variable || !right)
    return undefined;
  return { variable, from: right, isOwn: false };
}

/** One more condition: a constant number of rounds. */
function limited({ source, code }: Situation, loop: SyntaxNode): Candidate[] {
  const { condition, initializer, body } = loop.fields;
  if (!body) return [];
  const counter =
    loop.type === 'for_statement' && initializer && condition
      ? /^(\w+) <=? /.exec(condition.text)?.[1]
      : undefined;
  const fresh = ['round', 'rounds', 'turn'].find((name) => !new RegExp(`\\b${name}\\b`).test(code.root.text));
  return LIMITS.flatMap((limit): Candidate[] => {
    const title = `Stop the loop after ${limit} rounds`;
    const common = { title, isAlternative: true, group: `limit ${loop.start}` };
    if (counter && condition) {
      const from = /=\s*(\d+)$/.exec(initializer!.text.replace(/;$/, ''))?.[1] ?? '';
      const last = condition.fields.right && valueOf(source, condition.fields.right.text);
      // A loop with a constant number of rounds was meant to go through all of them.
      if (from !== '0' || last !== undefined) return [];
      return [
        {
          ...common,
          edits: [{ start: condition.end, end: condition.end, text: ` && ${counter} < ${limit}` }],
        },
      ];
    }
    if (!fresh) return [];
    const head = `int ${fresh} = 0; ${fresh} < ${limit}`;
    if (loop.type === 'while_statement' && condition) {
      const inner = condition.children[0];
      const rest =
        !inner || /^(?:1|true)$/.test(inner.text)
          ? ''
          : ` && ${/\|\||\?/.test(inner.text) ? `(${inner.text})` : inner.text}`;
      return [
        {
          ...common,
          edits: [{ start: loop.start, end: condition.end, text: `for (${head}${rest}; ${fresh}++)` }],
        },
      ];
    }
    const isForever = loop.type === 'for_statement' && !initializer && !condition && !loop.fields.update;
    if (!isForever) return [];
    const end = source.text.slice(0, body.start).trimEnd().length;
    return [{ ...common, edits: [{ start: loop.start, end, text: `for (${head}; ${fresh}++)` }] }];
  });
}
