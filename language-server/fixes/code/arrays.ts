/** How many elements an array has, as its declaration says. */
import type { SyntaxNode } from '../../../toolchain/c/tree';
import type { SourceFile } from '../../../toolchain/c/source';
import { variablesAt, type FunctionCode } from './function';

export interface Bound {
  /** An expression for the number of elements. */
  text: string;
  /** Its value, when the file says it. */
  value: number | undefined;
}

/** The number of elements of what is indexed; undefined when it is not certainly an array. */
export function boundOf(source: SourceFile, code: FunctionCode, array: SyntaxNode): Bound | undefined {
  if (array.type === 'identifier') {
    const local = variablesAt(code, array).get(array.text);
    if (local)
      return local.pointers === 0
        ? boundFrom(source, array.text, local.dimensions[0], BYTE.test(local.type))
        : undefined;
    const global = source.variables.find(({ name }) => name === array.text);
    const found = global && dimensionIn(source.text.slice(global.span.start, global.span.end), array.text);
    return found && boundFrom(source, array.text, found.dimension, found.isBytes);
  }
  const member = array.type === 'field_expression' ? array.fields.field?.text : undefined;
  if (!member) return undefined;
  const found = source.types.flatMap(
    ({ span }) => dimensionIn(source.text.slice(span.start, span.end), member) ?? [],
  );
  const [first] = found;
  const isOne = new Set(found.map(({ dimension }) => dimension)).size === 1;
  return first && isOne ? boundFrom(source, array.text, first.dimension, first.isBytes) : undefined;
}

const BYTE = /(?:^|\s)(?:char|__[us]8|[us]8|u?int8_t|bool)$/;

/** The first bound in the declaration of `name[…]`, and whether its elements are bytes. */
function dimensionIn(text: string, name: string): { dimension: string; isBytes: boolean } | undefined {
  const match = new RegExp(`([\\w ]*?)\\s*\\b${name}\\s*\\[([^\\]]+)\\]`).exec(text);
  return match ? { dimension: match[2]!.trim(), isBytes: BYTE.test(match[1]!) } : undefined;
}

function boundFrom(
  source: SourceFile,
  array: string,
  dimension: string | undefined,
  isBytes: boolean,
): Bound | undefined {
  if (!dimension) return undefined;
  const value = valueOf(source, dimension);
  // A named bound is the best name for itself; a bare number belongs to the declaration alone.
  if (/^[A-Za-z_]\w*$/.test(dimension)) return { text: dimension, value };
  if (isBytes) return { text: `sizeof(${array})`, value };
  const hasMacro = /#\s*define\s+ARRAY_SIZE\b/.test(source.text);
  return { text: hasMacro ? `ARRAY_SIZE(${array})` : `sizeof(${array}) / sizeof(${array}[0])`, value };
}

/** The value of a number, or of a macro that is one. */
export function valueOf(source: SourceFile, expression: string): number | undefined {
  const literal = (text: string): number | undefined =>
    /^(?:\d+|0x[\da-fA-F]+)[uUlL]*$/.test(text) ? Number(text.replace(/[uUlL]+$/, '')) : undefined;
  if (!/^[A-Za-z_]\w*$/.test(expression)) return literal(expression);
  const body = new RegExp(`#\\s*define\\s+${expression}\\s+\\(?(\\w+)\\)?`).exec(source.text)?.[1];
  return body === undefined ? undefined : literal(body);
}

/**
 * An expression for the size of what a pointer argument points to, `sizeof(buffer)`; undefined when the source does
 * not say that it is an array or an object.
 */
export function sizeOfTarget(
  source: SourceFile,
  code: FunctionCode,
  argument: SyntaxNode,
): string | undefined {
  if (argument.type === 'cast_expression' && argument.fields.value)
    return sizeOfTarget(source, code, argument.fields.value);
  if (argument.type === 'parenthesized_expression' && argument.children[0])
    return sizeOfTarget(source, code, argument.children[0]);
  if (argument.type === 'pointer_expression' && argument.operator === '&') {
    const target = argument.fields.argument;
    if (target?.type === 'identifier') return `sizeof(${target.text})`;
    if (target?.type !== 'subscript_expression' || target.fields.index?.text !== '0') return undefined;
    return target.fields.argument && sizeOfTarget(source, code, target.fields.argument);
  }
  return boundOf(source, code, argument) ? `sizeof(${argument.text})` : undefined;
}
