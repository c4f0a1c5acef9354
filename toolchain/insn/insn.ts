/** `struct bpf_insn[]` taken apart and put together. */
import { INSN_SIZE, LD_IMM64 } from './opcodes';

export interface Insn {
  code: number;
  dst: number;
  src: number;
  /** Signed, 16 bits. */
  off: number;
  /** Signed, 32 bits. */
  imm: number;
  /** Immediate of the second slot of a 64-bit immediate load, signed; 0 otherwise. */
  high: number;
}

/** The second slot of a 64-bit immediate load, which is no instruction. */
export const SECOND_SLOT = undefined;

/**
 * Instructions by index as the kernel counts, in slots of 8 bytes: the second slot of a 64-bit immediate load is
 * undefined. An incomplete last slot is left out. What a kernel gives has its own byte order, an object its own.
 */
export function decodeInsns(bytes: Uint8Array, littleEndian = true): (Insn | undefined)[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const insns: (Insn | undefined)[] = [];
  const count = Math.floor(bytes.length / INSN_SIZE);
  for (let index = 0; index < count; index++) {
    const at = index * INSN_SIZE;
    const code = view.getUint8(at);
    const registers = view.getUint8(at + 1);
    const insn: Insn = {
      code,
      dst: littleEndian ? registers & 15 : registers >> 4,
      src: littleEndian ? registers >> 4 : registers & 15,
      off: view.getInt16(at + 2, littleEndian),
      imm: view.getInt32(at + 4, littleEndian),
      high: 0,
    };
    insns.push(insn);
    if (code === LD_IMM64 && index + 1 < count) {
      insn.high = view.getInt32(at + INSN_SIZE + 4, littleEndian);
      insns.push(SECOND_SLOT);
      index++;
    }
  }
  return insns;
}

/** Slots that an instruction takes. */
export function slotsOf(insn: Insn): 1 | 2 {
  return insn.code === LD_IMM64 ? 2 : 1;
}

/** The bytes of instructions in order, 16 for each 64-bit immediate load and 8 for any other. */
export function encodeInsns(insns: readonly Insn[]): Uint8Array<ArrayBuffer> {
  const slots = insns.reduce((sum, insn) => sum + slotsOf(insn), 0);
  const bytes = new Uint8Array(slots * 8);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const insn of insns) {
    view.setUint8(at, insn.code);
    view.setUint8(at + 1, insn.dst | (insn.src << 4));
    view.setInt16(at + 2, insn.off, true);
    view.setInt32(at + 4, insn.imm, true);
    at += 8;
    if (insn.code !== LD_IMM64) continue;
    view.setInt32(at + 4, insn.high, true);
    at += 8;
  }
  return bytes;
}
