/** Which pointers an expression follows. */
import { ancestors, walk, type SyntaxNode } from '../../../toolchain/c/tree';
import { bare, isPure, stripParens } from './function';
import { statementOf } from './place';

export interface Follow {
  /** What is followed: `ip` of `ip->saddr`, `data + 4` of `*(__u32 *)(data + 4)`. */
  base: SyntaxNode;
  /** The expression that follows it, or that hands it to a function. */
  by: SyntaxNode;
}

/**
 * The pointers that are followed at a node: those around the node first, the innermost before the outer ones, then
 * the others of the same statement in source order, then arguments. None twice by their text.
 */
export function followedAt(node: SyntaxNode): Follow[] {
  const statement = statementOf(node);
  const around = [node, ...ancestors(node)];
  const last = statement ? around.indexOf(statement) : around.length;
  const inside = statement ? headNodes(statement) : [];
  const found = [...around.slice(0, Math.max(last, 0)), ...inside].flatMap(follow);
  const passed = [...around.slice(0, Math.max(last, 0)), ...inside].flatMap(passes);
  const seen = new Set<string>();
  return [...found, ...passed].filter(({ base }) => {
    if (!isPure(base) || base.type === 'string_literal' || base.type === 'number_literal') return false;
    return !seen.has(base.text) && seen.add(base.text);
  });
}

/** What a statement evaluates itself: of an `if` or a loop only its head. */
function headNodes(statement: SyntaxNode): SyntaxNode[] {
  const bodies = ['body', 'consequence', 'alternative'].map((name) => statement.fields[name]);
  return statement.children.filter((child) => !bodies.includes(child)).flatMap((child) => [...walk(child)]);
}

function follow(node: SyntaxNode): Follow[] {
  const { argument } = node.fields;
  if (!argument) return [];
  const follows =
    (node.type === 'field_expression' && node.operator === '->') ||
    (node.type === 'pointer_expression' && node.operator === '*') ||
    node.type === 'subscript_expression';
  return follows ? [{ base: stripParens(argument), by: node }] : [];
}

/** Arguments that are pointers by their form. */
function passes(node: SyntaxNode): Follow[] {
  if (node.type !== 'call_expression') return [];
  return (node.fields.arguments?.children ?? []).flatMap((argument): Follow[] => {
    const base = bare(argument);
    return ['identifier', 'field_expression', 'binary_expression'].includes(base.type)
      ? [{ base, by: node }]
      : [];
  });
}
