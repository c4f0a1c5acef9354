/**
 * Conditional jumps as conditions in C: found in the recorded text of the source by the line and column that the
 * compiler gave the jump. Which way of the jump means that the condition held is told by where the two ways lead: to
 * code of the branch that C takes if it holds, or of the other. Where neither is to be seen, nothing is said.
 */
import type { Node, Tree } from 'web-tree-sitter';
import { loadParser } from '../../../toolchain/c/parser';
import type { OpenedRun } from '../../recorder/open-run';

export interface Branch {
  condition: string;
  /** The way that is gone when the condition holds. */
  heldBy?: 'jump' | 'next';
}

export interface Branches {
  at(insn: number): Branch | undefined;
}

/** A condition in the source, and where control goes by it. */
interface Condition {
  node: Node;
  whenTrue: Node[];
  whenFalse: Node[];
}

export async function branchesOf(run: OpenedRun): Promise<Branches> {
  const parser = await loadParser();
  const byPath = new Map<string, Condition[]>();
  const trees: Tree[] = [];
  for (const { path, text } of run.recording.sources) {
    const tree = parser.parse(text);
    if (!tree) continue;
    trees.push(tree);
    byPath.set(path, [...conditionsIn(tree.rootNode)]);
  }
  // Everything is read at once, because trees are freed by hand.
  const found = new Map<number, Branch>();
  run.code.insns.forEach((_, insn) => {
    if (!run.source.placeOf(insn)) return;
    const branch = branchAt(run, byPath, insn);
    if (branch) found.set(insn, branch);
  });
  for (const tree of trees) tree.delete();
  return { at: (insn) => found.get(insn) };
}

function branchAt(
  run: OpenedRun,
  byPath: ReadonlyMap<string, readonly Condition[]>,
  insn: number,
): Branch | undefined {
  const { source, code } = run;
  const target = code.target[insn]!;
  const next = code.next[insn]!;
  const at = source.placeOf(insn);
  if (!at || target === 0 || code.isGoto[insn]) return undefined;
  const position = { row: at.line - 1, column: Math.max(0, at.column - 1) };
  const condition = innermost(byPath.get(at.path) ?? [], position);
  if (!condition) return undefined;
  const leadsTo = (to: number, nodes: readonly Node[]) => {
    const there = source.placeOf(to);
    if (!there || there.path !== at.path || source.line[to]! < 0) return false;
    const place = { row: there.line - 1, column: Math.max(0, there.column - 1) };
    return nodes.some((node) => covers(node, place));
  };
  const jumpHolds = leadsTo(target, condition.whenTrue) || leadsTo(next, condition.whenFalse);
  const nextHolds = leadsTo(next, condition.whenTrue) || leadsTo(target, condition.whenFalse);
  const text = condition.node.text.replace(/^\((.*)\)$/s, '$1').replace(/\s+/g, ' ');
  return {
    condition: text,
    ...(jumpHolds === nextHolds ? {} : { heldBy: jumpHolds ? 'jump' : 'next' }),
  };
}

type Position = { row: number; column: number };

function covers({ startPosition, endPosition }: Node, { row, column }: Position): boolean {
  const isAfter = row > startPosition.row || (row === startPosition.row && column >= startPosition.column);
  const isBefore = row < endPosition.row || (row === endPosition.row && column < endPosition.column);
  return isAfter && isBefore;
}

/** The compiler gives a jump the place of its condition, or of the statement that the condition belongs to. */
function innermost(conditions: readonly Condition[], position: Position): Condition | undefined {
  let best: Condition | undefined;
  for (const condition of conditions) {
    const owner = condition.node.parent;
    const isAtStart =
      owner !== null &&
      owner.startPosition.row === position.row &&
      owner.startPosition.column === position.column;
    if (!covers(condition.node, position) && !isAtStart) continue;
    const isSmaller =
      !best ||
      condition.node.endIndex - condition.node.startIndex < best.node.endIndex - best.node.startIndex;
    if (isSmaller) best = condition;
  }
  return best;
}

function* conditionsIn(node: Node): Generator<Condition> {
  const condition = node.childForFieldName('condition');
  if (condition) {
    const whenTrue = node.childForFieldName('consequence') ?? node.childForFieldName('body');
    const whenFalse = node.childForFieldName('alternative');
    yield* partsOf(condition, whenTrue ? [whenTrue] : [], whenFalse ? [whenFalse] : behind(node, whenTrue));
  }
  for (const child of node.namedChildren) if (child) yield* conditionsIn(child);
}

const LOOPS = new Set(['while_statement', 'for_statement', 'do_statement']);
const LEAVING = new Set(['return_statement', 'break_statement', 'continue_statement', 'goto_statement']);

/** Statements behind one that is left when its condition holds, or that is a loop: they follow when it does not. */
function behind(statement: Node, whenTrue: Node | null): Node[] {
  const last = whenTrue?.type === 'compound_statement' ? whenTrue.namedChildren.at(-1) : whenTrue;
  if (!LOOPS.has(statement.type) && !LEAVING.has(last?.type ?? '')) return [];
  const siblings = statement.parent?.namedChildren ?? [];
  return siblings.filter((one) => one !== null && one.startIndex >= statement.endIndex) as Node[];
}

/** `a && b` and `a || b` are two jumps. */
function* partsOf(node: Node, whenTrue: Node[], whenFalse: Node[]): Generator<Condition> {
  const inner = node.type === 'parenthesized_expression' ? node.namedChildren[0] : node;
  const operator = inner?.childForFieldName('operator')?.text;
  const left = inner?.childForFieldName('left');
  const right = inner?.childForFieldName('right');
  if (left && right && (operator === '&&' || operator === '||')) {
    const [then, otherwise] =
      operator === '&&' ? [[right, ...whenTrue], whenFalse] : [whenTrue, [right, ...whenFalse]];
    yield* partsOf(left, then, otherwise);
    yield* partsOf(right, whenTrue, whenFalse);
  } else {
    yield { node, whenTrue, whenFalse };
  }
}
