/**
 * Values of C expressions, as the program's compiler would have computed them at this place. Beyond C: `$r0` to `$r10`
 * are registers, `map[key]` is an entry of a map, `"text"` is compared with an array of characters up to its end, and
 * `ipv4("…")`, `ipv6("…")` and `mac("…")` are addresses in network order. Functions of the program are not called, and
 * nothing is written.
 */
import { decode } from '../../toolchain/btf/value';
import { succeed } from '../../toolchain/problem';
import type { Outcome } from '../../toolchain/problem';
import { callOperand } from './calls';
import { compareAs } from './comparison';
import { arithmetic, convertTo, FALSE, TRUE, unify, wrap } from './integers';
import { indexOperand, memberOperand } from './members';
import { declaredType, integerScalar, promoted, Refused, scalarOf, typedValue, valueOf } from './operands';
import type { IntegerScalar, Operand, Place, PointerScalar, Scalar } from './operands';
import { packetOperand } from './packet-fields';
import { parseInner } from './parse';
import { computePointer } from './pointers';
import type { Evaluated, Scope, TypedValue } from './scope';
import type { ArithmeticOperator, Expression, ExpressionNode, TypeSyntax } from './syntax';
import type { TypeNumber } from './types';

/** The value, or in words why there is none. Synchronous: what the scope does not have is not fetched. */
export function evaluate(expression: Expression, scope: Scope): Outcome<Evaluated> {
  return guarded(() => {
    const node = treeIn(expression, scope);
    const operand = new Evaluator(scope).operand(node);
    if (operand.kind === 'map') return { map: operand.map };
    return typedValue(scope, operand) ?? textValue(scope, operand);
  });
}

/** Whether the expression is true: not zero, and not NULL. */
export function isTrue(expression: Expression, scope: Scope): Outcome<boolean> {
  return guarded(() => new Evaluator(scope).isTrue(treeIn(expression, scope)));
}

function treeIn(expression: Expression, scope: Scope): ExpressionNode {
  return expression.tree(
    (name) => scope.variable(name) === undefined && scope.types.named('name', name) !== undefined,
  );
}

function guarded<T>(work: () => T): Outcome<T> {
  try {
    return succeed(work());
  } catch (error) {
    if (error instanceof Refused) return error.outcome;
    throw error;
  }
}

/** Text as an array of characters, as a string literal is. */
export function textValue({ types }: Scope, operand: Operand): TypedValue {
  const bytes = operand.kind === 'text' ? Buffer.concat([operand.bytes, Buffer.alloc(1)]) : new Uint8Array(0);
  const type = types.arrayOf(types.integer(1, true, 'char'), bytes.length);
  return { value: decode(types, type, bytes), known: new Uint8Array(bytes.length).fill(1) };
}

export class Evaluator {
  /** Within sizeof, whose operand has a type and need not have a value. */
  private typesOnly = false;
  /** Macros that are being expanded. */
  private readonly macros = new Set<string>();

  constructor(readonly scope: Scope) {}

  private get types() {
    return this.scope.types;
  }

  operand(node: ExpressionNode): Operand {
    const field = packetOperand(this.scope, node);
    if (field) return field;
    switch (node.kind) {
      case 'number':
        return integerScalar(this.types, node);
      case 'null':
        return { kind: 'pointer', address: 0n, target: 0 };
      case 'string':
        return { kind: 'text', bytes: node.bytes };
      case 'name':
        return this.named(node.name);
      case 'unary':
        return this.unary(node);
      case 'binary':
        return this.binary(node);
      case 'logical':
        return integerScalar(this.types, this.logical(node) ? TRUE : FALSE);
      case 'conditional':
        return this.conditional(node);
      case 'comma':
        this.operand(node.left);
        return this.operand(node.right);
      case 'cast':
        return this.cast(this.scalar(node.operand), node.type);
      case 'sizeofType':
        return this.sizeOf(this.typeOf(node.type), node.type.text);
      case 'sizeofValue':
        return this.sizeOf(this.typeOfOperand(node.operand), node.operand.text);
      case 'member':
        return memberOperand(this, node);
      case 'index':
        return indexOperand(this, node);
      case 'call':
        return callOperand(this, node);
    }
  }

