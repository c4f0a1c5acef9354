/** The packet's beginning and end as a function names them. */
import { walk, type SyntaxNode } from '../../../toolchain/c/tree';
import type { Situation } from '../fix';
import { assignmentsTo, bare, isPure, variablesAt, type FunctionCode, type Variable } from './function';

/** Context types with `data` and `data_end`; in the older ones both are numbers that have to be cast. */
const CONTEXTS: Record<string, 'number' | 'pointer'> = {
  'struct xdp_md': 'number',
  'struct __sk_buff': 'number',
  'struct sk_msg_md': 'pointer',
  'struct sk_reuseport_md': 'pointer',
};

/** How to read a member of the context as a pointer; undefined where the function has no such context. */
export function contextMember(code: FunctionCode, node: SyntaxNode, member: string): string | undefined {
  for (const variable of variablesAt(code, node).values()) {
    const kind = CONTEXTS[variable.type.replace(/^const\s+/, '').replace(/\s+/g, ' ')];
    if (!kind || variable.pointers !== 1) continue;
    return kind === 'number' ? `(void *)(long)${variable.name}->${member}` : `${variable.name}->${member}`;
  }
  return undefined;
}

export interface PacketEnd {
  /** An expression for the packet's end. */
  text: string;
  /** What the other side of a comparison has to be cast to. */
  cast: string;
  /** A declaration that has to come before; absent when the function has the variable. */
  declare?: string;
}

/** Expressions for the packet's end that can be used at a node, the best first. */
export function packetEnds(situation: Situation, node: SyntaxNode): PacketEnd[] {
  const { code } = situation;
  const ends: PacketEnd[] = [];
  const scope = variablesAt(code, node);
  for (const variable of scope.values()) {
    if (!holdsMember(situation, code, variable, 'data_end', 0)) continue;
    ends.push({ text: variable.name, cast: variable.pointers > 0 ? 'void *' : variable.type });
  }
  for (const compared of comparedEnds(code)) {
    if (!ends.some(({ text }) => text === compared)) ends.push({ text: compared, cast: 'void *' });
  }
  const member = contextMember(code, node, 'data_end');
  if (ends.length === 0 && member) {
    const isFree =
      !scope.has('data_end') && !situation.source.variables.some(({ name }) => name === 'data_end');
    ends.push(
      isFree
        ? { text: 'data_end', cast: 'void *', declare: `void *data_end = ${member};` }
        : { text: member, cast: 'void *' },
    );
  }
  return ends;
}

/** Whether a variable was last given the context's `data` or `data_end`, here or by the callers of its function. */
export function holdsMember(
  situation: Situation,
  code: FunctionCode,
  variable: Variable,
  member: 'data' | 'data_end',
  depth: number,
): boolean {
  if (variable.isParameter) {
    if (depth > 3) return false;
    const at = code.parameters.findIndex(({ name }) => name === variable.name);
    return situation.functions.some((caller) =>
      [...walk(caller.body)].some((call) => {
        if (call.type !== 'call_expression' || call.fields.function?.text !== code.name) return false;
        const argument = call.fields.arguments?.children[at];
        if (!argument) return false;
        const passed = variablesAt(caller, call).get(bare(argument).text);
        return passed
          ? holdsMember(situation, caller, passed, member, depth + 1)
          : isMember(argument, member);
      }),
    );
  }
  const assigned = assignmentsTo(code, variable).map((one) => one.fields.right);
  return [variable.value, ...assigned].some((value) => value !== undefined && isMember(value, member));
}

function isMember(value: SyntaxNode, member: string): boolean {
  const expression = bare(value);
  return expression.type === 'field_expression' && expression.fields.field?.text === member;
}

/** Members such as `cursor->end` that this function compares a sum with. */
function comparedEnds(code: FunctionCode): string[] {
  return [...walk(code.body)].flatMap((node) => {
    if (node.type !== 'binary_expression' || !/^[<>]=?$/.test(node.operator ?? '')) return [];
    const { left, right } = node.fields;
    return [
      [left, right],
      [right, left],
    ].flatMap(([sum, end]) =>
      sum && end && bare(sum).type === 'binary_expression' && end.type === 'field_expression' && isPure(end)
        ? [end.text]
        : [],
    );
  });
}
