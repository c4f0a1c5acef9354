/** A comparison with the packet's end before the packet is read or written. */
import { exitsAt } from './code/exit';
import { bare, isPure, stripParens, variablesAt, type FunctionCode } from './code/function';
import { holdsMember, packetEnds, type PacketEnd } from './code/packet';
import { addCondition, checkPlace, insertAfter, insertBefore } from './code/place';
import { followedAt, type Follow } from './code/pointers';
import { checkLines, guardedJump, indentUnit } from './code/style';
import { walk, type SyntaxNode } from '../../toolchain/c/tree';
import type { Failure } from '../../toolchain/verifier/report';
import type { Candidate, Situation, TextEdit } from './fix';

/** Accesses of one statement that are tried; the kernel knows which one it meant. */
const MAX_ACCESSES = 3;

export function checkPacketBounds(situation: Situation): Candidate[] {
  const { node, source, code } = situation;
  const turned = packetEnds(situation, node).flatMap((end) => turnedAround(situation, end));
  // Another check behind one that is the wrong way round would leave no packet that passes both.
  if (turned.length > 0) return turned;
  const accesses = followedAt(node).flatMap((one) => accessBy(situation, one));
  // An element of a member's array is in the packet when all of the structure is.
  const isElement = ({ by }: Access): boolean =>
    by.type === 'subscript_expression' && by.fields.argument?.type === 'field_expression';
  return [...accesses.filter((one) => !isElement(one)), ...accesses.filter(isElement)]
    .slice(0, MAX_ACCESSES)
    .flatMap((access) => packetEnds(situation, node).flatMap((end) => checkBefore(situation, access, end)));

  /** `if (data + 14 < data_end) return …;`, which leaves when the bytes are there. */
  function turnedAround({ failure }: Situation, end: PacketEnd): Candidate[] {
    return [...walk(code.body)].flatMap((one): Candidate[] => {
      const compared = guardedJump(one) && bare(one.fields.condition!);
      if (!compared || compared.type !== 'binary_expression' || one.end > node.start || !failure) return [];
      const { left, right } = compared.fields;
      if (!left || !right || !/^<=?$/.test(compared.operator ?? '') || right.text !== end.text) return [];
      if (bare(left).type !== 'binary_expression') return [];
      const at = left.end + source.text.slice(left.end, right.start).indexOf(compared.operator!);
      const edits = [{ start: at, end: at + compared.operator!.length, text: '>' }];
      return [{ title: `Leave when \`${left.text}\` is behind the packet’s end, not before it`, edits }];
    });
  }
}

/** Bytes that have to be in the packet. */
export interface Access {
  /** Expression of a pointer to the first byte after them: `ip + 1`, `data + 6`. */
  end: string;
  /** `end` has to be cast before it is compared with a `void *`. */
  isTyped: boolean;
  /** `20 bytes at \`ip\` are`. */
  words: string;
  by: SyntaxNode;
}

function checkBefore(situation: Situation, access: Access, end: PacketEnd): Candidate[] {
  const { source, code } = situation;
  const place = checkPlace(access.by);
  if (!place) return [];
  const title = `Check that ${access.words} in the packet`;
  if (place.kind !== 'statement') {
    const inline = end.declare ? end.declare.replace(/^[^=]*= |;$/g, '') : end.text;
    const check = compare(access, { ...end, text: inline }, '<=');
    return [{ title: `${title} first`, edits: addCondition(place, check), group: 'first' }];
  }
  const { statement } = place;
  const declared = end.declare ? declareEnd(situation, statement, end.declare) : [];
  return exitsAt(situation, statement).flatMap((exit, order) => {
    const check = checkLines(code, indentUnit(source, code), compare(access, end, '>'), exit.code);
    const edits = declared && insertBefore(source, code, statement, check);
    const common = { title: `${title}, else ${exit.words}`, isAlternative: order > 0, group: exit.code };
    return edits ? [{ ...common, edits: [...declared, ...edits] }] : [];
  });
}

/** The declaration of the packet's end after that of its beginning, else before the statement. */
function declareEnd(situation: Situation, statement: SyntaxNode, line: string): TextEdit[] | undefined {
  const { code, source } = situation;
  const beginning = [...variablesAt(code, statement).values()].find(
    (one) => !one.isParameter && holdsMember(situation, code, one, 'data', 0),
  );
  return beginning
    ? insertAfter(source, beginning.declaration, [line])
    : insertBefore(source, code, statement, [line]);
}

export function compare(
  access: Pick<Access, 'end' | 'isTyped'>,
  end: PacketEnd,
  operator: '>' | '<=',
): string {
  const left = access.isTyped || end.cast !== 'void *' ? `(${end.cast})(${access.end})` : access.end;
  return `${left} ${operator} ${end.text}`;
}

