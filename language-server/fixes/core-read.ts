/** BPF_CORE_READ for a chain of kernel pointers that is followed directly. */
import { ancestors, walk, type SyntaxNode } from '../../toolchain/c/tree';
import { bare, isPure, variablesAt } from './code/function';
import { statementOf } from './code/place';
import type { Candidate, Situation } from './fix';
import { isHeader } from './packet-bounds';
import { invalidationOf } from './reread-packet';

/** Programs whose context holds what user space passed: pointers in it are user space's. */
const SYSCALLS = /^(?:tracepoint|tp)\/syscalls\/|^k(?:ret)?syscall\b/;

/** What programs see in place of kernel types (include/uapi/linux/bpf.h): at no address in kernel memory. */
const BPF_TYPES = /\bstruct (?:bpf_\w+|__sk_buff|xdp_md|sk_msg_md|sk_reuseport_md)$/;

export function readKernelMemory(situation: Situation): Candidate[] {
  const { node, code, program, failure } = situation;
  // A stale packet pointer is a number too, but no address in kernel memory.
  if (failure && invalidationOf(failure)) return [];
  const statement = statementOf(node);
  const around = [node, ...ancestors(node)];
  const inside = around
    .slice(0, statement ? around.indexOf(statement) + 1 : 0)
    .concat(statement ? [...walk(statement)] : []);
  const chains = [...new Set(inside.map(outermost).filter((one) => one !== undefined))];
  return chains.flatMap((chain): Candidate[] => {
    const parts = partsOf(chain);
    if (!parts || isWritten(chain) || SYSCALLS.test(program?.section ?? '')) return [];
    const root = variablesAt(code, chain).get(parts[0]!);
    if (
      !root ||
      root.pointers !== 1 ||
      !/\bstruct\b/.test(root.type) ||
      BPF_TYPES.test(root.type) ||
      isHeader(root.type)
    )
      return [];
    const edits = [{ start: chain.start, end: chain.end, text: `BPF_CORE_READ(${parts.join(', ')})` }];
    const title = `Read \`${chain.text}\` with BPF_CORE_READ`;
    // What is NULL here, or was given back, can be read like this too, and yields nothing.
    return [{ title, edits: [...includeEdit(situation), ...edits], isLastResort: true }];
  });
}

/** The whole chain of members that a node is part of. */
function outermost(node: SyntaxNode): SyntaxNode | undefined {
  let chain: SyntaxNode | undefined = node.type === 'field_expression' ? node : undefined;
  for (const outer of ancestors(node)) {
    if (outer.type !== 'field_expression') {
      if (chain || (node.type !== 'field_identifier' && node.type !== 'identifier')) break;
      return undefined;
    }
    chain = outer;
  }
  return chain?.text.includes('->') ? chain : undefined;
}

/** `a->b.c->d` → `a`, `b.c`, `d`: what BPF_CORE_READ takes; undefined for chains with calls or indices. */
function partsOf(chain: SyntaxNode): string[] | undefined {
  if (!isPure(chain)) return undefined;
  const { argument, field } = chain.fields;
  if (chain.type !== 'field_expression' || !argument || !field) return undefined;
  const inner = bare(argument);
  if (inner.type === 'identifier') return chain.operator === '->' ? [inner.text, field.text] : undefined;
  const before = partsOf(inner);
  if (!before) return undefined;
  return chain.operator === '->'
    ? [...before, field.text]
    : [...before.slice(0, -1), `${before.at(-1)}.${field.text}`];
}

/** Whether the expression is stored to, or its address or one of its elements is taken. */
function isWritten(chain: SyntaxNode): boolean {
  const { parent } = chain;
  return (
    (parent?.type === 'assignment_expression' && parent.fields.left === chain) ||
    parent?.type === 'update_expression' ||
    parent?.type === 'subscript_expression' ||
    (parent?.type === 'pointer_expression' && parent.operator === '&')
  );
}

/** `#include <bpf/bpf_core_read.h>` after libbpf's other headers, where it is missing. */
function includeEdit({ source }: Situation): Candidate['edits'] {
  if (source.includes.some(({ path }) => path.endsWith('bpf_core_read.h'))) return [];
  const after = source.includes.findLast(({ path }) => path.includes('bpf_')) ?? source.includes.at(-1);
  const at = after?.span.end ?? 0;
  return [{ start: at, end: at, text: '\n#include <bpf/bpf_core_read.h>' }];
}