  scalar(node: ExpressionNode): Scalar {
    if (node.kind === 'name') {
      const constant = this.scope.variable(node.name) ? undefined : this.types.enumerator(node.name);
      // An enumerator is an int, whatever its enumeration is.
      if (constant) return integerScalar(this.types, enumeratorValue(constant.value));
    }
    return this.scalarOfOperand(this.operand(node), node);
  }

  /** The same of an operand that has been evaluated, which is no enumerator. */
  scalarOfOperand(operand: Operand, node: ExpressionNode): Scalar {
    return this.typesOnly ? this.anyScalar(operand) : scalarOf(this.scope, operand, node);
  }

  isTrue(node: ExpressionNode): boolean {
    return promoted(this.scalar(node)).value !== 0n;
  }

  private named(name: string): Operand {
    const variable = this.scope.variable(name);
    if (variable) {
      if (this.typesOnly) return this.unread(variable.type, name);
      return { kind: 'variable', variable };
    }
    const register = /^\$r(\d|10)$/.exec(name);
    if (register) return this.register(Number(register[1]));
    const map = this.scope.map(name);
    if (map) return { kind: 'map', map };
    const constant = this.types.enumerator(name);
    const macro = constant ? undefined : this.types.macro(name);
    if (macro !== undefined) return this.macro(name, macro);
    if (constant) {
      const bits = this.types.sizeOf(constant.type) * 8;
      const type = this.types.resolve(constant.type);
      const signed = 'signed' in type && type.signed;
      return {
        kind: 'integer',
        value: wrap(constant.value, bits, signed),
        bits,
        signed,
        type: constant.type,
      };
    }
    throw this.unknownName(name);
  }

  /** What a macro's text means here, other macros in it included. */
  private macro(name: string, text: string): Operand {
    if (this.macros.has(name)) throw new Refused(`${name} is a macro that leads back to itself.`);
    const parsed = parseInner(text);
    if (!parsed.ok) throw new Refused(`${name} is a macro for ${text}, which is not an expression.`);
    this.macros.add(name);
    try {
      return this.operand(treeIn(parsed.value, this.scope));
    } finally {
      this.macros.delete(name);
    }
  }

  private unknownName(name: string): Refused {
    const names = this.scope.names();
    const shown = names.slice(0, 24).join(', ') + (names.length > 24 ? ', …' : '');
    return new Refused({
      code: 'expression/unknown-name',
      message: `There is no variable, map or enumerator "${name}" here.`,
      hint:
        `There are ${shown || 'no variables'}.` +
        (/^[A-Z_0-9]+$/.test(name)
          ? ' Macros are known of programs that are compiled with -fdebug-macro, as F5 does.'
          : ''),
    });
  }

  private register(number: number): Operand {
    const value = this.typesOnly ? 0n : this.scope.register(number);
    if (value === undefined)
      throw new Refused(
        `R${number} holds nothing here that the program may read.`,
        'It is set before it is used next.',
      );
    return { kind: 'integer', value, bits: 64, signed: false, type: this.types.integer(8, false) };
  }

  private unary({ operator, operand, text }: Extract<ExpressionNode, { kind: 'unary' }>): Operand {
    if (operator === '&') return this.addressOf(operand);
    if (operator === '*') return this.dereference(this.scalar(operand), operand);
    if (operator === '!') return integerScalar(this.types, this.isTrue(operand) ? FALSE : TRUE);
    const scalar = this.scalar(operand);
    if (scalar.kind === 'pointer') throw new Refused(`\`${text}\`: ${operator} does not take a pointer.`);
    const { value, size, signed } = promoted(scalar);
    const result = { '+': value, '-': -value, '~': ~value }[operator];
    return integerScalar(this.types, convertTo(result, size, signed));
  }

