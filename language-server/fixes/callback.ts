/**
 * A counted loop as `bpf_loop`: its body becomes a function that is called with the number of the round and a context,
 * in which stand the variables that the body uses. Only loops whose rounds mean the same there are changed.
 */
import { contains, walk, type SyntaxNode } from '../../toolchain/c/tree';
import { callMacros, looksLikeMacroName, loopMacro } from '../../toolchain/c/words';
import { valueOf } from './code/arrays';
import { countedLoop, isAddressTaken, type CountedLoop } from './code/counted-loop';
import {
  assignmentsTo,
  loopAround,
  signOf,
  usesOf,
  variablesAt,
  type FunctionCode,
  type Variable,
} from './code/function';
import { aboveFunction, isInBlock } from './code/place';
import { indentAt, indentUnit, startsLine } from './code/style';
import { freeName } from './code/words';
import type { Candidate, Situation, TextEdit } from './fix';

/** `BPF_MAX_LOOPS` of the kernel's bpf_loop (kernel/bpf/bpf_iter.c): above it not a single round is run. */
const MOST_ROUNDS = 1 << 23;

export function callBack(situation: Situation, loop: SyntaxNode): Candidate[] {
  const { source, code } = situation;
  const counted = countedLoop(source, code, loop);
  if (!counted || !isInBlock(loop) || !startsLine(source.text, loop.start)) return [];
  const { body } = counted;
  const captured = capturedBy(code, loop, counted);
  const jumps = jumpsOf(loop, body);
  if (!captured || !jumps || body.type !== 'compound_statement' || hidesSomething(body)) return [];
  const rounds = roundsOf(situation, counted);
  if (rounds === undefined) return [];
  const { text } = source;
  const round = freeName(text, `${code.name}_round`);
  const context = freeName(text, `${code.name}_loop`);
  const pointer = freeName(code.root.text, 'loop');
  // The body may use something of the file's that is called like a parameter.
  const [index, given] = ['index', 'context'].map((name) => freeName(body.text, name)) as [string, string];
  const outer = indentAt(text, loop.start);
  const unit = indentUnit(source, code);
  const names = captured.map(({ variable }) => variable.name);
  const members = captured.map(({ variable }) => `${unit}${memberOf(variable)};\n`).join('');
  const isCounterUsed = usesOf(code, counted.variable).some((use) => contains(body, use));
  const head = isCounterUsed ? [headOf(counted, index)] : [];
  // The verifier takes the number of the round for any number.
  if (rounds.isKnown) head.unshift(`if (${index} >= ${rounds.text})`, `${unit}return 1;`);
  const uses = captured.flatMap(({ variable }) =>
    usesOf(code, variable)
      .filter((use) => contains(body, use))
      .map(({ start }): TextEdit => ({ start, end: start, text: `${pointer}->` })),
  );
  const lines = insideOf(text, body, [...uses, ...jumps], outer, unit);
  const define =
    (names.length > 0 ? `struct ${context} {\n${members}};\n\n` : '') +
    `static long ${round}(__u32 ${index}, void *${given})\n{\n` +
    (names.length > 0 ? `${unit}struct ${context} *${pointer} = ${given};\n` : '') +
    `${head.map((line) => `${unit}${line}\n`).join('')}${names.length + head.length > 0 ? '\n' : ''}${lines}\n${unit}return 0;\n}\n\n`;
  const changed = captured.filter(({ isChanged }) => isChanged).map(({ variable }) => variable.name);
  const values = names.map((name) => `.${name} = ${name}`).join(', ');
  const call = [
    ...(names.length > 0 ? [`struct ${context} ${pointer} = { ${values} };`, ''] : []),
    `bpf_loop(${rounds.text}, ${round}, ${names.length > 0 ? `&${pointer}` : '(void *)0'}, 0);`,
    ...changed.map((name) => `${name} = ${pointer}.${name};`),
  ];
  // A name of its own for the context needs a block of its own.
  const block =
    names.length > 0
      ? `{\n${call.map((line) => (line ? `${outer}${unit}${line}\n` : '\n')).join('')}${outer}}`
      : call[0]!;
  const at = aboveFunction(source, code);
  return [
    {
      title: `Call the body of the loop by \`bpf_loop\`${rounds.isKnown ? '' : ', which does up to 8,388,608 rounds'}`,
      edits: [
        { start: at, end: at, text: define },
        { start: loop.start, end: loop.end, text: block },
        ...(counted.isOwn ? [] : withoutDeclarator(code, loop, counted.variable)),
      ],
      isAlternative: true,
    },
  ];
}

interface Captured {
  variable: Variable;
  isChanged: boolean;
}

/** Variables from outside that the body uses; undefined when one cannot be handed on so that it means the same. */
function capturedBy(
  code: FunctionCode,
  loop: SyntaxNode,
  { variable, body }: CountedLoop,
): Captured[] | undefined {
  const found = new Map<Variable['nameNode'], Captured>();
  for (const node of walk(body)) {
    if (node.type !== 'identifier') continue;
    const used = variablesAt(code, node).get(node.text);
    if (!used || used.nameNode === variable.nameNode || used.nameNode.start >= body.start) continue;
    if (found.has(used.nameNode)) continue;
    const isArray = used.dimensions.length > 0;
    const isScalar = used.pointers > 0 || signOf(used) !== undefined;
    // The address of a copy is another one, and so is its size where it was an array.
    if (
      used.dimensions.length > 1 ||
      (isArray && isMeasured(code, used)) ||
      /\bstatic\b/.test(used.declaration.text)
    )
      return undefined;
    if ((!isArray && !isScalar) || isAddressTaken(code, used)) return undefined;
    const isChanged = assignmentsTo(code, used).some((one) => contains(body, one));
    if (isChanged && (isArray || /\bconst\b/.test(used.type))) return undefined;
    found.set(used.nameNode, { variable: used, isChanged });
  }
  // What the variable's end value is nobody may ask: the loop's own does not leave the function.
  return usesOf(code, variable).some((use) => use.start >= loop.end) ? undefined : [...found.values()];
}

