/** Release of a reference, a lock or a section on the ways out that keep it. */
import { releasesOf } from '../../toolchain/verifier/catalogue/releases';
import { ancestors, contains, walk, type SyntaxNode } from '../../toolchain/c/tree';
import { assignedAt, callAt } from './code/assigned';
import { bare } from './code/function';
import { insertAfter, insertBefore } from './code/place';
import { indentUnit } from './code/style';
import type { Candidate, Situation, TextEdit } from './fix';

/** What gives back what a call took. `held` is the variable that holds it, or the call's argument at `argument`. */
interface Release {
  call: (held: string) => string;
  /** For records: what to do at the end of the function instead, when everything went well. */
  finish?: (held: string) => string;
  /** Position of the argument that names what is held; absent: the result. */
  argument?: number;
  /** Names of all calls that end the possession. */
  ends: string[];
}

const by = (name: string): Release => ({ call: (held) => `${name}(${held});`, ends: [name] });

/** What is not released by one call of what was taken: records are sent or given back, locks and sections have no result. */
const IN_PARTICULAR: Record<string, Release> = {
  bpf_ringbuf_reserve: {
    call: (held) => `bpf_ringbuf_discard(${held}, 0);`,
    finish: (held) => `bpf_ringbuf_submit(${held}, 0);`,
    ends: ['bpf_ringbuf_discard', 'bpf_ringbuf_submit'],
  },
  bpf_ringbuf_reserve_dynptr: {
    call: (held) => `bpf_ringbuf_discard_dynptr(${held}, 0);`,
    finish: (held) => `bpf_ringbuf_submit_dynptr(${held}, 0);`,
    argument: 3,
    ends: ['bpf_ringbuf_discard_dynptr', 'bpf_ringbuf_submit_dynptr'],
  },
  bpf_spin_lock: { ...by('bpf_spin_unlock'), argument: 0 },
  bpf_res_spin_lock: { ...by('bpf_res_spin_unlock'), argument: 0 },
  bpf_rcu_read_lock: { call: () => 'bpf_rcu_read_unlock();', ends: ['bpf_rcu_read_unlock'] },
  bpf_preempt_disable: { call: () => 'bpf_preempt_enable();', ends: ['bpf_preempt_enable'] },
  bpf_local_irq_save: { ...by('bpf_local_irq_restore'), argument: 0 },
};

/** How to end what a helper or kernel function began; undefined where this is not known, or an iterator's. */
function releaseOf(callee: string): Release | undefined {
  const particular = Object.hasOwn(IN_PARTICULAR, callee) ? IN_PARTICULAR[callee] : undefined;
  if (particular) return particular;
  const known = releasesOf(callee);
  // An iterator is ended behind its loop, which no edit at the ways out of the function can do.
  return known && known.argument === undefined ? by(known.names[0]!) : undefined;
}

/** What a macro of the headers that kfuncs are called by makes of them. */
const WRITTEN_AS: Record<string, string> = {
  bpf_obj_new_impl: 'bpf_obj_new',
  bpf_refcount_acquire_impl: 'bpf_refcount_acquire',
  bpf_percpu_obj_new_impl: 'bpf_percpu_obj_new',
};

interface Held {
  acquire: SyntaxNode;
  release: Release;
  /** As the source writes it; empty where there is nothing to name. */
  name: string;
  /** The result of the call, which may be NULL, instead of an argument. */
  isResult: boolean;
}

