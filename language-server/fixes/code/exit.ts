/** How a function is left early: as its other checks do it, else as its program type wants it. */
import { isLoneIdentifier } from './words';
import { ancestors, contains, walk, type SyntaxNode } from '../../../toolchain/c/tree';
import type { Situation } from '../fix';
import { bare, localVariables, loopAround, variablesAt, type FunctionCode } from './function';
import { guardedJump } from './style';

export interface Exit {
  /** `return XDP_PASS;` */
  code: string;
  /** `return XDP_PASS`, `go to \`out\``, `continue with the next round`. */
  words: string;
}

/**
 * Values that let the kernel go on as if the program were not there, by program type; names from linux/bpf.h and
 * linux/netfilter.h. For all other types 0 is right.
 */
const PASS: Record<string, { name?: string; value: string }> = {
  xdp: { name: 'XDP_PASS', value: '2' },
  sk_skb: { name: 'SK_PASS', value: '1' },
  sk_msg: { name: 'SK_PASS', value: '1' },
  sk_lookup: { name: 'SK_PASS', value: '1' },
  sk_reuseport: { name: 'SK_PASS', value: '1' },
  netfilter: { name: 'NF_ACCEPT', value: '1' },
  sched_cls: { name: 'TC_ACT_OK', value: '0' },
  sched_act: { name: 'TC_ACT_OK', value: '0' },
  cgroup_skb: { value: '1' },
  cgroup_sock: { value: '1' },
  cgroup_sock_addr: { value: '1' },
  cgroup_device: { value: '1' },
  cgroup_sysctl: { value: '1' },
  cgroup_sockopt: { value: '1' },
};

/** Enumerators that every source has which has the program type's context; macros have to be named somewhere. */
const ENUMERATORS = new Set(['XDP_PASS', 'SK_PASS']);

