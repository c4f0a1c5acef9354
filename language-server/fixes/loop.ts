/** Loops that the verifier can follow: `bpf_for`, `bpf_loop`, or a limit on the rounds. */
import { ancestors, walk, type SyntaxNode } from '../../toolchain/c/tree';
import { callBack } from './callback';
import { countedLoop } from './code/counted-loop';
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
  return loops
    .slice(0, 3)
    .flatMap((loop) => [
      ...counted(situation, loop),
      ...callBack(situation, loop),
      ...limited(situation, loop),
    ]);
}

/** `for (i = a; i < b; i++)` → `bpf_for(i, a, b)`: the verifier looks at one round for all. */
function counted({ code, source }: Situation, loop: SyntaxNode): Candidate[] {
  const found = countedLoop(source, code, loop);
  if (!found || !isInBlock(loop) || !startsLine(source.text, loop.start)) return [];
  const { variable, from, end, isOwn, body } = found;
  // A pragma or macro before the loop stays with it.
  const declaration = isOwn ? insertBefore(source, code, loop, [`${variable.type} ${variable.name};`]) : [];
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
