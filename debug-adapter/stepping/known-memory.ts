/** Memory of the program at a moment: what is known of it, what an address leads to, and what of it was given to the run. */
import { contextType } from './context-type';
import type { Shown } from './shown';
import type { Moment, StepFrame } from './moment';

export interface KnownMemory {
  read(address: bigint, length: number): Shown;
  /** What is at an address: `packet+14`, `stack fp-16 of parse`, `context+4`; undefined for the kernel's own memory. */
  describe(address: bigint): string | undefined;
  /**
   * How to change bytes at an address, for those that the run was given. Undefined: they are what the program computed.
   * @returns a function that does the run again with other bytes there.
   */
  setter?(address: bigint, length: number): ((bytes: Uint8Array, what: string) => Promise<void>) | undefined;
}

export function memoryAt(moment: Moment, frame: StepFrame): KnownMemory {
  const { packet, inputs } = moment;
  const inPacket = (address: bigint, length: number) => {
    const { data, end } = packet ?? {};
    return data !== undefined && end !== undefined && address >= data && address + BigInt(length) <= end
      ? Number(address - data)
      : undefined;
  };
  return {
    read: (address, length) => frame.view.memory(address, length),
    describe: (address) => {
      const offset = inPacket(address, 0);
      if (offset !== undefined) return `packet+${offset}`;
      return (
        describeStack(moment, address) ?? describeContext(moment, address) ?? moment.mapValueAt?.(address)
      );
    },
    ...(inputs
      ? {
          setter: (address, length) => {
            const offset = inPacket(address, length);
            return offset === undefined ? undefined : (bytes, what) => inputs.setPacket(offset, bytes, what);
          },
        }
      : {}),
  };
}

/** Below what a function uses of its stack is memory of the kernel's own functions that it called. */
function describeStack({ views, source, code }: Moment, address: bigint): string | undefined {
  for (const view of views) {
    const top = view.register(10);
    const depth = BigInt(code.stackDepth.get(code.subprogramOf(view.insn)) ?? 0);
    if (top === undefined || address >= top || address < top - depth) continue;
    const name = source.functionAt(view.insn)?.name;
    return `stack fp-${top - address}${name === undefined ? '' : ` of ${name}`}`;
  }
  return undefined;
}

/** Behind the context, as large as the program says it is, lies memory of the kernel's. */
function describeContext(moment: Moment, address: bigint): string | undefined {
  const { context } = moment;
  if (context === undefined || address < context) return undefined;
  if (address === context) return 'context';
  return address < context + BigInt(contextType(moment)?.size ?? 0)
    ? `context+${address - context}`
    : undefined;
}
