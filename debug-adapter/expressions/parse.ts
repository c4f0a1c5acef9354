/** C expressions parsed with tree-sitter. */
import type { Node, Parser } from 'web-tree-sitter';
import { loadParser } from '../../toolchain/c/parser';
import { fail, succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';
import { BadSyntax, convert } from './convert';
import { closingBracket } from './keys';
import type { Expression, ExpressionNode } from './syntax';

/** Longer text is no expression that somebody typed. */
const MAX_LENGTH = 10_000;
/** Indexes within indexes. */
const MAX_DEPTH = 32;

/**
 * Parses an expression; loads the parser when it is the first. Evaluating is synchronous, see ./evaluate.ts.
 *
 *     const parsed = await parseExpression('ip->saddr == ipv4("10.0.0.7")');
 *     if (parsed.ok) evaluate(parsed.value, scope);
 */
export async function parseExpression(text: string): Promise<Outcome<Expression>> {
  loaded = await loadParser();
  return parseWith(loaded, text, 0);
}

let loaded: Parser | undefined;

/** The same at once, for what an expression leads to: the parser has been loaded for the expression itself. */
export function parseInner(text: string): Outcome<Expression> {
  return loaded ? parseWith(loaded, text, 0) : fail('expression/syntax', 'The parser is not loaded.', '');
}

function parseWith(parser: Parser, text: string, depth: number): Outcome<Expression> {
  const trimmed = text.trim();
  if (trimmed === '') return fail('expression/syntax', 'There is no expression.', EXAMPLE);
  if (trimmed.length > MAX_LENGTH || depth > MAX_DEPTH)
    return fail('expression/syntax', 'The expression is too long.', EXAMPLE);
  const names = leadingNames(trimmed);
  const trees = new Map<string, ExpressionNode>();
  const treeFor = (types: readonly string[]): Outcome<ExpressionNode> => {
    const key = types.join(' ');
    const kept = trees.get(key);
    if (kept) return succeed(kept);
    const made = makeTree(parser, trimmed, new Set(types), depth);
    if (made.ok) trees.set(key, made.value);
    return made;
  };
  const plain = treeFor([]);
  // What is wrong without casts may be right with them: `(u32)~x`.
  const lone = names.filter((name) => new RegExp(`\\(\\s*${name}\\s*\\)`).test(trimmed));
  const first = [plain, ...(plain.ok ? [] : [treeFor(lone), treeFor(names)])].find(({ ok }) => ok);
  if (!first?.ok) return plain.ok ? unreadable(trimmed, 0) : plain;
  return succeed({
    text: trimmed,
    tree: (isType) => {
      const made = names.length === 0 ? plain : treeFor(names.filter(isType));
      return made.ok ? made.value : first.value;
    },
  });
}

/** What somebody writes who has no function in mind for it. */
const ADDRESS_LITERALS = [
  { pattern: /\b\d{1,3}(?:\.\d{1,3}){3}\b/, name: 'ipv4' },
  { pattern: /\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b/i, name: 'mac' },
] as const;
const EXAMPLE = 'Write C, such as ip->protocol == 17 or counts[3].packets.';

/** Names right behind a parenthesis, where C would take a type as well. */
function leadingNames(text: string): string[] {
  return [...new Set([...text.matchAll(LEADING_NAME)].map((match) => match[2] as string))];
}
/** Not after a name, which would be a call; `sizeof` is none. */
const LEADING_NAME =
  /((?:^|[^\w\s$]|\bsizeof)\s*\(\s*)(?!sizeof\b)([A-Za-z_]\w*)(?=\s*(?:\)|\(|\*(\s*[^\s)*[])?))/g;

/** What tree-sitter takes for a type by its mere name, and for anything but one. */
const A_TYPE = 'int';
const NO_TYPE = '0';

function makeTree(
  parser: Parser,
  text: string,
  types: ReadonlySet<string>,
  depth: number,
): Outcome<ExpressionNode> {
  const hidden = hideIndexes(text);
  if (!hidden.ok) return hidden;
  const { head, source, originalOf, replaced } = declare(hidden.value.text, types);
  const tree = parser.parse(source);
  if (!tree) return unreadable(text, 0);
  try {
    const node = expressionOf(tree.rootNode, head);
    const broken = tree.rootNode.hasError ? findBroken(tree.rootNode) : node ? undefined : tree.rootNode;
    if (!node || broken) return unreadable(text, broken ? originalOf(broken.startIndex) : 0);
    const made = convert(node, {
      textOf: ({ startIndex, endIndex }) => text.slice(originalOf(startIndex), originalOf(endIndex)),
      nameAt: ({ startIndex }) => replaced.get(startIndex),
      indexOf: ({ children }) => {
        const bracket = children.find((child) => child?.type === '[');
        return (bracket && hidden.value.indexes.get(originalOf(bracket.startIndex))) ?? '';
      },
      parse: (inner) => {
        const parsed = parseWith(parser, inner, depth + 1);
        return parsed.ok ? succeed(parsed.value.tree((name) => types.has(name))) : parsed;
      },
    });
    return succeed(made);
  } catch (error) {
    if (error instanceof BadSyntax) return error.outcome;
    throw error;
  } finally {
    tree.delete();
  }
}

/** A declaration with the expression in it, and from offsets in it to those in the text. */
interface Declared {
  source: string;
  /** Where the expression begins in it. */
  head: number;
  originalOf(offset: number): number;
  /** Names that have another one in their place, by offset. */
  replaced: Map<number, string>;
}

/**
 * The expression as the initialiser of a variable. Names where the grammar would have to guess are replaced: types by
 * one that it knows, other names by a number.
 */
function declare(text: string, types: ReadonlySet<string>): Declared {
  const prefix = 'int x=(';
  /** Ends of names that are shorter than what was put in their place, and by how much. */
  const grown: { end: number; by: number }[] = [];
  const replaced = new Map<number, string>();
  let total = 0;
  const body = text.replaceAll(
    LEADING_NAME,
    (whole, before: string, name: string, factor: unknown, at: number) => {
      const rest = text.slice(at + whole.length);
      // By itself, or as a pointer, it is read right either way.
      const isLone = /^\s*\)/.test(rest) || (/^\s*\*/.test(rest) && factor === undefined);
      if (!types.has(name) && isLone) return whole;
      const put = (types.has(name) ? A_TYPE : NO_TYPE).padEnd(name.length);
      const by = put.length - name.length;
      replaced.set(prefix.length + at + before.length + total, name);
      total += by;
      if (by > 0) grown.push({ end: prefix.length + at + before.length + name.length + total, by });
      return before + put;
    },
  );
  return {
    head: prefix.length,
    replaced,
    source: `${prefix}${body}\n);`,
    originalOf: (offset) =>
      grown.reduce((at, { end, by }) => (offset >= end ? at - by : at), offset - prefix.length),
  };
}

/** The one thing in the parentheses of {@link declare}; undefined when the text broke out of them. */
function expressionOf(root: Node, head: number): Node | undefined {
  const [declaration, ...more] = root.namedChildren;
  const initialiser = declaration?.childForFieldName('declarator')?.childForFieldName('value');
  if (more.length > 0 || initialiser?.startIndex !== head - 1) return undefined;
  if (initialiser.type !== 'parenthesized_expression' || initialiser.namedChildCount !== 1) return undefined;
  return initialiser.namedChildren[0] ?? undefined;
}

function findBroken(node: Node): Node | undefined {
  if (node.isError || node.isMissing) return node;
  for (const child of node.children) {
    const found = child?.hasError || child?.isMissing ? findBroken(child) : undefined;
    if (found) return found;
  }
  return undefined;
}

function unreadable(text: string, at: number): Outcome<never> {
  const from = Math.max(0, Math.min(at, text.length));
  const rest = text.slice(from).trim();
  const where = rest === '' ? 'It ends too early' : `It cannot be read from "${rest.slice(0, 24)}" on`;
  const literal = ADDRESS_LITERALS.flatMap(({ pattern, name }) => {
    const found = pattern.exec(text)?.[0];
    return found === undefined ? [] : [`C has no addresses: write ${name}("${found}").`];
  })[0];
  return fail('expression/syntax', `"${text}" is not a C expression. ${where}.`, literal ?? EXAMPLE);
}

/** Puts a number in the place of what stands between brackets, since keys of maps are not always C. */
function hideIndexes(text: string): Outcome<{ text: string; indexes: Map<number, string> }> {
  const indexes = new Map<number, string>();
  let shown = '';
  for (let at = 0; at < text.length; at++) {
    const quoted = /^(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')/s.exec(text.slice(at))?.[0];
    if (quoted !== undefined) {
      shown += quoted;
      at += quoted.length - 1;
    } else if (text[at] === '[') {
      const end = closingBracket(text, at + 1);
      if (end === undefined)
        return fail('expression/syntax', `"${text}" lacks a closing bracket.`, 'Close it with ].');
      if (end === at + 1) return unreadable(text, end);
      indexes.set(at, text.slice(at + 1, end).trim());
      shown += `[${'0'.padEnd(end - at - 1)}]`;
      at = end;
    } else shown += text[at];
  }
  return succeed({ text: shown, indexes });
}
