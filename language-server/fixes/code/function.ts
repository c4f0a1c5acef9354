/** A function as fixes need it: its tree, its parameters, what is declared where. */
import { ancestors, walk, type SyntaxNode } from '../../../toolchain/c/tree';

export interface FunctionCode {
  name: string;
  /** Its whole definition. */
  root: SyntaxNode;
  body: SyntaxNode;
  /** `int`, `static __always_inline struct hdr *`, attributes left out where the grammar does not have them. */
  returnType: string;
  returnsPointer: boolean;
  /** Present when it is a program: the argument of its `SEC()`. */
  section: string | undefined;
  parameters: Variable[];
}

export interface Variable {
  name: string;
  /** As written, without the declarator's stars: `struct iphdr`, `const __u32`. */
  type: string;
  /** How many `*` its declarator has. */
  pointers: number;
  /** The bounds of an array as written, outermost first; '' for `[]`. */
  dimensions: string[];
  /** The declaration or parameter. */
  declaration: SyntaxNode;
  /** Its declarator, initialiser included. */
  declarator: SyntaxNode;
  nameNode: SyntaxNode;
  value: SyntaxNode | undefined;
  isParameter: boolean;
}

/** Reads a definition; undefined for a tree that holds none. */
export function readFunction(
  tree: SyntaxNode,
  name: string,
  section: string | undefined,
): FunctionCode | undefined {
  const root = [...walk(tree)].find((node) => node.type === 'function_definition');
  const { body, declarator } = root?.fields ?? {};
  if (!root || body?.type !== 'compound_statement' || !declarator) return undefined;
  const head = [...walk(declarator)].find((node) => node.type === 'function_declarator');
  const list = head?.fields.parameters?.children ?? [];
  const parameters = list.flatMap((one) => declaredBy(one, true));
  return {
    name,
    root,
    body,
    returnType: root.fields.type?.text ?? 'int',
    returnsPointer: declarator.type === 'pointer_declarator',
    section,
    parameters,
  };
}

/** Variables that a `declaration` or `parameter_declaration` declares. */
export function declaredBy(declaration: SyntaxNode, isParameter = false): Variable[] {
  const type = declaration.fields.type;
  if (!type) return [];
  const found: Variable[] = [];
  for (const declarator of declaration.children) {
    if (declarator === type) continue;
    let at: SyntaxNode | undefined = declarator;
    let value: SyntaxNode | undefined;
    let pointers = 0;
    const dimensions: string[] = [];
    while (at && at.type !== 'identifier') {
      if (at.type === 'init_declarator') value = at.fields.value;
      else if (at.type === 'pointer_declarator') pointers++;
      else if (at.type === 'array_declarator') dimensions.unshift(at.fields.size?.text ?? '');
      else if (at.type !== 'parenthesized_declarator') at = undefined;
      at = at?.fields.declarator ?? (at?.type === 'parenthesized_declarator' ? at.children[0] : undefined);
    }
    if (!at) continue;
    const qualifiers = declaration.children.filter(
      (one) => one.type === 'type_qualifier' && one.end <= declarator.start,
    );
    found.push({
      name: at.text,
      type: [...qualifiers.map((one) => one.text), type.text].join(' '),
      pointers,
      dimensions,
      declaration,
      declarator,
      nameNode: at,
      value,
      isParameter,
    });
  }
  return found;
}

/** Local variables and parameters that can be named at a node, the innermost declaration of each name. */
export function variablesAt(code: FunctionCode, node: SyntaxNode): Map<string, Variable> {
  const scope = new Map<string, Variable>(code.parameters.map((one) => [one.name, one]));
  for (const block of [...ancestors(node)].reverse()) {
    for (const child of block.children) {
      if (child.type !== 'declaration' || child.start >= node.start) continue;
      for (const one of declaredBy(child)) scope.set(one.name, one);
    }
  }
  return scope;
}

/** Every local variable of a function, whatever its scope. */
export function localVariables(code: FunctionCode): Variable[] {
  return [...walk(code.body)].filter((node) => node.type === 'declaration').flatMap((one) => declaredBy(one));
}

/** Places where a variable is named, its declarator not counted, from its declaration to the end of its scope. */
export function usesOf(code: FunctionCode, variable: Variable): SyntaxNode[] {
  const scope = variable.isParameter ? code.body : (variable.declaration.parent ?? code.body);
  return [...walk(scope)].filter(
    (node) =>
      node.type === 'identifier' &&
      node.text === variable.name &&
      node !== variable.nameNode &&
      node.start > variable.nameNode.start &&
      variablesAt(code, node).get(node.text)?.nameNode === variable.nameNode,
  );
}

/** Assignments to a variable as a whole, its initialiser not counted. */
export function assignmentsTo(code: FunctionCode, variable: Variable): SyntaxNode[] {
  return usesOf(code, variable)
    .map((node) => node.parent)
    .filter(
      (parent): parent is SyntaxNode =>
        (parent?.type === 'assignment_expression' && parent.fields.left?.text === variable.name) ||
        parent?.type === 'update_expression',
    );
}

const SIGNED =
  /^(?:const |volatile )*(?:signed |)(?:int|long|short|char|__s\d+|s\d+|int\d+_t|ssize_t|long long|long int|short int|long long int|signed)$/;
const UNSIGNED =
  /^(?:const |volatile )*(?:unsigned\b.*|__u\d+|u\d+|uint\d+_t|size_t|__be\d+|__le\d+|bool|_Bool)$/;

/** Whether a variable is an integer, and which; undefined for all else and for types whose names do not tell. */
export function signOf(variable: Variable | undefined): 'signed' | 'unsigned' | undefined {
  if (!variable || variable.pointers > 0 || variable.dimensions.length > 0) return undefined;
  const type = variable.type.replace(/\s+/g, ' ');
  if (SIGNED.test(type)) return 'signed';
  return UNSIGNED.test(type) ? 'unsigned' : undefined;
}

const LOOPS = new Set(['for_statement', 'while_statement', 'do_statement']);

/** The innermost loop whose body holds a node. */
export function loopAround(node: SyntaxNode): SyntaxNode | undefined {
  let inner = node;
  for (const outer of ancestors(node)) {
    if (LOOPS.has(outer.type) && outer.fields.body === inner) return outer;
    inner = outer;
  }
  return undefined;
}

/** The expression inside parentheses. */
export function stripParens(node: SyntaxNode): SyntaxNode {
  return node.type === 'parenthesized_expression' && node.children[0] ? stripParens(node.children[0]) : node;
}

/** The expression inside parentheses and casts. */
export function bare(node: SyntaxNode): SyntaxNode {
  if (node.type === 'parenthesized_expression' && node.children[0]) return bare(node.children[0]);
  if (node.type === 'cast_expression' && node.fields.value) return bare(node.fields.value);
  return node;
}

/** Whether evaluating an expression twice is the same as once: it calls, assigns and increments nothing. */
export function isPure(node: SyntaxNode): boolean {
  return ![...walk(node)].some((one) =>
    ['call_expression', 'assignment_expression', 'update_expression', 'compound_statement'].includes(
      one.type,
    ),
  );
}