export function releaseReference(situation: Situation): Candidate[] {
  const held = whatIsHeld(situation);
  if (!held) return [];
  const leaks = leaksOf(situation, held);
  if (leaks.length === 0) return [];
  const { finish } = held.release;
  const isEnd = (leak: Leak): boolean => leak.statement.parent === situation.code.body;
  if (!finish || !leaks.some(isEnd)) return candidate(() => held.release.call(held.name), false);
  // At the end of the function the record is filled: it is sent. On a way out before that it is given back.
  return [
    ...candidate((leak) => (isEnd(leak) ? finish(held.name) : held.release.call(held.name)), false),
    ...candidate(() => held.release.call(held.name), true),
  ];

  function candidate(codeFor: (leak: Leak) => string, isAlternative: boolean): Candidate[] {
    const edits = leaks.map((leak) => editsFor(situation, held!, leak, codeFor(leak)));
    if (edits.includes(undefined)) return [];
    const calls = [...new Set(leaks.map((leak) => `\`${codeFor(leak).replace(/;$/, '')}\``))].join(' or ');
    const [first] = leaks;
    const where =
      leaks.length > 1
        ? `on all ${leaks.length} ways out that keep it`
        : first!.kind === 'branch'
          ? 'where it is no longer needed'
          : 'before the function returns';
    return [{ title: `Call ${calls} ${where}`, edits: edits.flatMap((one) => one ?? []), isAlternative }];
  }
}

