/** What the parts of an expression evaluate to, and how one becomes another: loads, decay of arrays, members. */
import { decode } from '../../toolchain/btf/value';
import type { Value } from '../../toolchain/btf/value';
import { readBits } from '../../toolchain/btf/bits';
import { MAX_DEPTH } from '../../toolchain/btf/resolve';
import { fail } from '../../toolchain/problem';
import type { Outcome, Problem } from '../../toolchain/problem';
import type { TypedMap } from '../variables/maps';
import { promote, wrap } from './integers';
import type { Integer } from './integers';
import type { Scope, TypedValue, Variable } from './scope';
import type { ExpressionNode } from './syntax';
import type { TypeNumber, TypeSpace } from './types';

/** A number with its type, not promoted yet; `bits` are those of a bit-field, else of the type. */
export interface IntegerScalar {
  kind: 'integer';
  value: bigint;
  bits: number;
  signed: boolean;
  type: TypeNumber;
}
export interface PointerScalar {
  kind: 'pointer';
  address: bigint;
  /** Type of what it points to. */
  target: TypeNumber;
}
export type Scalar = IntegerScalar | PointerScalar;

/** A place in memory, read when its value is asked for: `task->pid` does not take all of the task. */
export interface Place {
  kind: 'place';
  address: bigint;
  type: TypeNumber;
  /** Of a bit-field: where it begins in the first byte, and its width. */
  bitfield?: { bitOffset: number; bits: number };
  /** The nearest name, which tells an address from a number when it is shown. */
  name: string;
}

export type Operand =
  | Scalar
  | Place
  | { kind: 'value'; typed: TypedValue }
  /** Read when its value is asked for, and as what is needed of it. */
  | { kind: 'variable'; variable: Variable }
  | { kind: 'map'; map: TypedMap }
  | { kind: 'text'; bytes: Uint8Array };

/** Thrown to end an evaluation; {@link evaluate} catches it. No Error: a condition may end so at a million steps. */
export class Refused {
  readonly problem: Problem;
  constructor(what: Problem | string, hint = '') {
    const problem = typeof what === 'string' ? { code: 'expression/value', message: what, hint } : what;
    this.problem = problem;
  }

  get outcome(): Outcome<never> {
    return fail(this.problem.code, this.problem.message, this.problem.hint);
  }
}

export function integerScalar(types: TypeSpace, { value, size, signed }: Integer): IntegerScalar {
  return { kind: 'integer', value, bits: size * 8, signed, type: types.integer(size, signed) };
}

/** The promoted value of a scalar: a pointer is an unsigned long. */
export function promoted(scalar: Scalar): Integer {
  if (scalar.kind === 'pointer') return { value: scalar.address, size: 8, signed: false };
  return promote(scalar.value, scalar.bits, scalar.signed);
}

/** An operand's value with its bytes; undefined for maps and text, which have none of their own. */
export function typedValue(scope: Scope, operand: Operand): TypedValue | undefined {
  const { types } = scope;
  switch (operand.kind) {
    case 'value':
      return operand.typed;
    case 'variable': {
      const read = operand.variable.read();
      if (!read.ok) throw new Refused(read.problem);
      return read.value;
    }
    case 'place':
      return readPlace(scope, operand);
    case 'pointer':
      return ofNumber(types, types.pointerTo(operand.target), operand.address);
    case 'integer':
      return ofNumber(types, operand.type, operand.value);
    default:
      return undefined;
  }
}

/** The value of an operand that is one, a variable's included; undefined for what is computed or lies at an address. */
export function valueOf(scope: Scope, operand: Operand): TypedValue | undefined {
  return operand.kind === 'value' || operand.kind === 'variable' ? typedValue(scope, operand) : undefined;
}

/** Type of a variable, of what lies at an address or of a value; 0 for what is computed. */
export function declaredType(operand: Operand): TypeNumber {
  if (operand.kind === 'place') return operand.type;
  if (operand.kind === 'variable') return operand.variable.type;
  return operand.kind === 'value' ? operand.typed.value.typeId : 0;
}

function readPlace({ types, memory }: Scope, { address, type, bitfield, name }: Place): TypedValue {
  const complete = types.complete(type);
  const size = bitfield ? (bitfield.bitOffset + bitfield.bits + 7) >> 3 : types.sizeOf(complete);
  const { bytes, known } = memory(address, size);
  const value = decode(types, complete, bytes, { name });
  // A bit-field's bytes may be fewer than those of its type.
  const narrow = (): Value => ({
    ...decode(types, complete, new Uint8Array(8), { name }),
    size,
    bitfield: bitfield!,
    source: value.source,
  });
  return { value: bitfield ? narrow() : value, known, address };
}

/** A value that is nowhere: computed, or in a register. */
function ofNumber(types: TypeSpace, type: TypeNumber, number: bigint): TypedValue {
  const bytes = new Uint8Array(types.sizeOf(type));
  let rest = BigInt.asUintN(64, number);
  for (let at = 0; at < bytes.length; at++, rest >>= 8n)
    bytes[types.littleEndian ? at : bytes.length - 1 - at] = Number(rest & 0xffn);
  return { value: decode(types, type, bytes), known: new Uint8Array(bytes.length).fill(1) };
}

