/** One function that is being executed, as the replay knows it: its registers and the memory. */
import { joined } from '../recorder/replay/memory';
import type { Machine } from '../recorder/replay/machine';

export interface FrameView {
  /** Instruction that runs next, or the call that has not returned. */
  insn: number;
  /** Undefined where nothing is that the program may read: R1 to R5 after a call, R0 to R5 of functions that called this one. */
  register(number: number): bigint | undefined;
  /** Bytes from an address on, and which of them the run has shown. */
  memory(address: bigint, length: number): { bytes: Uint8Array; known: Uint8Array };
}

/** Frames with code of their own, innermost first. */
export function frameViews(machine: Machine): FrameView[] {
  const memory = (address: bigint, length: number) => machine.memory.bytes(address, length);
  const views: FrameView[] = [
    {
      insn: machine.pc,
      register: (number) => (machine.known & (1 << number) ? machine.register(number) : undefined),
      memory,
    },
  ];
  for (const { call, lo, hi, known } of machine.frames.toReversed()) {
    views.push({
      insn: call,
      register: (number) =>
        known & (1 << number) ? joined(lo[number - 6] as number, hi[number - 6] as number) : undefined,
      memory,
    });
  }
  return views;
}

/** Up to 8 bytes as an unsigned little-endian number; undefined unless all of them are known. */
export function readNumber(view: FrameView, address: bigint, size: number): bigint | undefined {
  const { bytes, known } = view.memory(address, size);
  if (known.includes(0)) return undefined;
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** A register's content as the bytes that a variable of `size` bytes in it has. */
export function bytesOfNumber(value: bigint, size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let rest = BigInt.asUintN(64, value);
  for (let index = 0; index < Math.min(size, 8); index++, rest >>= 8n) bytes[index] = Number(rest & 0xffn);
  return bytes;
}