function isMeasured(code: FunctionCode, variable: Variable): boolean {
  return usesOf(code, variable).some(({ parent }) => parent?.parent?.type === 'sizeof_expression');
}

function memberOf({ type, pointers, dimensions, name }: Variable): string {
  const stars = '*'.repeat(pointers + dimensions.length);
  return `${type} ${stars}${name}`;
}

/** `int i = 4 + index;` */
function headOf({ variable, from }: CountedLoop, index: string): string {
  const { type, name } = variable;
  const start =
    from.text === '0'
      ? index
      : `${from.type === 'binary_expression' ? `(${from.text})` : from.text} + ${index}`;
  return `${type} ${name} = ${start};`;
}

/** Takes the declaration of the counting variable away, when nothing but the loop uses it. */
function withoutDeclarator(code: FunctionCode, loop: SyntaxNode, variable: Variable): TextEdit[] {
  if (usesOf(code, variable).some((use) => !contains(loop, use))) return [];
  const { declaration, declarator } = variable;
  const type = declaration.fields.type!;
  const all = declaration.children.filter((one) => one.start > type.start);
  const at = all.indexOf(declarator);
  const [before, after] = [all[at - 1], all[at + 1]];
  if (after) return [{ start: declarator.start, end: after.start, text: '' }];
  if (before) return [{ start: before.end, end: declarator.end, text: '' }];
  return [{ start: declaration.start, end: declaration.end, text: '' }];
}

/** `continue` and `break` of the loop as what the function returns; undefined when the body leaves it otherwise. */
function jumpsOf(loop: SyntaxNode, body: SyntaxNode): TextEdit[] | undefined {
  const edits: TextEdit[] = [];
  for (const node of walk(body)) {
    switch (node.type) {
      case 'return_statement':
      case 'goto_statement':
      case 'labeled_statement':
        return undefined;
      case 'continue_statement':
      case 'break_statement': {
        if (loopAround(node) !== loop || isOfSwitch(node, body)) continue;
        const value = node.type === 'continue_statement' ? 0 : 1;
        edits.push({ start: node.start, end: node.end, text: `return ${value};` });
      }
    }
  }
  return edits;
}

function isOfSwitch(node: SyntaxNode, body: SyntaxNode): boolean {
  if (node.type !== 'break_statement') return false;
  for (let at = node.parent; at && at !== body; at = at.parent) {
    if (at.type === 'switch_statement') return true;
  }
  return false;
}

/** Macros and assembly may name variables or jump, and nobody sees it. */
function hidesSomething(body: SyntaxNode): boolean {
  if (/\b(?:asm|__asm__|__asm)\b/.test(body.text)) return true;
  return [...walk(body)].some(({ type, fields, text }) => {
    const name =
      type === 'call_expression' ? (fields.function?.text ?? '') : type === 'identifier' ? text : '';
    const isCall = type === 'call_expression';
    return loopMacro.test(name) || (isCall && looksLikeMacroName(name) && !callMacros.test(name));
  });
}

/** How many rounds there are, as bpf_loop counts them; undefined when it would count others. */
function roundsOf(
  { source, code }: Situation,
  { variable, from, end }: CountedLoop,
): { text: string; isKnown: boolean } | undefined {
  const [first, last] = [from, end].map(({ text }) => valueOf(source, text));
  if (first === undefined) return undefined;
  if (last !== undefined) {
    const count = last - first;
    const text = first === 0 ? end.text : `${end.text} - ${from.text}`;
    return count > 0 && count <= MOST_ROUNDS ? { text, isKnown: true } : undefined;
  }
  // Of a wider number bpf_loop would take the low 32 bits, and a difference may be below zero. How wide a member is
  // the function does not tell.
  if ([...walk(end)].some(({ type }) => type === 'field_expression')) return undefined;
  const scope = variablesAt(code, end);
  const types = [variable, ...[...walk(end)].flatMap(({ text }) => scope.get(text) ?? [])];
  const isWide = types.some(({ type }) => /64|long|size_t/.test(type));
  return first === 0 && !isWide ? { text: end.text, isKnown: false } : undefined;
}

/** The lines between the braces, with edits of the file's text applied, as far in as a function's body is. */
function insideOf(text: string, body: SyntaxNode, edits: TextEdit[], outer: string, unit: string): string {
  const [from, to] = [body.start + 1, body.end - 1];
  let at = from;
  let inside = '';
  for (const { start, end, text: added } of edits.sort((a, b) => a.start - b.start)) {
    inside += text.slice(at, start) + added;
    at = end;
  }
  inside += text.slice(at, to);
  const lines = inside.replace(/^[^\S\n]*\n|\s*$/g, '').split('\n');
  const deep = outer + unit;
  return lines
    .map((line) =>
      line.startsWith(deep) ? unit + line.slice(deep.length) : line.trim() ? unit + line.trimStart() : '',
    )
    .join('\n');
}
