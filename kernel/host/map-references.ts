/** Where instructions name maps. */
import { INSN_SIZE, LD_IMM64, Pseudo } from '../../toolchain/insn/opcodes';

/** Each place where `struct bpf_insn[]` holds a map's descriptor, to be read and overwritten. */
export function* mapReferences(
  instructions: Uint8Array,
): Generator<{ get(): number; set(map: number): void }> {
  const view = new DataView(instructions.buffer, instructions.byteOffset, instructions.byteLength);
  for (let at = 0; at + INSN_SIZE <= instructions.length; at += INSN_SIZE) {
    if (view.getUint8(at) !== LD_IMM64) continue;
    const source = view.getUint8(at + 1) >> 4;
    const immediate = at + 4;
    if (source === Pseudo.MAP || source === Pseudo.MAP_VALUE) {
      yield {
        get: () => view.getInt32(immediate, true),
        set: (map) => view.setInt32(immediate, map, true),
      };
    }
    // The second slot holds the rest of the immediate.
    at += INSN_SIZE;
  }
}
