import type { Btf } from '../btf/btf';
import type { ElfFile } from './elf';
import { findSection } from './elf';

/**
 * clang leaves the size of each DATASEC and the offsets of its variables 0 and relies on the loader to fill them
 * in from the symbol table. This does so in `data`, the bytes that `btf` reads from; it must come before the
 * first look at a DATASEC.
 */
export function placeVariables(btf: Btf, data: Uint8Array, elf: ElfFile) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const symbols = new Map<string, number>();
  for (const symbol of elf.symbols) {
    if (symbol.type === 'object') symbols.set(`${symbol.section}:${symbol.name}`, symbol.value);
  }
  for (const { id, name, position, count } of btf.datasecRecords()) {
    const section = findSection(elf, name);
    if (!section) continue;
    if (view.getUint32(position + 8, btf.littleEndian) === 0) {
      view.setUint32(position + 8, section.size, btf.littleEndian);
    }
    for (let index = 0; index < count; index++) {
      const at = position + 12 + index * 12;
      const variable = btf.type(view.getUint32(at, btf.littleEndian));
      const offset = symbols.get(`${section.index}:${variable.name}`);
      if (offset !== undefined && variable.id !== id) view.setUint32(at + 4, offset, btf.littleEndian);
    }
  }
}
