import type { Btf } from '../btf/btf';
import type { TypeOfKind } from '../btf/kinds';
import type { ElfFile } from './elf';
import { SectionFlag, SectionType } from './elf';

export interface ObjectMap {
  name: string;
  /** `enum bpf_map_type`; 0 when the definition gives none. */
  typeNumber: number;
  keySize: number;
  valueSize: number;
  maxEntries: number;
  flags: number;
  /** BTF type ids in the object's BTF, 0 when the definition gives only sizes. */
  keyTypeId: number;
  valueTypeId: number;
  /** `LIBBPF_PIN_BY_NAME`. */
  pinned: boolean;
  /** Global variables of `.data`, `.bss`, `.rodata` and sections like them. */
  globals: boolean;
}

/** `BPF_MAP_TYPE_ARRAY`: what libbpf makes for a section of global variables. */
const ARRAY = 2;

/** Maps of `SEC(".maps")` and of global variables. Map definitions before BTF (`SEC("maps")`) are not read. */
export function mapsOf(btf: Btf | undefined, elf: ElfFile): ObjectMap[] {
  if (!btf) return [];
  const maps: ObjectMap[] = [];
  const definitions = btf.find('datasec', '.maps');
  for (const { type } of definitions?.variables ?? []) {
    const variable = btf.type(type);
    if (variable.kind === 'var') maps.push(definedMap(btf, variable));
  }
  for (const section of elf.sections) {
    const alloc = (section.flags & SectionFlag.Alloc) !== 0;
    const data = section.type === SectionType.Progbits || section.type === SectionType.Nobits;
    if (!alloc || !data || section.size === 0 || !/^\.(data|rodata|bss)(\.|$)/.test(section.name)) continue;
    const type = btf.find('datasec', section.name);
    maps.push({
      ...empty(section.name),
      typeNumber: ARRAY,
      keySize: 4,
      valueSize: section.size,
      maxEntries: 1,
      valueTypeId: type?.id ?? 0,
      globals: true,
    });
  }
  return maps;
}

/** A definition's members say each a property: `__uint` as the length of an array, `__type` as a pointer's target. */
function definedMap(btf: Btf, variable: TypeOfKind<'var'>): ObjectMap {
  const map = empty(variable.name);
  const definition = btf.resolve(variable.type);
  for (const member of definition.kind === 'struct' ? definition.members : []) {
    const pointer = btf.resolve(member.type);
    const target = pointer.kind === 'ptr' ? pointer.type : 0;
    const array = btf.resolve(target);
    const number = array.kind === 'array' ? array.count : 0;
    switch (member.name) {
      case 'type':
        map.typeNumber = number;
        break;
      case 'key_size':
        map.keySize = number;
        break;
      case 'value_size':
        map.valueSize = number;
        break;
      case 'max_entries':
        map.maxEntries = number;
        break;
      case 'map_flags':
        map.flags = number;
        break;
      case 'pinning':
        map.pinned = number === 1;
        break;
      case 'key':
        map.keyTypeId = target;
        map.keySize = btf.sizeOf(target);
        break;
      case 'value':
        map.valueTypeId = target;
        map.valueSize = btf.sizeOf(target);
        break;
    }
  }
  return map;
}

function empty(name: string): ObjectMap {
  return {
    name,
    typeNumber: 0,
    keySize: 0,
    valueSize: 0,
    maxEntries: 0,
    flags: 0,
    keyTypeId: 0,
    valueTypeId: 0,
    pinned: false,
    globals: false,
  };
}
