/** The syntax tree of a declaration, for what has to change a program: plain objects that outlive the parser's tree. */
import type { Node, Parser } from 'web-tree-sitter';
import { selectBranches } from './conditionals';
import { toPlainC } from './dialect';
import type { Span } from './outline';
import type { SourceFile } from './source';
import { tokenize } from './tokens';

/** A named node of tree-sitter-c's grammar; see its node-types.json for the types and their fields. */
export interface SyntaxNode {
  type: string;
  /** Offsets in the file, UTF-16 units. */
  start: number;
  end: number;
  /** The source as it is written, also where the grammar was given something plainer. */
  text: string;
  parent: SyntaxNode | undefined;
  /** Named children only; punctuation and comments are left out. */
  children: SyntaxNode[];
  /** Children by the name of the grammar's field, e.g. `condition`; the first, where there are several. */
  fields: Record<string, SyntaxNode>;
  /** Text of the operator, where the grammar has one. */
  operator: string | undefined;
}

/**
 * The tree of the text in `span`, which should be one declaration. What the dialect puts in place of BPF's macros
 * has the same length, so offsets are those of the file. Undefined when the parser gives up.
 */
export function readTree(parser: Parser, source: SourceFile, span: Span): SyntaxNode | undefined {
  const text = source.text.slice(span.start, span.end);
  const tokens = tokenize(text);
  const { active, skipped } = selectBranches(text, tokens);
  const macros = new Set(source.cache.macroKey.split(' '));
  const tree = parser.parse(toPlainC(text, tokens, active, skipped, macros));
  if (!tree) return undefined;
  try {
    return copy(tree.rootNode, span.start, source.text, undefined);
  } finally {
    tree.delete();
  }
}

function copy(node: Node, base: number, text: string, parent: SyntaxNode | undefined): SyntaxNode {
  const start = node.startIndex + base;
  const end = node.endIndex + base;
  const own: SyntaxNode = {
    type: node.type,
    start,
    end,
    text: text.slice(start, end),
    parent,
    children: [],
    fields: {},
    operator: undefined,
  };
  for (let at = 0; at < node.childCount; at++) {
    const child = node.child(at);
    if (!child || child.type === 'comment') continue;
    const field = node.fieldNameForChild(at);
    if (field === 'operator') own.operator = child.text;
    if (!child.isNamed) continue;
    const copied = copy(child, base, text, own);
    own.children.push(copied);
    if (field) own.fields[field] ??= copied;
  }
  return own;
}

/** The smallest node that holds an offset. */
export function nodeAt(root: SyntaxNode, offset: number): SyntaxNode {
  const child = root.children.find((one) => one.start <= offset && offset < one.end);
  return child ? nodeAt(child, offset) : root;
}

/** A node and everything in it, in source order. */
export function* walk(root: SyntaxNode): Generator<SyntaxNode> {
  yield root;
  for (const child of root.children) yield* walk(child);
}

/** A node's parents, the nearest first. */
export function* ancestors(node: SyntaxNode): Generator<SyntaxNode> {
  for (let { parent } = node; parent; parent = parent.parent) yield parent;
}

/** Whether one node is the other or lies in it. */
export function contains(outer: SyntaxNode, inner: SyntaxNode): boolean {
  return outer === inner || [...ancestors(inner)].includes(outer);
}
