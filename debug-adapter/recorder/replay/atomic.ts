/** Atomic instructions. Source: instruction-set.rst. */
import { Atomic } from '../../../toolchain/insn/opcodes';

/** What an atomic instruction leaves in memory. */
export function atomicResultOf(
  operation: number,
  old: bigint,
  operand: bigint,
  expected: bigint,
  size: number,
): bigint {
  switch (operation) {
    case Atomic.LOAD_ACQUIRE:
      return old;
    case Atomic.STORE_RELEASE:
    case Atomic.XCHG:
      return operand;
    case Atomic.CMPXCHG:
      return BigInt.asUintN(8 * size, old) === BigInt.asUintN(8 * size, expected) ? operand : old;
    default:
  }
  switch (operation & 0xf0) {
    case Atomic.ADD:
      return old + operand;
    case Atomic.OR:
      return old | operand;
    case Atomic.AND:
      return old & operand;
    default:
      return old ^ operand;
  }
}