/** The program type of a section, of those that {@link PASS} has; for a text that no kernel has seen. */
function typeOfSection(section: string): string {
  const plain = section.replace(/^\?/, '');
  if (/^(?:tc|tcx|netkit|classifier)(?:\/|$)/.test(plain)) return 'sched_cls';
  if (/^cgroup\/skb|^cgroup_skb/.test(plain)) return 'cgroup_skb';
  if (/^cgroup\//.test(plain)) return 'cgroup_sock_addr';
  return /^\w+/.exec(plain)?.[0] ?? '';
}

/** Ways out at a node, the best first, none twice. */
export function exitsAt(situation: Situation, node: SyntaxNode): Exit[] {
  const exits: Exit[] = [];
  const add = (exit: Exit | undefined): void => {
    if (exit && !exits.some(({ code }) => code === exit.code)) exits.push(exit);
  };
  add(habitualExit(situation, node));
  add(returnExit(situation));
  if (loopAround(node)) add({ code: 'continue;', words: 'continue with the next round' });
  return exits;
}

/** The jump that most checks of this function end in: those of the same loop count before all others. */
function habitualExit(situation: Situation, node: SyntaxNode): Exit | undefined {
  const loop = loopAround(node);
  const votes = new Map<string, { exit: Exit; weight: number }>();
  for (const one of walk(situation.code.body)) {
    const guarded = guardedJump(one);
    if (!guarded || !isCheck(situation.code, one.fields.condition!)) continue;
    const exit = asExit(situation, guarded.jump, node, loop);
    if (!exit) continue;
    const vote = votes.get(exit.code) ?? { exit, weight: 0 };
    vote.weight += loop && contains(loop, one) ? 100 : 1;
    votes.set(exit.code, vote);
  }
  return [...votes.values()].sort((a, b) => b.weight - a.weight)[0]?.exit;
}

/** A comparison of a pointer with NULL or with another pointer: what a failed call or a short packet is caught by. */
function isCheck(code: FunctionCode, condition: SyntaxNode): boolean {
  const expression = bare(condition);
  if (expression.type === 'unary_expression' && expression.operator === '!') {
    const pointer = bare(expression.fields.argument ?? expression);
    return (variablesAt(code, condition).get(pointer.text)?.pointers ?? 0) > 0;
  }
  if (expression.type !== 'binary_expression') return false;
  const { left, right } = expression.fields;
  if (expression.operator === '==') return /^(NULL|0|\(void \*\)\s*0)$/.test(right?.text ?? '');
  if (!/^[<>]=?$/.test(expression.operator ?? '')) return false;
  return (
    [left, right].some(
      (side) =>
        side !== undefined &&
        /\(\s*(?:const\s+)?(?:void|char|__u8|u8|unsigned char)\s*\*\s*\)/.test(side.text),
    ) ||
    (left?.type === 'binary_expression' && ['identifier', 'field_expression'].includes(right?.type ?? ''))
  );
}

/** The same jump, if it means the same at `node`. */
function asExit(
  { code, source }: Situation,
  jump: SyntaxNode,
  node: SyntaxNode,
  loop: SyntaxNode | undefined,
): Exit | undefined {
  switch (jump.type) {
    case 'goto_statement': {
      const label = jump.fields.label?.text;
      const target = [...walk(code.body)].find(
        (one) => one.type === 'labeled_statement' && one.fields.label?.text === label,
      );
      return target && target.start > node.start
        ? { code: `goto ${label};`, words: `go to \`${label}\`` }
        : undefined;
    }
    case 'continue_statement':
    case 'break_statement': {
      if (!loop || loopAround(jump) !== loop || breaksSwitch(jump, loop)) return undefined;
      return jump.type === 'continue_statement'
        ? { code: 'continue;', words: 'continue with the next round' }
        : { code: 'break;', words: 'leave the loop' };
    }
    case 'return_statement': {
      const value = jump.children[0];
      if (!value) return { code: 'return;', words: 'return' };
      // A value that is computed may not be computed yet; only constants are the same everywhere.
      const names = new Set(
        [...localVariables(code), ...code.parameters, ...source.variables].map(({ name }) => name),
      );
      const isConstant = [...walk(value)].every(
        (one) =>
          !['call_expression', 'field_expression', 'subscript_expression'].includes(one.type) &&
          !(one.type === 'identifier' && names.has(one.text)),
      );
      return isConstant ? { code: `return ${value.text};`, words: `return ${value.text}` } : undefined;
    }
  }
  return undefined;
}

function breaksSwitch(jump: SyntaxNode, loop: SyntaxNode): boolean {
  if (jump.type !== 'break_statement') return false;
  for (const one of ancestors(jump)) {
    if (one === loop) return false;
    if (one.type === 'switch_statement') return true;
  }
  return false;
}

/** The return that fits the function's type and, in a program, the program type. */
function returnExit(situation: Situation): Exit | undefined {
  const { code, source, program } = situation;
  if (code.returnType === 'void' && !code.returnsPointer) return { code: 'return;', words: 'return' };
  const value = defaultValue();
  return { code: `return ${value};`, words: `return ${value}` };

  function defaultValue(): string {
    if (code.returnsPointer) return /\bNULL\b/.test(source.text) ? 'NULL' : '0';
    if (code.section === undefined) {
      if (/^(bool|_Bool)$/.test(code.returnType)) return /\bfalse\b/.test(source.text) ? 'false' : '0';
      return '0';
    }
    const pass = PASS[program?.type ?? typeOfSection(code.section)];
    if (!pass?.name) return pass?.value ?? '0';
    return ENUMERATORS.has(pass.name) || isLoneIdentifier(source.text, pass.name) ? pass.name : pass.value;
  }
}

/** What a variable that is returned may begin as: the value that does least harm. */
export function passValue(situation: Situation): string {
  return returnExit(situation)?.code.replace(/^return ?|;$/g, '') || '0';
}
