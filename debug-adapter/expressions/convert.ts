/** From tree-sitter's nodes to the evaluator's: every kind of expression that only reads. */
import type { Node } from 'web-tree-sitter';
import { unescapeText } from '../../toolchain/btf/text';
import { fail } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';
import type {
  ArithmeticOperator,
  ComparisonOperator,
  ExpressionNode,
  TypeSyntax,
  UnaryOperator,
} from './syntax';

/** Ends a conversion; the parser catches it. */
export class BadSyntax extends Error {
  readonly outcome: Outcome<never>;
  constructor(message: string, hint: string) {
    super(message);
    this.outcome = fail('expression/syntax', message, hint);
  }
}

export interface Conversion {
  /** What somebody wrote where the grammar was given something plainer. */
  textOf(node: Node): string;
  /** The name that a node has something else in the place of. */
  nameAt(node: Node): string | undefined;
  /** What stands between the brackets that a node has. */
  indexOf(node: Node): string;
  parse(text: string): Outcome<ExpressionNode>;
}

export function convert(node: Node, by: Conversion): ExpressionNode {
  const text = by.textOf(node);
  const field = (name: string) => convert(node.childForFieldName(name)!, by);
  switch (node.type) {
    case 'number_literal': {
      const name = by.nameAt(node);
      if (name !== undefined) return { kind: 'name', text: name, name };
      // The grammar takes a sign for a part of the number.
      const sign = /^[-+]/.exec(text)?.[0] as '-' | '+' | undefined;
      if (sign === undefined) return numberNode(text);
      return { kind: 'unary', text, operator: sign, operand: numberNode(text.slice(1).trim()) };
    }
    case 'char_literal':
      return { kind: 'number', text, value: characterOf(text), size: 4, signed: true };
    case 'string_literal':
      return { kind: 'string', text, bytes: stringOf(text) };
    case 'concatenated_string': {
      const parts = node.namedChildren.map((child) => stringOf(by.textOf(child!)));
      return { kind: 'string', text, bytes: Buffer.concat(parts) };
    }
    case 'identifier':
      return { kind: 'name', text, name: text };
    case 'true':
    case 'false':
      return { kind: 'number', text, value: text === 'true' ? 1n : 0n, size: 4, signed: true };
    case 'null':
      return { kind: 'null', text };
    case 'parenthesized_expression':
      if (node.namedChildCount !== 1) break;
      return convert(node.namedChildren[0]!, by);
    case 'unary_expression':
    case 'pointer_expression': {
      const operator = node.childForFieldName('operator')!.text as UnaryOperator;
      return { kind: 'unary', text, operator, operand: field('argument') };
    }
    case 'binary_expression': {
      const left = field('left');
      return binaryNode(text, node.childForFieldName('operator')!.text, left, field('right'));
    }
    case 'conditional_expression': {
      const condition = field('condition');
      if (!node.childForFieldName('consequence')) break;
      const whenTrue = field('consequence');
      return { kind: 'conditional', text, condition, whenTrue, whenFalse: field('alternative') };
    }
    case 'comma_expression':
      return { kind: 'comma', text, left: field('left'), right: field('right') };
    case 'cast_expression': {
      const type = typeSyntax(node.childForFieldName('type')!, by);
      return { kind: 'cast', text, type, operand: field('value') };
    }
    case 'sizeof_expression': {
      const type = node.childForFieldName('type');
      if (type) return { kind: 'sizeofType', text, type: typeSyntax(type, by) };
      return { kind: 'sizeofValue', text, operand: field('value') };
    }
    case 'field_expression': {
      const object = field('argument');
      const name = node.childForFieldName('field')!.text;
      return {
        kind: 'member',
        text,
        object,
        name,
        isArrow: node.childForFieldName('operator')?.text === '->',
      };
    }
    case 'subscript_expression': {
      const object = field('argument');
      const key = by.indexOf(node);
      return { kind: 'index', text, object, key, index: by.parse(key) };
    }
    case 'call_expression': {
      const called = node.childForFieldName('function')!;
      const name = by.nameAt(called) ?? (called.type === 'identifier' ? called.text : undefined);
      if (name === undefined) break;
      const given = node.childForFieldName('arguments')?.namedChildren ?? [];
      return { kind: 'call', text, name, arguments: given.map((one) => convert(one!, by)) };
    }
    case 'assignment_expression':
    case 'update_expression':
      throw new BadSyntax(
        `"${text}" would change a value, and an expression only reads.`,
        'To compare, write ==. To change a value, set it in the Variables view, or with Set Value in the Watch view.',
      );
    default:
  }
  throw new BadSyntax(
    `"${text}" cannot be evaluated: it is not one of the expressions that are supported.`,
    'Supported are members, indexes, * and &, casts, arithmetic, comparisons, &&, ||, ?:, sizeof, and byte order functions.',
  );
}