/** Bytes of a value; refused when the run has not shown all of them. */
export function knownBytes({ value, known }: TypedValue, text: string): Uint8Array {
  const { offset, size, source } = value;
  if (value.kind === 'missing') throw new Refused(`\`${text}\` lies beyond the bytes that are known.`);
  if (known.subarray(offset, offset + size).includes(0)) throw notKnown(text);
  return source.bytes.subarray(offset, offset + size);
}

function notKnown(text: string): Refused {
  return new Refused({
    code: 'expression/not-known',
    message: `\`${text}\` is not known here: the program has not read it, and a run shows only what its program reads.`,
    hint: 'Go on to a step behind the line that reads it.',
  });
}

/** A value as an operand of arithmetic. Arrays become pointers to their first element, as in C. */
export function scalarOf(scope: Scope, operand: Operand, node: ExpressionNode): Scalar {
  if (operand.kind === 'integer' || operand.kind === 'pointer') return operand;
  const plain = plainScalar(scope, operand);
  if (plain) return plain;
  const typed = typedValue(scope, operand);
  if (!typed)
    throw new Refused(`\`${node.text}\` is ${operand.kind === 'map' ? 'a map' : 'text'}, and no number.`);
  const { types } = scope;
  const { value, address } = typed;
  const type = types.resolve(value.typeId);
  switch (type.kind) {
    case 'int':
    case 'enum':
    case 'enum64':
    case 'ptr': {
      knownBytes(typed, node.text);
      const place = value.bitfield ?? { bitOffset: value.offset * 8, bits: value.size * 8 };
      const raw = readBits(value.source.bytes, place, types.littleEndian);
      if (!('signed' in type)) return { kind: 'pointer', address: raw, target: type.type };
      const number = wrap(raw, place.bits, type.signed);
      return { kind: 'integer', value: number, bits: place.bits, signed: type.signed, type: value.typeId };
    }
    case 'array': {
      if (address === undefined)
        throw new Refused(
          `\`${node.text}\` is an array whose address is not known.`,
          `Write an element of it: ${node.text}[0].`,
        );
      return { kind: 'pointer', address: address + BigInt(value.offset), target: type.element };
    }
    case 'float':
      throw new Refused(
        `\`${node.text}\` is a floating-point number, which BPF programs cannot compute with.`,
      );
    case 'struct':
    case 'union':
      throw new Refused(
        `\`${node.text}\` is a ${type.kind}, and no number.`,
        `Write one of its members: ${node.text}.${type.members.find(({ name }) => name !== '')?.name ?? 'member'}.`,
      );
    default: {
      const { size } = value;
      if (value.kind !== 'bytes' || ![1, 2, 4, 8].includes(size))
        throw new Refused(`\`${node.text}\` has no type that can be computed with.`);
      // Without a type, a number of its size is what the bytes most likely are.
      const raw = readBits(
        knownBytes(typed, node.text),
        { bitOffset: 0, bits: size * 8 },
        types.littleEndian,
      );
      return { kind: 'integer', value: raw, bits: size * 8, signed: false, type: types.integer(size, false) };
    }
  }
}

/**
 * A number or pointer that is a variable or lies in memory, by the short way, which conditions take at a million steps.
 * Undefined for all else, and for what is not known: the long way says why.
 */
function plainScalar({ types, number }: Scope, operand: Operand): Scalar | undefined {
  if (operand.kind !== 'variable' && operand.kind !== 'place') return undefined;
  const typeNumber = operand.kind === 'variable' ? operand.variable.type : operand.type;
  const type = types.resolve(typeNumber);
  const isScalar = type.kind === 'ptr' || type.kind === 'enum' || type.kind === 'enum64';
  const isWholeInt = type.kind === 'int' && (!type.bits || type.bits === type.size * 8);
  if (!isScalar && !isWholeInt) return undefined;
  let raw: bigint | undefined;
  let bits = 8 * types.sizeOf(typeNumber);
  if (operand.kind === 'variable') {
    raw = operand.variable.number?.();
  } else if (!operand.bitfield) {
    raw = number?.(operand.address, bits >> 3);
  } else if (types.littleEndian) {
    const { bitOffset } = operand.bitfield;
    const size = (bitOffset + operand.bitfield.bits + 7) >> 3;
    bits = operand.bitfield.bits;
    raw = size > 8 ? undefined : number?.(operand.address, size);
    raw = raw === undefined ? undefined : raw >> BigInt(bitOffset);
  }
  if (raw === undefined) return undefined;
  if (!('signed' in type)) return { kind: 'pointer', address: raw, target: type.type };
  return {
    kind: 'integer',
    value: wrap(raw, bits, type.signed),
    bits,
    signed: type.signed,
    type: typeNumber,
  };
}

/** A structure's member, those of unnamed structures and unions within it too, as in C. */
export function findMember(
  types: TypeSpace,
  structure: TypeNumber,
  name: string,
  depth = 0,
): { type: TypeNumber; bitOffset: number; bitSize: number } | undefined {
  const type = types.resolve(structure);
  if ((type.kind !== 'struct' && type.kind !== 'union') || depth > MAX_DEPTH) return undefined;
  const direct = type.members.find((member) => member.name === name);
  if (direct) return direct;
  for (const member of type.members) {
    const inner = member.name === '' ? findMember(types, member.type, name, depth + 1) : undefined;
    if (inner) return { ...inner, bitOffset: member.bitOffset + inner.bitOffset };
  }
  return undefined;
}
