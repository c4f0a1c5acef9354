/** What the verifier knows of a C variable in one of its states. */
import type { Dwarf, DwarfVariable } from '../../dwarf/dwarf';
import { readConversions } from '../../dwarf/conversions';
import type { KnownState } from '../tracker';
import { constantOf } from '../value';
import type { Value } from '../value';
import { spellPointer } from './pointer';
import type { PointerDialect } from './pointer';
import { joinRanges, rangeOf, spellRange } from './range';
import type { Range } from './range';

export interface KnownVariable {
  name: string;
  /** Of a number; what is known of two visits can be joined. */
  range?: Range;
  /** Of anything else, one for each different thing it is: `packet+14, 20 bytes proven`. */
  texts: string[];
}

/** Undefined when the variable is nowhere, or where the log does not say what is there. */
export function knownVariable(
  variable: DwarfVariable,
  state: KnownState,
  dwarf: Dwarf,
  dialect: PointerDialect,
): KnownVariable | undefined {
  const { name, location } = variable;
  const shape = shapeOf(variable, dwarf);
  switch (location.kind) {
    case 'register':
      return ofValue(name, state.registers[location.register], shape, dialect, 0n);
    case 'value':
      return ofValue(name, state.registers[location.register], shape, dialect, BigInt(location.offset));
    case 'computed': {
      const converted = readConversions(location.expression);
      const value = converted && state.registers[converted.register];
      const range = value && convert(value, converted.types, variable, dwarf);
      return range && { name, texts: [], range };
    }
    case 'stack':
      return onStack(name, location.offset, shape, state, dialect);
    default:
      return undefined;
  }
}

/** `len ∈ [0, 1500]`, `p: packet+14, 20 bytes proven`, `key: any value`. */
export function spellVariable({ name, range, texts }: KnownVariable): string {
  if (texts.length) return `${name}: ${texts.join(' or ')}`;
  const text = range && spellRange(range);
  return text ? `${name} ${text}` : `${name}: any value`;
}

/** What is known when the one is, and when the other is. */
export function joinVariables(a: KnownVariable, b: KnownVariable): KnownVariable {
  const all = [...new Set([...a.texts, ...b.texts])];
  // What is never NULL in one visit may be in another.
  const texts = all.filter((text) => !all.includes(`${text}, may be NULL`));
  const both = a.range && b.range && a.range.width === b.range.width;
  // A number here and a pointer there: both are said.
  if (!both && texts.length) {
    for (const { range } of [a, b]) if (range) texts.push(numberText(range));
    return { name: a.name, texts: fewOf([...new Set(texts)]) };
  }
  const range = both ? joinRanges(a.range as Range, b.range as Range) : (a.range ?? b.range);
  return { name: a.name, texts: fewOf(texts), ...(range ? { range } : {}) };
}

/** More than these nobody reads, and a pointer may be another one in each of a thousand rounds of a loop. */
const MAX_TEXTS = 4;
const OTHERS = 'others';

function fewOf(texts: string[]): string[] {
  if (texts.length <= MAX_TEXTS && !texts.includes(OTHERS)) return texts;
  return [...texts.filter((text) => text !== OTHERS).slice(0, MAX_TEXTS - 1), OTHERS];
}

function numberText(range: Range): string {
  return spellRange(range)?.replace(/^= /, '') ?? 'any number';
}

/** The lower bits of a number, read as the types that the expression names; undefined where they change it. */
function convert(value: Value, types: number[], variable: DwarfVariable, dwarf: Dwarf): Range | undefined {
  const { size, isSigned, isNumber } = shapeOf(variable, dwarf);
  if (value.type !== 'scalar' || value.isBare || value.unread.length || !isNumber) return undefined;
  let range: Range | undefined;
  for (const operand of types) {
    const type = dwarf.convertedType(variable.type, operand);
    if (type.kind !== 'base' || type.encoding === 'float' || type.size > 8) return undefined;
    const read = rangeOf(value.bounds, type.size * 8, type.encoding === 'signed');
    // Behind the narrowest type the number stays what it is, unless a negative one becomes unsigned.
    if (!range || read.width < range.width) range = read;
    else if (range.min < 0n && !read.isSigned) return undefined;
  }
  if (!range || (range.min < 0n && !isSigned) || range.width > size * 8) return undefined;
  return { ...range, width: size * 8, isSigned };
}

interface Shape {
  /** Bytes. */
  size: number;
  isSigned: boolean;
  isPointer: boolean;
  isNumber: boolean;
}

function shapeOf({ type }: DwarfVariable, dwarf: Dwarf): Shape {
  const resolved = dwarf.resolve(type);
  const isNumber = resolved.kind === 'base' || resolved.kind === 'enum';
  const isSigned = resolved.kind === 'base' && resolved.encoding === 'signed';
  return { size: dwarf.sizeOf(type), isSigned, isPointer: resolved.kind === 'pointer', isNumber };
}

function ofValue(
  name: string,
  value: Value | undefined,
  { size, isSigned, isPointer, isNumber }: Shape,
  dialect: PointerDialect,
  moved: bigint,
): KnownVariable | undefined {
  if (!value || value.unread.length) return undefined;
  if (value.type !== 'scalar') {
    // A number that is a pointer to the verifier: `(long)ctx->data`.
    return { name, texts: [spellPointer(value, dialect, moved)] };
  }
  if (isPointer) {
    const exact = constantOf(value.bounds);
    return { name, texts: [exact === 0n && moved === 0n ? 'NULL' : 'a number, not a pointer'] };
  }
  // Other types in a register are small structs, whose members would have to be named.
  if (!isNumber || ![1, 2, 4, 8].includes(size) || moved !== 0n) return undefined;
  if (value.isBare) return undefined;
  return { name, texts: [], range: rangeOf(value.bounds, size * 8, isSigned) };
}

function onStack(
  name: string,
  offset: number,
  shape: Shape,
  state: KnownState,
  dialect: PointerDialect,
): KnownVariable | undefined {
  const slotOf = (at: number) => Math.floor(at / 8) * 8;
  const slot = state.stack.get(slotOf(offset));
  if (slot?.value && slot.offset === offset && 8 - slot.bytes.length === shape.size) {
    return ofValue(name, slot.value, shape, dialect, 0n);
  }
  if (slot?.object) return { name, texts: [`${slot.object.kind} ${slot.object.name}`] };
  let written = 0;
  for (let at = offset; at < offset + shape.size; at++) {
    const letter = byteAt(state, slotOf(at), at - slotOf(at));
    if (letter === undefined) return undefined;
    if (letter !== '?') written++;
  }
  if (shape.size === 0) return undefined;
  if (written === shape.size) return { name, texts: ['initialised'] };
  if (written === 0) return { name, texts: ['not initialised'] };
  return { name, texts: [`${written} of ${shape.size} bytes initialised`] };
}

/** The letter of a byte, see StackSlot.bytes; `s` for part of a spilled register; undefined where nothing is known. */
function byteAt(state: KnownState, slotOffset: number, byte: number): string | undefined {
  const slot = state.stack.get(slotOffset);
  if (!slot) return state.isWhole ? '?' : undefined;
  if (slot.object) return 's';
  const letter = slot.bytes[7 - byte];
  return letter ?? (slot.value ? 's' : undefined);
}