const COMPARISONS = new Set(['==', '!=', '<', '>', '<=', '>=']);

function binaryNode(
  text: string,
  operator: string,
  left: ExpressionNode,
  right: ExpressionNode,
): ExpressionNode {
  if (operator === '&&' || operator === '||') return { kind: 'logical', text, operator, left, right };
  const known = COMPARISONS.has(operator)
    ? (operator as ComparisonOperator)
    : (operator as ArithmeticOperator);
  return { kind: 'binary', text, operator: known, left, right };
}

/** Type and value of an integer constant: C11 6.4.4.1, with int of 32 and long of 64 bits. */
function numberNode(text: string): ExpressionNode {
  const match = /^(0x[0-9a-f]+|0b[01]+|\d+)([ul]*)$/i.exec(text.replaceAll("'", ''));
  if (!match || /^0\d*[89]/.test(text))
    throw new BadSyntax(`${text} is not a whole number.`, 'Write 42, 0x2a, 052 or 42UL.');
  const digits = match[1] as string;
  const suffix = (match[2] as string).toLowerCase();
  if (!['', 'u', 'l', 'ul', 'lu', 'll', 'ull', 'llu'].includes(suffix))
    throw new BadSyntax(`${text} is not a whole number.`, 'Its suffix is one of U, L, UL, LL and ULL.');
  const value = BigInt(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
  if (value >= 1n << 64n)
    throw new BadSyntax(`${text} does not fit into 64 bits.`, 'Write a smaller number.');
  const isDecimal = /^([1-9]|0$)/.test(digits);
  const mayBeInt = !suffix.includes('l');
  const isUnsigned = suffix.includes('u');
  if (mayBeInt && !isUnsigned && value < 1n << 31n)
    return { kind: 'number', text, value, size: 4, signed: true };
  if (mayBeInt && (isUnsigned || !isDecimal) && value < 1n << 32n)
    return { kind: 'number', text, value, size: 4, signed: false };
  return { kind: 'number', text, value, size: 8, signed: !isUnsigned && value < 1n << 63n };
}

/** A character's value: `char` is signed, and the constant an int. */
function characterOf(text: string): bigint {
  const bytes = unescapeText(text.slice(text.indexOf("'") + 1, -1));
  if (!text.startsWith("'") || bytes?.length !== 1)
    throw new BadSyntax(`${text} is not a character.`, "Write one byte, such as 'A' or '\\n'.");
  return BigInt.asIntN(8, BigInt(bytes[0] as number));
}

function stringOf(text: string): Uint8Array {
  const bytes = unescapeText(text.slice(text.indexOf('"') + 1, -1));
  if (!text.startsWith('"') || !bytes)
    throw new BadSyntax(`${text} is not text.`, "Write it between double quotes, with C's escapes.");
  return bytes;
}

function typeSyntax(node: Node, by: Conversion): TypeSyntax {
  const text = by.textOf(node);
  const specifier = node.childForFieldName('type')!;
  const derived: TypeSyntax['derived'] = [];
  let declarator = node.childForFieldName('declarator');
  while (declarator) {
    if (declarator.type === 'abstract_pointer_declarator') derived.push({ kind: 'pointer' });
    else if (declarator.type === 'abstract_array_declarator') {
      const count = by.parse(by.indexOf(declarator));
      if (!count.ok || count.value.kind !== 'number')
        throw new BadSyntax(`${text} is not a type with a size.`, 'Write a number between the brackets.');
      derived.push({ kind: 'array', count: Number(count.value.value) });
    } else
      throw new BadSyntax(
        `${text} is not a type that can be used here.`,
        'Write a name, struct NAME, or a pointer to one.',
      );
    declarator = declarator.childForFieldName('declarator');
  }
  return { text, base: baseOf(specifier, by), derived: inOrder(derived) };
}

/** The outer array of several is the first one written; pointers come before all of them. */
function inOrder(derived: TypeSyntax['derived']): TypeSyntax['derived'] {
  const arrays = derived.filter(({ kind }) => kind === 'array');
  return [...derived.filter(({ kind }) => kind === 'pointer'), ...arrays];
}

function baseOf(specifier: Node, by: Conversion): TypeSyntax['base'] {
  const name = specifier.childForFieldName('name')?.text;
  switch (specifier.type) {
    case 'struct_specifier':
    case 'union_specifier':
    case 'enum_specifier':
      if (name === undefined) break;
      return { kind: specifier.type.split('_')[0] as 'struct' | 'union' | 'enum', name };
    case 'primitive_type':
    case 'type_identifier':
    case 'sized_type_specifier':
      return { kind: 'name', name: by.nameAt(specifier) ?? by.textOf(specifier) };
    default:
  }
  throw new BadSyntax(`${specifier.text} is not the name of a type.`, 'Write a name, or struct NAME.');
}