function whatIsHeld(situation: Situation): Held | undefined {
  const { failure } = situation;
  if (!failure) return undefined;
  const insn = Number(/alloc_insn=(\d+)/.exec(failure.kernelMessage)?.[1] ?? NaN);
  const isMissing = /EXIT|is missing|Unreleased|leak|exit/i.test(failure.kernelMessage);
  const steps = failure.path.steps;
  const nameOf = (text: string): string => /^call (\w+)(?:#|$)/.exec(text)?.[1] ?? '';
  const sections = /rcu|preempt|irq|lock/i.test(failure.kernelMessage) && !Number.isInteger(insn);
  const step = Number.isInteger(insn)
    ? steps.findLast((one) => one.insn === insn)
    : sections && isMissing
      ? steps.findLast((one) =>
          /^bpf_(?:(?:res_)?spin_lock|rcu_read_lock|preempt_disable|local_irq_save)$/.test(nameOf(one.text)),
        )
      : undefined;
  const callee = step ? nameOf(step.text) : '';
  const release = releaseOf(callee);
  const node = situation.nodeOf(step?.insn);
  if (!release || !node || !contains(situation.code.body, node)) return undefined;
  const acquire = callAt(node, callee) ?? callAt(node, WRITTEN_AS[callee]) ?? callAt(node);
  if (!acquire) return undefined;
  if (release.argument !== undefined) {
    const argument = acquire.fields.arguments?.children[release.argument];
    return argument && { acquire, release, name: argument.text, isResult: false };
  }
  if (release.call('') === release.call('x')) return { acquire, release, name: '', isResult: false };
  const name = assignedAt(node)?.text;
  return name === undefined ? undefined : { acquire, release, name, isResult: true };
}

interface Leak {
  /** `return`: before this return; `branch`: at the end of this block; `end`: after the function's last statement. */
  kind: 'return' | 'branch' | 'end';
  statement: SyntaxNode;
}

/** Ways out behind the acquisition on which nothing releases what is held. */
function leaksOf({ code }: Situation, held: Held): Leak[] {
  const leaks: Leak[] = [];
  for (const node of walk(code.body)) {
    if (node.type !== 'return_statement' || node.start < held.acquire.end) continue;
    const branch = settledBefore(node, held);
    if (branch === 'released' || isWithout(node, held)) continue;
    const leak: Leak = branch ? { kind: 'branch', statement: branch } : { kind: 'return', statement: node };
    if (!leaks.some(({ statement }) => statement === leak.statement)) leaks.push(leak);
  }
  const last = code.body.children.at(-1);
  if (code.returnType === 'void' && last && last.type !== 'return_statement') {
    const branch = settledBefore(last, held);
    if (branch === undefined && !endsPossession(last, held)) leaks.push({ kind: 'end', statement: last });
    else if (branch && branch !== 'released') leaks.push({ kind: 'branch', statement: branch });
  }
  return leaks;
}

/**
 * Whether a statement before `node`, on every way to it, ends the possession. `if (sk) { … }` without a release
 * inside is where it was forgotten: behind it there is nothing to release, or no way to know.
 */
function settledBefore(node: SyntaxNode, held: Held): 'released' | SyntaxNode | undefined {
  let inner = node;
  for (const outer of ancestors(node)) {
    for (const statement of outer.type === 'compound_statement' ||
    outer.type === 'labeled_statement' ||
    outer.type === 'case_statement'
      ? outer.children
      : []) {
      if (statement.end > inner.start || statement.start < held.acquire.end) continue;
      if (statement.type === 'expression_statement' && endsPossession(statement, held)) return 'released';
      if (!held.isResult || statement.type !== 'if_statement') continue;
      const { condition, consequence } = statement.fields;
      if (!condition || !consequence || !isPresent(condition, held.name)) continue;
      if (endsPossession(consequence, held) || endsInJump(consequence)) return 'released';
      if (consequence.type === 'compound_statement') return consequence;
    }
    inner = outer;
  }
  return undefined;
}

/** Whether a node is reached only when the acquisition failed. */
function isWithout(node: SyntaxNode, held: Held): boolean {
  if (!held.isResult) return false;
  let inner = node;
  for (const outer of ancestors(node)) {
    if (outer.type === 'if_statement') {
      const { condition, consequence, alternative } = outer.fields;
      if (condition && consequence === inner && isAbsent(condition, held.name)) return true;
      if (condition && alternative === inner && isPresent(condition, held.name)) return true;
    }
    inner = outer;
  }
  return false;
}

function isAbsent(condition: SyntaxNode, name: string): boolean {
  const expression = bare(condition);
  if (expression.type === 'unary_expression')
    return expression.operator === '!' && expression.fields.argument?.text === name;
  return expression.operator === '==' && expression.fields.left?.text === name;
}

function isPresent(condition: SyntaxNode, name: string): boolean {
  const expression = bare(condition);
  return expression.text === name || (expression.operator === '!=' && expression.fields.left?.text === name);
}

function endsPossession(node: SyntaxNode, { release, name }: Held): boolean {
  return [...walk(node)].some(
    (one) =>
      one.type === 'call_expression' &&
      release.ends.includes(one.fields.function?.text ?? '') &&
      (name === '' || bare(one.fields.arguments?.children[0] ?? one).text === name),
  );
}

function endsInJump(node: SyntaxNode): boolean {
  const last = node.type === 'compound_statement' ? node.children.at(-1) : node;
  return /^(?:return|goto|continue|break)_statement$/.test(last?.type ?? '');
}

function editsFor(situation: Situation, held: Held, leak: Leak, call: string): TextEdit[] | undefined {
  const { source, code } = situation;
  const { statement, kind } = leak;
  if (kind === 'end') return insertAfter(source, statement, [call]);
  if (kind === 'branch') {
    const last = statement.children.at(-1);
    return last && insertAfter(source, last, [call]);
  }
  const value = statement.children[0];
  const root = /^[&*(]*(\w+)/.exec(held.name)?.[1];
  const names = value
    ? [...walk(value)].filter((one) => one.type === 'identifier').map(({ text }) => text)
    : [];
  if (!value || !root || !names.includes(root)) return insertBefore(source, code, statement, [call]);
  // The value is taken from what is given back, so it has to be read first.
  const free = ['ret', 'result', 'value'].find((name) => !new RegExp(`\\b${name}\\b`).test(code.root.text));
  if (!free) return undefined;
  const type = `${code.returnType} ${code.returnsPointer ? '*' : ''}`;
  const lines = [`${type}${free} = ${value.text};`, '', call];
  const inserted = insertBefore(
    source,
    code,
    statement,
    lines.filter((line) => line !== '' || indentUnit(source, code) === ''),
  );
  return inserted && [...inserted, { start: value.start, end: value.end, text: free }];
}
