/** A large local variable moved to a per-CPU array map with one element. */
import { type SyntaxNode } from '../../toolchain/c/tree';
import type { SourceFile } from '../../toolchain/c/source';
import { valueOf } from './code/arrays';
import { exitsAt } from './code/exit';
import { localVariables, usesOf, type FunctionCode, type Variable } from './code/function';
import { aboveFunction } from './code/place';
import { checkLines, indentAt, indentUnit, startsLine } from './code/style';
import { freeName } from './code/words';
import type { Candidate, Situation, TextEdit } from './fix';

/** Variables that are tried, the largest first. */
const MAX_VARIABLES = 3;

/** In a program that may sleep another one may run on the same CPU meanwhile and use the same element. */
const SLEEPABLE = /^[\w.]*\.s(?:\/|$)/;

export function moveToMap(situation: Situation): Candidate[] {
  const { source, code, trouble } = situation;
  // The kernel counts what functions that call each other need together; clang names the one it is about.
  const functions = trouble.by === 'verifier' ? situation.functions : [code];
  if (functions.some(({ section }) => SLEEPABLE.test(section ?? ''))) return [];
  return functions
    .flatMap((one) =>
      localVariables(one).map((variable) => ({ one, variable, size: estimate(source, variable) })),
    )
    .filter(({ size }) => size >= 32)
    .sort((a, b) => b.size - a.size)
    .slice(0, MAX_VARIABLES)
    .flatMap(({ one, variable }) => moveOne({ ...situation, code: one }, variable));
}

const ELEMENTS: Record<string, number> = { char: 1, short: 2, int: 4, long: 8, float: 4, double: 8 };

/** Bytes of a variable as far as the file tells: enough to begin with the largest. */
function estimate(source: SourceFile, { type, pointers, dimensions }: Variable): number {
  const count = dimensions.reduce((product, one) => product * (valueOf(source, one) ?? 64), 1);
  if (pointers > 0) return 8 * count;
  const bits = /(8|16|32|64)(?:_t)?$/.exec(type)?.[1];
  const named = /\b(?:struct|union) (\w+)/.exec(type)?.[1];
  const element = bits
    ? Number(bits) / 8
    : (ELEMENTS[type.split(' ').at(-1) ?? ''] ?? structSize(source, named));
  return element * count;
}

function structSize(source: SourceFile, name: string | undefined): number {
  const span = source.types.find((one) => one.name === name)?.span;
  if (!span) return name ? 64 : 8;
  const members = source.text.slice(span.start, span.end).split(';');
  return members.reduce(
    (sum, member) => sum + (valueOf(source, /\[([^\]]+)\]/.exec(member)?.[1]?.trim() ?? '') ?? 8),
    0,
  );
}

function moveOne(situation: Situation, variable: Variable): Candidate[] {
  const { code, source } = situation;
  const { name, type, declaration, value, dimensions, pointers } = variable;
  const isArray = dimensions.length === 1;
  const isAlone =
    declaration.children.filter((one) => one.start > (declaration.fields.type?.start ?? 0)).length === 1;
  if (!isAlone || pointers > 0 || dimensions.length > 1 || /\bstatic\b/.test(declaration.text)) return [];
  if (!startsLine(source.text, declaration.start) || declaration.parent?.type !== 'compound_statement')
    return [];
  const isZeroed = value !== undefined && /^\{\s*0?\s*,?\s*\}$/.test(value.text);
  if (value && !isZeroed) return [];
  const plain = type.replace(/\b(?:const|volatile) /g, '');
  const whole = isArray ? `${plain}[${dimensions[0]}]` : plain;
  const uses = useEdits(code, variable, whole);
  if (!uses) return [];
  const map = freeName(source.text, `${name}_scratch`);
  const indent = indentAt(source.text, declaration.start);
  const lookup = `${type} *${name} = bpf_map_lookup_elem(&${map}, &(__u32){ 0 });`;
  const [exit] = exitsAt(situation, declaration);
  const check = checkLines(code, indentUnit(source, code), `!${name}`, exit!.code);
  const clear = isZeroed ? [`__builtin_memset(${name}, 0, sizeof(${isArray ? whole : `*${name}`}));`] : [];
  const after = lastDeclaration(declaration, name);
  const replaced = { start: declaration.start, end: declaration.end, text: lookup };
  const lines = [...check, ...clear].map((line) => `\n${indent}${line}`).join('');
  const checks =
    after === declaration
      ? [{ ...replaced, text: `${lookup}\n${lines}` }]
      : [replaced, { start: after.end, end: after.end, text: `\n${lines}` }];
  const edits = [definition(source, code, map, whole), ...checks, ...uses];
  const size = valueOf(source, dimensions[0] ?? '');
  const words = isArray && size !== undefined && plain === 'char' ? ` (${size} bytes)` : '';
  return [{ title: `Move \`${name}\`${words} from the stack to a per-CPU map`, edits }];
}

/** The last of the declarations that follow without a break and do not need the variable. */
function lastDeclaration(declaration: SyntaxNode, name: string): SyntaxNode {
  const siblings = declaration.parent!.children;
  let last = declaration;
  for (const next of siblings.slice(siblings.indexOf(declaration) + 1)) {
    if (next.type !== 'declaration' || new RegExp(`\\b${name}\\b`).test(next.text)) break;
    last = next;
  }
  return last;
}

function definition(source: SourceFile, code: FunctionCode, map: string, type: string): TextEdit {
  const at = aboveFunction(source, code);
  const unit = indentUnit(source, code);
  const lines = [
    '__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);',
    '__uint(max_entries, 1);',
    '__type(key, __u32);',
    `__type(value, ${type});`,
  ];
  return {
    start: at,
    end: at,
    text: `struct {\n${lines.map((line) => `${unit}${line}\n`).join('')}} ${map} SEC(".maps");\n\n`,
  };
}

/** Each use as the pointer has it; undefined when one cannot be written so that it means the same. */
function useEdits(code: FunctionCode, variable: Variable, whole: string): TextEdit[] | undefined {
  const isArray = variable.dimensions.length > 0;
  const edits: TextEdit[] = [];
  for (const use of usesOf(code, variable)) {
    const outer = use.parent!;
    const size =
      use.parent?.parent?.type === 'sizeof_expression' && outer.type === 'parenthesized_expression';
    if (outer.type === 'call_expression' || outer.parent?.fields.function?.text === 'ARRAY_SIZE')
      return undefined;
    const isAddress = outer.type === 'pointer_expression' && outer.operator === '&';
    if (size) edits.push({ start: use.start, end: use.end, text: isArray ? whole : `*${use.text}` });
    else if (isAddress && (!isArray || outer.parent?.type === 'argument_list'))
      edits.push({ start: outer.start, end: outer.end, text: use.text });
    else if (isAddress) return undefined;
    else if (isArray) continue;
    else if (outer.type === 'field_expression' && outer.fields.argument === use && outer.operator === '.') {
      const gap = outer.fields.field!.start;
      edits.push({ start: use.end, end: gap, text: '->' });
    } else edits.push({ start: use.start, end: use.end, text: `(*${use.text})` });
  }
  return edits;
}
