import { ancestors, type SyntaxNode } from '../../../toolchain/c/tree';

/** The variable or member that the value of a call is assigned to, by the place of the call. */
export function assignedAt(node: SyntaxNode | undefined): SyntaxNode | undefined {
  for (const one of node ? [node, ...ancestors(node)] : []) {
    if (one.type === 'init_declarator') return declaredName(one);
    if (one.type === 'assignment_expression') return one.fields.left;
    if (one.type === 'compound_statement') return undefined;
  }
  return undefined;
}

function declaredName(declarator: SyntaxNode): SyntaxNode | undefined {
  let at: SyntaxNode | undefined = declarator;
  while (at && at.type !== 'identifier') at = at.fields.declarator ?? at.children[0];
  return at;
}

/** The call at a node, or around it, of a function or macro of this name; the nearest call when none is given. */
export function callAt(node: SyntaxNode | undefined, name?: string): SyntaxNode | undefined {
  if (!node) return undefined;
  const isWanted = (one: SyntaxNode): boolean =>
    one.type === 'call_expression' && (name === undefined || one.fields.function?.text === name);
  return [node, ...ancestors(node)].find(isWanted);
}