  private addressOf(node: ExpressionNode): PointerScalar {
    const operand = this.operand(node);
    if (operand.kind === 'place' && !operand.bitfield)
      return { kind: 'pointer', address: operand.address, target: operand.type };
    const typed = valueOf(this.scope, operand);
    if (typed?.address !== undefined && !typed.value.bitfield)
      return {
        kind: 'pointer',
        address: typed.address + BigInt(typed.value.offset),
        target: typed.value.typeId,
      };
    const isBitfield = operand.kind === 'place' || typed?.value.bitfield !== undefined;
    const why = isBitfield
      ? 'it is a bit-field'
      : typed
        ? 'it is in a register, or its address has not been seen'
        : 'it is no variable';
    throw new Refused(`\`${node.text}\` has no address: ${why}.`);
  }

  dereference(pointer: Scalar, node: ExpressionNode, offset = 0n): Place {
    if (pointer.kind !== 'pointer')
      throw new Refused(
        `\`${node.text}\` is no pointer.`,
        `To read memory at a number, say of what type it is: *(__u32 *)(${node.text}).`,
      );
    const target = this.types.complete(pointer.target);
    const size = this.types.sizeOf(target);
    if (size === 0)
      throw new Refused(
        `\`${node.text}\` points to something whose type is not known (${this.types.resolve(target).kind === 'void' ? 'void' : 'it is only declared'}).`,
        `Say what it is: *(__u32 *)${node.text}.`,
      );
    if (pointer.address === 0n && !this.typesOnly) throw new Refused(`\`${node.text}\` is NULL.`);
    const address = BigInt.asUintN(64, pointer.address + offset * BigInt(size));
    return { kind: 'place', address, type: target, name: lastName(node.text) };
  }

  private binary(node: Extract<ExpressionNode, { kind: 'binary' }>): Operand {
    const { operator, left, right } = node;
    switch (operator) {
      case '==':
      case '!=':
      case '<':
      case '>':
      case '<=':
      case '>=':
        return integerScalar(this.types, compareAs(this, operator, left, right));
      default:
        return this.compute(node.text, operator, this.scalar(left), this.scalar(right));
    }
  }

  private compute(text: string, operator: ArithmeticOperator, left: Scalar, right: Scalar): Scalar {
    if (left.kind === 'pointer' || right.kind === 'pointer')
      return computePointer(this.types, text, operator, left, right);
    const [a, b] = [promoted(left), promoted(right)];
    const result = arithmetic(operator, a, b);
    if ('undefined' in result) {
      const isShift = operator === '<<' || operator === '>>';
      if (this.typesOnly) return integerScalar(this.types, isShift ? a : unify(a, b)[0]);
      throw new Refused(`\`${text}\` has no value in C: ${result.undefined}.`);
    }
    return integerScalar(this.types, result);
  }

  private logical({ operator, left, right }: Extract<ExpressionNode, { kind: 'logical' }>): boolean {
    if (this.typesOnly) return false;
    return operator === '&&'
      ? this.isTrue(left) && this.isTrue(right)
      : this.isTrue(left) || this.isTrue(right);
  }

  private conditional(node: Extract<ExpressionNode, { kind: 'conditional' }>): Operand {
    const isTrue = !this.typesOnly && this.isTrue(node.condition);
    const [chosen, other] = isTrue ? [node.whenTrue, node.whenFalse] : [node.whenFalse, node.whenTrue];
    const operand = this.operand(chosen);
    if (operand.kind !== 'integer' && !this.isNumber(operand)) return operand;
    const own = promoted(this.scalar(chosen));
    const wide = this.withoutValues(() => this.scalar(other));
    if (wide.kind === 'pointer')
      return { kind: 'pointer', address: wrap(own.value, 64, false), target: wide.target };
    return integerScalar(this.types, unify(own, promoted(wide))[0]);
  }

