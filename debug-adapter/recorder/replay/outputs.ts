/**
 * Memory that helpers have written, of which a run shows the address and the size only. Until the program reads it, it
 * is not known; but where nothing else has written there up to the end of the run, what the kernel has there after the
 * run is what the helper wrote. The first execution finds that out, all later ones know it.
 */
import { halves } from './memory';
import type { Memory } from './memory';

interface Output {
  step: number;
  address: bigint;
  length: number;
  /** Filled in at the end of the first execution. */
  bytes?: Uint8Array;
}

/** More than that is not written by one call. */
const MAX_LENGTH = 1024 * 1024;
/** Of a run with more, only so many are looked at. */
const MAX_OUTPUTS = 100_000;
const MAX_REVEALED = 1000;

export class Outputs {
  private readonly outputs: Output[] = [];
  private readonly byCall = new Map<string, Output>();

  constructor(private readonly memory: Memory) {}

  /** A helper writes to a range at a step; `nth` tells the ranges of one step apart. */
  write(step: number, nth: number, address: bigint, length: number): void {
    if (length <= 0 || length > MAX_LENGTH) return;
    const call = `${step} ${nth}`;
    let output = this.byCall.get(call);
    if (!output && this.outputs.length < MAX_OUTPUTS) {
      output = { step, address, length };
      this.byCall.set(call, output);
      this.outputs.push(output);
    }
    const [lo, hi] = halves(address);
    if (output?.bytes) this.memory.writeBytes(lo, hi, output.bytes);
    else this.memory.forget(lo, hi, length);
  }

  /**
   * To be called at the end of the first execution.
   * @param after memory whose content after the run is known
   * @returns whether anything has become known.
   */
  reveal(after: Iterable<{ address: bigint; bytes: Uint8Array }>): boolean {
    if (this.outputs.length === 0) return false;
    const places = [...after];
    const later: Output[] = [];
    // Backward, because of what two calls have written at one place only the later one's bytes are still there.
    for (const output of this.outputs.slice(-MAX_REVEALED).reverse()) {
      const { address, length } = output;
      const end = address + BigInt(length);
      const isLast = !later.some((one) => one.address < end && address < one.address + BigInt(one.length));
      later.push(output);
      if (!isLast || this.memory.bytes(address, length).known.includes(1)) continue;
      const place = places.find(
        (one) => address >= one.address && end <= one.address + BigInt(one.bytes.length),
      );
      if (!place) continue;
      const at = Number(address - place.address);
      output.bytes = place.bytes.subarray(at, at + length);
    }
    return later.some(({ bytes }) => bytes !== undefined);
  }
}