/** What an expression needs of the packet, when it is a pointer into the packet that it follows. */
function accessBy({ code, failure }: Situation, { base, by }: Follow): Access[] {
  const variable = variablesAt(code, by).get(base.text);
  if (base.type === 'identifier' && variable?.pointers !== 1) return [];
  if (base.type === 'cast_expression') return castAccess(base, by);
  if (!isPure(base)) return [];
  if (by.type === 'call_expression') return passedAccess(code, base, by, failure);
  const isByte = variable !== undefined && isByteType(variable.type);
  if (by.type === 'subscript_expression') {
    const index = by.fields.index;
    if (!index || !isPure(index)) return [];
    const constant = /^\d+$/.test(index.text) ? Number(index.text) + 1 : undefined;
    const end = `${base.text} + ${constant ?? `${index.text} + 1`}`;
    const words = constant !== undefined && isByte ? bytes(constant, base.text) : `\`${by.text}\` is`;
    return [{ end, isTyped: !isByte, words, by }];
  }
  return [wholeOf(base, variable?.type, by)];
}

/** All of what a typed pointer points to. */
function wholeOf(base: SyntaxNode, type: string | undefined, by: SyntaxNode): Access {
  const isSimple = base.type === 'identifier' || base.type === 'field_expression';
  const start = isSimple ? base.text : `(${base.text})`;
  const isByte = type !== undefined && isByteType(type);
  return { end: `${start} + 1`, isTyped: !isByte, words: sizeWords(type, base.text), by };
}

export function wholeOfVariable(name: string, type: string, by: SyntaxNode): Access {
  return { end: `${name} + 1`, isTyped: !isByteType(type), words: sizeWords(type, name), by };
}

/** `*(__u32 *)(data + off)`, `((struct iphdr *)p)->saddr` */
function castAccess(base: SyntaxNode, by: SyntaxNode): Access[] {
  const type = base.fields.type?.text.replace(/\s*\*$/, '');
  const value = base.fields.value && stripParens(base.fields.value);
  if (!type || !value || !isPure(value) || /\*$/.test(type)) return [];
  const plain = type.replace(/\b(?:volatile|const) /g, '');
  const words = sizeWords(plain, value.text);
  return [{ end: `(void *)(${value.text}) + sizeof(${plain})`, isTyped: false, words, by }];
}

/** A pointer that is handed on, or whose member's address is. */
function passedAccess(
  code: FunctionCode,
  base: SyntaxNode,
  by: SyntaxNode,
  failure: Failure | undefined,
): Access[] {
  const args = by.fields.arguments?.children ?? [];
  const at = args.findIndex((one) => bare(one) === base);
  const variable = variablesAt(code, by).get(base.text);
  const isCopy = /^(?:__builtin_)?mem(?:cpy|move|cmp|set)$/.test(by.fields.function?.text ?? '');
  const length = isCopy ? args[2] : undefined;
  if (length && at < 2 && isPure(length)) {
    const start = variable && isByteType(variable.type) ? base.text : `(void *)(${base.text})`;
    const words = /^\d+$/.test(length.text)
      ? bytes(Number(length.text), base.text)
      : `\`${length.text}\` bytes at \`${base.text}\` are`;
    return [{ end: `${start} + ${length.text}`, isTyped: false, words, by }];
  }
  if (base.type === 'identifier' && variable && !isByteType(variable.type))
    return [wholeOf(base, variable.type, by)];
  // Of plain bytes the kernel knows how many the helper takes.
  const size = Number(
    /^invalid access to packet, off=-?\d+ size=(\d+)/.exec(failure?.kernelMessage ?? '')?.[1],
  );
  if (!(size > 0) || base.type === 'field_expression') return [];
  return [{ end: `${base.text} + ${size}`, isTyped: false, words: bytes(size, base.text), by }];
}

function isByteType(type: string): boolean {
  return /^(?:const |volatile )*(?:void|(?:(?:un)?signed )?char|__[us]8|[us]8|u?int8_t)$/.test(
    type.replace(/\s+/g, ' '),
  );
}

/** Sizes of headers and integers that are the same everywhere (include/uapi/linux, RFC 791, 768, 8200, 9293). */
const SIZES: Record<string, number> = {
  'struct ethhdr': 14,
  'struct vlan_hdr': 4,
  'struct arphdr': 8,
  'struct iphdr': 20,
  'struct ipv6hdr': 40,
  'struct tcphdr': 20,
  'struct udphdr': 8,
  'struct icmphdr': 8,
  'struct icmp6hdr': 8,
};

/** Whether a type is one of a packet's headers. */
export function isHeader(type: string): boolean {
  return type.replace(/\b(?:volatile|const) /g, '') in SIZES;
}

function sizeWords(type: string | undefined, name: string): string {
  const plain = type?.replace(/\b(?:volatile|const) /g, '').replace(/\s+/g, ' ') ?? '';
  const bits = /^(?:__)?[us](?:int)?(8|16|32|64)(?:_t)?$|^__[bl]e(16|32|64)$/.exec(plain);
  const size = SIZES[plain] ?? (bits ? Number(bits[1] ?? bits[2]) / 8 : isByteType(plain) ? 1 : undefined);
  if (size !== undefined) return bytes(size, name);
  return plain ? `all of \`${plain}\` at \`${name}\` is` : `all of \`*${name}\` is`;
}

function bytes(count: number, name: string): string {
  return count === 1 ? `1 byte at \`${name}\` is` : `${count} bytes at \`${name}\` are`;
}
