/** Where instructions name maps. */

/** BPF_LD | BPF_IMM | BPF_DW, the one instruction of two slots. */
const LD_IMM64 = 0x18;
/** BPF_PSEUDO_MAP_FD, BPF_PSEUDO_MAP_VALUE: the source register tells what the immediate is. */
const MAP_FD = 1;
const MAP_VALUE = 2;

/** Each place where `struct bpf_insn[]` holds a map's descriptor, to be read and overwritten. */
export function* mapReferences(
  instructions: Uint8Array,
): Generator<{ get(): number; set(map: number): void }> {
  const view = new DataView(instructions.buffer, instructions.byteOffset, instructions.byteLength);
  for (let at = 0; at + 8 <= instructions.length; at += 8) {
    if (view.getUint8(at) !== LD_IMM64) continue;
    const source = view.getUint8(at + 1) >> 4;
    const immediate = at + 4;
    if (source === MAP_FD || source === MAP_VALUE) {
      yield {
        get: () => view.getInt32(immediate, true),
        set: (map) => view.setInt32(immediate, map, true),
      };
    }
    at += 8;
  }
}