  private isNumber(operand: Operand): boolean {
    const type = declaredType(operand);
    return ['int', 'enum', 'enum64'].includes(this.types.resolve(type).kind);
  }

  private cast(scalar: Scalar, syntax: TypeSyntax): Operand {
    const number = this.typeOf(syntax);
    const type = this.types.resolve(number);
    const { value } = promoted(scalar);
    switch (type.kind) {
      case 'ptr':
        return { kind: 'pointer', address: wrap(value, 64, false), target: type.type };
      case 'int':
      case 'enum':
      case 'enum64': {
        const bits = type.size * 8;
        const isBool = type.kind === 'int' && type.bool;
        const converted = isBool ? (value === 0n ? 0n : 1n) : wrap(value, bits, type.signed);
        return { kind: 'integer', value: converted, bits, signed: type.signed, type: number };
      }
      default:
        throw new Refused(
          `A value cannot be cast to ${syntax.text}.`,
          `Cast its address and follow that: *(${syntax.text} *)&value.`,
        );
    }
  }

  typeOf(syntax: TypeSyntax): TypeNumber {
    const found = this.types.find(syntax);
    if (found !== undefined) return found;
    throw new Refused({
      code: 'expression/unknown-type',
      message: `The program has no type ${syntax.text}.`,
      hint: 'Only types that the program uses are in its DWARF and BTF; compile with -g.',
    });
  }

  private sizeOf(type: TypeNumber, text: string): IntegerScalar {
    const size = this.types.sizeOf(this.types.complete(type));
    if (size === 0) throw new Refused(`${text} has no size that is known.`);
    return integerScalar(this.types, { value: BigInt(size), size: 8, signed: false });
  }

  private typeOfOperand(node: ExpressionNode): TypeNumber {
    const operand = this.withoutValues(() => this.operand(node));
    if (operand.kind === 'map') throw new Refused(`${node.text} is a map, which has no size in C.`);
    const typed = typedValue(this.scope, operand) ?? textValue(this.scope, operand);
    if (typed.value.bitfield) throw new Refused(`sizeof does not take a bit-field (${node.text}).`);
    return typed.value.typeId;
  }

  private withoutValues<T>(work: () => T): T {
    const before = this.typesOnly;
    this.typesOnly = true;
    try {
      return work();
    } finally {
      this.typesOnly = before;
    }
  }

  /** Something of a type whose value nobody will look at. */
  private unread(type: TypeNumber, name: string): Operand {
    const bytes = new Uint8Array(this.types.sizeOf(type));
    const known = new Uint8Array(bytes.length).fill(1);
    return { kind: 'value', typed: { value: decode(this.types, type, bytes, { name }), known, address: 0n } };
  }

  /** Like {@link scalarOf}, of a value that may not be known. */
  private anyScalar(operand: Operand): Scalar {
    const typed = typedValue(this.scope, operand) ?? textValue(this.scope, operand);
    const known = new Uint8Array(typed.known.length).fill(1);
    const node = { kind: 'null', text: 'value' } as const;
    return scalarOf(this.scope, { kind: 'value', typed: { ...typed, known, address: 0n } }, node);
  }
}

/** An enumerator's type: int where that can hold it, else what can. */
function enumeratorValue(value: bigint) {
  if (BigInt.asIntN(32, value) === value) return convertTo(value, 4, true);
  if (BigInt.asUintN(32, value) === value) return convertTo(value, 4, false);
  return convertTo(value, 8, value < 0n || BigInt.asIntN(64, value) === value);
}

/** `saddr` of `ip->saddr`, for telling an address from a number. */
function lastName(text: string): string {
  return /(\w+)\W*$/.exec(text)?.[1] ?? text;
}
