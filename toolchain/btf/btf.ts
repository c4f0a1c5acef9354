/**
 * BTF: an index of where each type begins, and types read from it when somebody asks. The kernel's own BTF has
 * some 150,000 types in 6 MB, of which a session looks at a few hundred, so nothing else is done ahead of time.
 * Format: Documentation/bpf/btf.rst.
 */
import { stringAt } from '../elf/elf';
import { Kind, kindNames } from './kinds';
import type { BtfType, TypeOfKind } from './kinds';
import { readType } from './read';
import { resolveType, sizeOfType } from './resolve';

/** Types by id, whatever they were read from: what showing and writing a value takes. */
export interface Types {
  readonly littleEndian: boolean;
  type(id: number): BtfType;
  kindOf(id: number): Kind;
  resolve(id: number): BtfType;
  sizeOf(id: number): number;
}

/** Parsed BTF. Type ids and string offsets continue those of `base` when it is split BTF (a kernel module's). */
export class Btf implements Types {
  private readonly cache = new Map<number, BtfType>();
  private readonly byName = new Map<string, number[]>();

  constructor(
    readonly littleEndian: boolean,
    readonly base: Btf | undefined,
    private readonly view: DataView,
    private readonly strings: Uint8Array,
    /** Byte position in `view` of each type, the first being type id {@link firstId}. */
    private readonly positions: Uint32Array,
  ) {}

  /** First type id that is this BTF's own: 1, or one after its base's last. */
  get firstId(): number {
    return this.base ? this.base.typeCount : 1;
  }

  /** One more than the largest type id, base included; id 0 is void. */
  get typeCount(): number {
    return this.firstId + this.positions.length;
  }

  get stringsEnd(): number {
    return (this.base?.stringsEnd ?? 0) + this.strings.length;
  }

  /** The string at an offset of the string section; empty when there is none. */
  string(offset: number): string {
    const start = this.base?.stringsEnd ?? 0;
    if (offset < start) return this.base?.string(offset) ?? '';
    return stringAt(this.strings, offset - start);
  }

  /** A type by id. An id that does not exist reads as void, named for what it is, so that display goes on. */
  type(id: number): BtfType {
    if (id === 0) return { id: 0, kind: 'void', name: '' };
    if (this.base && id < this.firstId) return this.base.type(id);
    let type = this.cache.get(id);
    if (!type) {
      type = this.read(id);
      this.cache.set(id, type);
    }
    return type;
  }

  /** Kind of a type without reading the rest of it. */
  kindOf(id: number): Kind {
    const position = this.positions[id - this.firstId];
    if (position === undefined) return id < this.firstId && this.base ? this.base.kindOf(id) : Kind.Void;
    return ((this.view.getUint32(position + 4, this.littleEndian) >>> 24) & 0x1f) as Kind;
  }

  /** Ids of all types of that name, own types first, then the base's. */
  findAll(name: string): readonly number[] {
    let ids = this.byName.get(name);
    if (!ids) {
      ids = [...this.scan(name), ...(this.base?.findAll(name) ?? [])];
      this.byName.set(name, ids);
    }
    return ids;
  }

  /** The first type of a kind and name, e.g. `find('struct', 'task_struct')`; undefined if there is none. */
  find<K extends BtfType['kind']>(kind: K, name: string): TypeOfKind<K> | undefined {
    for (const id of this.findAll(name)) {
      const type = this.type(id);
      if (type.kind === kind) return type as TypeOfKind<K>;
    }
    return undefined;
  }

  /** Own types of a kind, without the base's. */
  *ofKind<K extends BtfType['kind']>(kind: K): Generator<TypeOfKind<K>> {
    const wanted = kindNames.indexOf(kind);
    for (let id = this.firstId; id < this.typeCount; id++) {
      if (this.kindOf(id) === wanted) yield this.type(id) as TypeOfKind<K>;
    }
  }

  /** Names of all types of a kind, own and the base's, read without keeping the types; anonymous ones left out. */
  *namesOf(kind: BtfType['kind']): Generator<string> {
    if (this.base) yield* this.base.namesOf(kind);
    const wanted = kindNames.indexOf(kind);
    for (const position of this.positions) {
      const info = this.view.getUint32(position + 4, this.littleEndian);
      const name = this.view.getUint32(position, this.littleEndian);
      if (((info >>> 24) & 0x1f) === wanted && name !== 0) yield this.string(name);
    }
  }

  /** Where each DATASEC's record lies in the bytes, for a loader that fills in offsets; names already read. */
  *datasecRecords(): Generator<{ id: number; name: string; position: number; count: number }> {
    for (let index = 0; index < this.positions.length; index++) {
      const position = this.positions[index] as number;
      const info = this.view.getUint32(position + 4, this.littleEndian);
      if (((info >>> 24) & 0x1f) !== Kind.Datasec) continue;
      const name = this.string(this.view.getUint32(position, this.littleEndian));
      yield { id: this.firstId + index, name, position, count: info & 0xffff };
    }
  }

  /** See {@link resolveType}. */
  resolve(id: number): BtfType {
    return resolveType(this, id);
  }

  /** See {@link sizeOfType}. */
  sizeOf(id: number): number {
    return sizeOfType(this, id);
  }

  /**
   * Ids by name: each type's name is compared in place, byte by byte, which takes a millisecond or two for the
   * kernel's BTF; decoding every name into a map would take fifty times that.
   */
  private *scan(name: string): Generator<number> {
    const wanted = new TextEncoder().encode(name);
    if (wanted.length === 0) return;
    const base = this.base?.stringsEnd ?? 0;
    for (let index = 0; index < this.positions.length; index++) {
      const offset = this.view.getUint32(this.positions[index] as number, this.littleEndian);
      if (
        offset < base ? this.base?.string(offset) === name : startsAt(this.strings, offset - base, wanted)
      ) {
        yield this.firstId + index;
      }
    }
  }

  private read(id: number): BtfType {
    const position = this.positions[id - this.firstId];
    if (position === undefined) return { id, kind: 'void', name: `<no type ${id}>` };
    return readType(this, this.view, this.littleEndian, position, id);
  }
}

/** Whether the NUL-terminated string at `offset` is exactly `wanted`. */
function startsAt(strings: Uint8Array, offset: number, wanted: Uint8Array): boolean {
  if (strings[offset + wanted.length] !== 0) return false;
  for (let index = 0; index < wanted.length; index++) {
    if (strings[offset + index] !== wanted[index]) return false;
  }
  return true;
}
