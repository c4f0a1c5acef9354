/** Packet pointers read again after a call that may have moved or changed the packet. */
import { ancestors, contains, walk, type SyntaxNode } from '../../toolchain/c/tree';
import { exitsAt } from './code/exit';
import { assignmentsTo, isPure, usesOf, variablesAt, type Variable } from './code/function';
import { contextMember, holdsMember, packetEnds } from './code/packet';
import { insertAfter, insertBefore, isInBlock, statementOf } from './code/place';
import { followedAt } from './code/pointers';
import { checkLines, indentUnit } from './code/style';
import { compare, wholeOfVariable } from './packet-bounds';
import type { CausalStep } from '../../toolchain/verifier/cause/cause';
import type { Failure } from '../../toolchain/verifier/report';
import type { Candidate, Situation } from './fix';

/** Helpers after which the packet begins or continues somewhere else, so that offsets into it mean other bytes. */
const MOVES =
  /^bpf_(?:xdp_adjust_head|skb_adjust_room|skb_change_head|skb_change_proto|skb_vlan_(?:push|pop)|msg_(?:push|pop)_data|lwt_push_encap)$/;

/** The call after which the pointers to the packet that were read before mean nothing any more. */
export function invalidationOf({ causes, path }: Failure): CausalStep | undefined {
  return causes.find(
    ({ kind, step }) => kind === 'proof-lost' && /^call /.test(path.steps[step]?.text ?? ''),
  );
}

export function rereadPacket(situation: Situation): Candidate[] {
  const { failure, node, code, source } = situation;
  const change = failure && invalidationOf(failure);
  const call = situation.nodeOf(change?.instruction);
  const use = statementOf(node);
  if (!failure || !change || !call || !use || !contains(code.body, call)) return [];
  const callee =
    [call, ...ancestors(call)].find((one) => one.type === 'call_expression')?.fields.function?.text ?? '';
  const scope = variablesAt(code, use);
  const beginnings = readings('data');
  const ends = readings('data_end');
  const used = usedPointers();
  if (used.length === 0) return [];
  const lines = [...beginnings.lines, ...ends.lines];
  // A pointer is made again as it was made before, those it is made of first.
  const derived = used
    .flatMap((variable) => derivation(variable, 0))
    .filter((one, at, all) => all.indexOf(one) === at);
  for (const { name, from } of derived)
    if (!lines.some((line) => line.startsWith(`${name} = `))) lines.push(`${name} = ${from.text};`);
  const [end] = packetEnds(situation, use);
  if (!end || lines.length === 0) return [];
  const spot = insertionPoint(statementOf(call), use);
  if (!spot) return [];
  const names = [...new Set(lines.map((line) => `\`${/^\w+/.exec(line)?.[0]}\``))];
  const title = `Read ${list(names)} again after \`${callee}\``;
  return exitsAt(situation, use).flatMap((exit, order) => {
    const unit = indentUnit(source, code);
    const checks = used.flatMap((variable) => {
      const access = wholeOfVariable(variable.name, variable.type, use);
      return checkLines(code, unit, compare(access, end, '>'), exit.code);
    });
    const all = [...lines, ...(end.declare ? [end.declare] : []), ...checks];
    const edits = spot.after
      ? insertAfter(source, spot.statement, all)
      : insertBefore(source, code, spot.statement, all);
    return edits ? [{ title, edits, isAlternative: order > 0 || MOVES.test(callee) }] : [];
  });

  /** Variables that hold the context's `data` or `data_end`, and how each is read again. */
  function readings(member: 'data' | 'data_end'): { lines: string[]; variables: Variable[] } {
    const variables = [...scope.values()].filter(
      (one) => !one.isParameter && holdsMember(situation, code, one, member, 0),
    );
    const read = contextMember(code, use!, member);
    return {
      variables,
      lines: variables
        .map((one) => `${one.name} = ${one.value?.text ?? read ?? ''};`)
        .filter((line) => !line.endsWith('= ;')),
    };
  }

  /** Pointers that are followed where the failure is. */
  function usedPointers(): Variable[] {
    return followedAt(node)
      .flatMap(({ base }) => {
        const variable = scope.get(base.text);
        return variable && variable.pointers === 1 && !variable.isParameter && originOf(variable)
          ? [variable]
          : [];
      })
      .slice(0, 1);
  }

  /** The one expression a pointer was made of before the call; undefined where there are several. */
  function originOf(variable: Variable): SyntaxNode | undefined {
    const assigned = assignmentsTo(code, variable).filter((one) => one.start < call!.start);
    if (assigned.length === 0) return variable.value && isPure(variable.value) ? variable.value : undefined;
    const [only, ...others] = assigned;
    const value = only?.fields.right;
    return others.length === 0 &&
      variable.value === undefined &&
      only?.operator === '=' &&
      value &&
      isPure(value)
      ? value
      : undefined;
  }

  function derivation(variable: Variable, depth: number): { name: string; from: SyntaxNode }[] {
    const from = originOf(variable);
    if (!from || depth > 4) return [];
    const isRead = [...beginnings.variables, ...ends.variables].some(
      (one) => one.nameNode === variable.nameNode,
    );
    if (isRead) return [];
    const parts = [...walk(from)].flatMap((one) => {
      const part = one.type === 'identifier' ? scope.get(one.text) : undefined;
      return part && part.pointers === 1 && usesOf(code, part).length > 0 && !part.isParameter
        ? derivation(part, depth + 1)
        : [];
    });
    return [...parts, { name: variable.name, from }];
  }
}

/** Right after the statement with the call, when the use lies behind it in the same block; else before the use. */
function insertionPoint(
  call: SyntaxNode | undefined,
  use: SyntaxNode,
): { statement: SyntaxNode; after: boolean } | undefined {
  let statement = call;
  // A call in the condition of an `if` that only leaves: the whole `if` is the statement.
  while (statement && statement !== use && !isInBlock(statement)) statement = statement.parent;
  const block = statement?.parent;
  if (statement && block && !contains(statement, use) && contains(block, use))
    return { statement, after: true };
  return isInBlock(use) ? { statement: use, after: false } : undefined;
}

function list(names: string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
