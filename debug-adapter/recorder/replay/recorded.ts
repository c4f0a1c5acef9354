/** Takes what was recorded at a point of the program from the trace into the machine. */
import type { ReplayPoint } from './code';
import type { Machine } from './machine';
import { add, joined } from './memory';
import type { TraceReader } from './trace-reader';

/** In words why the recording contradicts what was computed so far; undefined if it does not. */
export function takeRecorded(
  machine: Machine,
  trace: TraceReader,
  { record, fields }: ReplayPoint,
): string | undefined {
  if (record) {
    const found = trace.upcoming;
    if (found !== record)
      return found ? 'the kernel took another way from here' : 'the recording ends before this';
    trace.skip();
  }
  if (8 * fields.length > trace.rest) return 'the recording ends within this';
  const { registers } = machine;
  for (const field of fields) {
    const { low: lo, high: hi } = trace;
    trace.skip();
    if (field.kind === 'stack') {
      const [atLo, atHi] = add(registers.lo[10] as number, registers.hi[10] as number, field.offset);
      machine.memory.write(atLo, atHi, field.size, lo, hi);
    } else if (field.kind === 'cpu') {
      machine.cpu = lo;
    } else if (!field.checked || !(machine.known & (1 << field.register))) {
      machine.set(field.register, lo, hi);
    } else if (registers.lo[field.register] !== lo || registers.hi[field.register] !== hi) {
      const computed = `0x${machine.register(field.register).toString(16)}`;
      return `R${field.register} was 0x${joined(lo, hi).toString(16)} in the kernel, and re-execution makes it ${computed}`;
    }
  }
  return undefined;
}
