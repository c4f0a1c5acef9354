/** Calls in expressions: byte order, and addresses as people write them. */
import { decode } from '../../toolchain/btf/value';
import type { Evaluator } from './evaluate';
import { ADDRESSES, networkOrder, swappedBytes } from './functions';
import { promoted, Refused } from './operands';
import type { Operand } from './operands';
import type { ExpressionNode } from './syntax';
import type { TypeSpace } from './types';

/** A function that expressions know; nothing of the program is run. */
export function callOperand(
  evaluator: Evaluator,
  { name, arguments: given, text }: Extract<ExpressionNode, { kind: 'call' }>,
): Operand {
  const { types } = evaluator.scope;
  const [argument] = given;
  const size = swappedBytes(name);
  if (size && argument && given.length === 1) {
    const { value } = promoted(evaluator.scalar(argument));
    const swapped = networkOrder(value, size, types.littleEndian, name);
    const type = types.integer(size, false);
    return { kind: 'integer', value: swapped, bits: size * 8, signed: false, type };
  }
  const address = Object.hasOwn(ADDRESSES, name) ? ADDRESSES[name] : undefined;
  if (address) {
    const bytes =
      argument?.kind === 'string' && given.length === 1
        ? address.parse(Buffer.from(argument.bytes).toString('latin1'))
        : undefined;
    if (!bytes) throw new Refused(`${text} is not an address.`, `Write it like ${address.example}.`);
    return addressOperand(types, bytes);
  }
  throw new Refused(
    size
      ? `${name} takes one argument.`
      : `${name} cannot be called: nothing is run to evaluate an expression.`,
    'Functions that can be used are bpf_ntohs and the like, ipv4("…"), ipv6("…") and mac("…").',
  );
}

function addressOperand(types: TypeSpace, bytes: Uint8Array): Operand {
  // An IPv4 address is a number in C, of type __be32; the longer ones are arrays.
  const type =
    bytes.length === 4 ? types.integer(4, false) : types.arrayOf(types.integer(1, false), bytes.length);
  const known = new Uint8Array(bytes.length).fill(1);
  return { kind: 'value', typed: { value: decode(types, type, bytes), known, isAddress: true } };
}
