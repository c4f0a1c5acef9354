/** Atomic instructions. Source: instruction-set.rst. */
import { Atomic, accessSize } from '../../../toolchain/insn/opcodes';
import type { Machine } from './machine';
import { add, halves, joined } from './memory';

/**
 * To be called before the instruction runs; the function returned when its result has been taken from the trace, to do
 * what it did to memory.
 */
export function beginAtomic(machine: Machine, pc: number): () => void {
  const { code, registers, memory } = machine;
  const operation = code.imm[pc] as number;
  const size = accessSize(code.code[pc] as number);
  const source = code.src[pc] as number;
  const isLoad = operation === Atomic.LOAD_ACQUIRE;
  const base = isLoad ? source : (code.dst[pc] as number);
  const [lo, hi] = add(registers.lo[base] as number, registers.hi[base] as number, code.off[pc] as number);
  const operand = machine.register(source);
  const expected = machine.register(0);
  const isFetch = isLoad || operation === Atomic.CMPXCHG || (operation & Atomic.FETCH) !== 0;
  const result = isLoad ? (code.dst[pc] as number) : operation === Atomic.CMPXCHG ? 0 : source;
  return () => {
    // Without a result the memory's former content is only known if something has shown it.
    const isKnown = isFetch || memory.read(lo, hi, size, former);
    const old = isFetch ? machine.register(result) : joined(former[0] as number, former[1] as number);
    const [storedLo, storedHi] = halves(atomicResultOf(operation, old, operand, expected, size));
    memory.write(lo, hi, size, storedLo, storedHi, isKnown || operation === Atomic.STORE_RELEASE);
  };
}
const former = new Int32Array(2);

/** What an atomic instruction leaves in memory. */
function atomicResultOf(
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
