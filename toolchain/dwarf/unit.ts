/** `.debug_info`: units and the trees of debugging information entries (DIEs) in them. */
import { fixedSizes, readAbbreviations } from './abbreviations';
import type { Abbreviation, AttributeSpec } from './abbreviations';
import { Attribute, Form, Tag } from './constants';
import type { Cursor } from './cursor';
import type { Address, DebugSections } from './sections';

/** Deeper than any C function nests blocks and inlined calls. */
const MAX_DEPTH = 200;

/** One entry. Attributes are read when somebody asks for them. */
export class Die {
  private below: Die[] | undefined;

  constructor(
    readonly unit: Unit,
    /** Position in `.debug_info`, by which others refer to it. */
    readonly offset: number,
    private readonly shape: Abbreviation,
    private readonly attributesAt: number,
  ) {}

  get tag(): number {
    return this.shape.tag;
  }

  get children(): readonly Die[] {
    return (this.below ??= this.unit.childrenOf(this.shape, this.attributesAt));
  }

  /** Children of one tag, which takes no memory for the others. */
  childrenWith(tag: number): Die[] {
    return this.unit.childrenOf(this.shape, this.attributesAt, tag);
  }

  has(name: number): boolean {
    return this.shape.attributes.some((spec) => spec.name === name);
  }

  /** The attribute's form, and a cursor that stands on its value; undefined if the entry does not have it. */
  find(name: number): { spec: AttributeSpec; form: number; cursor: Cursor } | undefined {
    const cursor = this.unit.cursor(this.attributesAt);
    for (const spec of this.shape.attributes) {
      if (spec.name === name) {
        const form = spec.form === Form.Indirect ? cursor.uleb() : spec.form;
        return { spec, form, cursor };
      }
      skipForm(cursor, spec.form);
    }
    return undefined;
  }

  /** A constant; also an index or offset of another class, as it stands there. */
  integer(name: number): bigint | undefined {
    const found = this.find(name);
    if (!found) return undefined;
    const { spec, form, cursor } = found;
    switch (form) {
      case Form.ImplicitConst:
        return BigInt(Math.trunc(spec.constant));
      case Form.Sdata:
        return cursor.sleb64();
      case Form.Udata:
      case Form.Strx:
      case Form.Addrx:
      case Form.Loclistx:
      case Form.Rnglistx:
        return cursor.uleb64();
      case Form.Strx3:
      case Form.Addrx3:
        return BigInt(cursor.u24());
      case Form.FlagPresent:
        return 1n;
      default: {
        const size = fixedSizes[form];
        const value = size ? cursor.unsigned(size) : undefined;
        return cursor.failed ? undefined : value;
      }
    }
  }

  number(name: number): number | undefined {
    const value = this.integer(name);
    return value === undefined ? undefined : Number(value);
  }

  string(name: number): string {
    const found = this.find(name);
    if (!found) return '';
    const { sections } = this.unit;
    switch (found.form) {
      case Form.String:
        return sections.string('.debug_info', found.cursor.at);
      case Form.Strp:
        return sections.string('.debug_str', found.cursor.u32());
      case Form.LineStrp:
        return sections.string('.debug_line_str', found.cursor.u32());
      case Form.Strx:
      case Form.Strx1:
      case Form.Strx2:
      case Form.Strx3:
      case Form.Strx4:
        return this.unit.indexedString(this.number(name) ?? 0);
      default:
        return '';
    }
  }

  /** Position in `.debug_info` of the entry that an attribute refers to. */
  reference(name: number): number | undefined {
    const found = this.find(name);
    if (!found) return undefined;
    if (found.form === Form.RefAddr) return found.cursor.u32();
    if (found.form === Form.RefUdata) return this.unit.offset + found.cursor.uleb();
    if (found.form < Form.Ref1 || found.form > Form.Ref8) return undefined;
    return this.unit.offset + Number(found.cursor.unsigned(fixedSizes[found.form] ?? 0));
  }

  /** Bytes of an expression or a block. */
  block(name: number): Uint8Array | undefined {
    const found = this.find(name);
    if (!found) return undefined;
    const { form, cursor } = found;
    const sized =
      form === Form.Exprloc || form === Form.Block
        ? cursor.uleb()
        : form === Form.Block1
          ? cursor.u8()
          : form === Form.Block2
            ? cursor.u16()
            : form === Form.Block4
              ? cursor.u32()
              : -1;
    return sized < 0 ? undefined : cursor.bytes(sized);
  }

  address(name: number): Address | undefined {
    const found = this.find(name);
    if (!found) return undefined;
    if (found.form === Form.Addr) return this.unit.sections.address('.debug_info', found.cursor);
    const index = this.number(name);
    return index === undefined ? undefined : this.unit.indexedAddress(index);
  }
}

export class Unit {
  private table: (Abbreviation | undefined)[] | undefined;
  private top: Die | undefined;

  constructor(
    readonly sections: DebugSections,
    /** Where the unit begins in `.debug_info`, and where the next one does. */
    readonly offset: number,
    readonly end: number,
    readonly version: number,
    private readonly abbreviations: number,
    private readonly firstDie: number,
  ) {}

  cursor(at: number): Cursor {
    return this.sections.cursor('.debug_info', at, this.end);
  }

  /** The unit's own entry, with all others below it. */
  get root(): Die | undefined {
    return (this.top ??= this.die(this.firstDie));
  }

  /** The entry at a position of `.debug_info`; undefined where none can begin. */
  die(offset: number): Die | undefined {
    const cursor = this.cursor(offset);
    const shape = this.shapeAt(cursor);
    return shape && new Die(this, offset, shape, cursor.at);
  }

  /** Functions, among the unit's some ten thousand entries: the others are passed over without being kept. */
  get functions(): Die[] {
    return this.root?.childrenWith(Tag.Subprogram) ?? [];
  }

  indexedString(index: number): string {
    const base = this.root?.number(Attribute.StrOffsetsBase) ?? 8;
    const cursor = this.sections.cursor('.debug_str_offsets', base + index * 4);
    const offset = cursor.u32();
    return cursor.failed ? '' : this.sections.string('.debug_str', offset);
  }

  indexedAddress(index: number): Address | undefined {
    const base = this.root?.number(Attribute.AddrBase) ?? 8;
    const cursor = this.sections.cursor('.debug_addr', base + index * 8);
    const address = this.sections.address('.debug_addr', cursor);
    return cursor.failed ? undefined : address;
  }

  /** Direct children of an entry whose attributes begin at a position; those after a damaged one are left out. */
  childrenOf(shape: Abbreviation, attributesAt: number, wanted?: number): Die[] {
    const children: Die[] = [];
    if (!shape.hasChildren) return children;
    const cursor = this.cursor(attributesAt);
    skipAttributes(cursor, shape);
    let depth = 0;
    while (cursor.more) {
      const offset = cursor.at;
      const code = cursor.uleb();
      if (code === 0) {
        if (depth-- === 0) break;
        continue;
      }
      const child = this.shapes[code];
      if (!child || depth > MAX_DEPTH) break;
      const at = cursor.at;
      skipAttributes(cursor, child);
      if (cursor.failed) break;
      if (depth === 0 && (wanted === undefined || child.tag === wanted)) {
        children.push(new Die(this, offset, child, at));
      }
      if (child.hasChildren) depth++;
    }
    return children;
  }

  private shapeAt(cursor: Cursor): Abbreviation | undefined {
    const shape = this.shapes[cursor.uleb()];
    return cursor.failed ? undefined : shape;
  }

  private get shapes(): (Abbreviation | undefined)[] {
    return (this.table ??= readAbbreviations(this.sections.cursor('.debug_abbrev', this.abbreviations)));
  }
}

function skipAttributes(cursor: Cursor, { attributes, size }: Abbreviation) {
  if (size >= 0) cursor.skip(size);
  else for (const { form } of attributes) skipForm(cursor, form);
}

function skipForm(cursor: Cursor, form: number) {
  const size = fixedSizes[form];
  if (size !== undefined) return cursor.skip(size);
  switch (form) {
    case Form.String:
      while (cursor.u8() !== 0 && !cursor.failed);
      return;
    case Form.Exprloc:
    case Form.Block:
      return cursor.skip(cursor.uleb());
    case Form.Block1:
      return cursor.skip(cursor.u8());
    case Form.Block2:
      return cursor.skip(cursor.u16());
    case Form.Block4:
      return cursor.skip(cursor.u32());
    case Form.Indirect: {
      const actual = cursor.uleb();
      // Not again: a run of these in a damaged file would nest as deep as it is long.
      if (actual !== Form.Indirect) return skipForm(cursor, actual);
      cursor.failed = true;
      return;
    }
    case Form.Sdata:
    case Form.Udata:
    case Form.RefUdata:
    case Form.Strx:
    case Form.Addrx:
    case Form.Loclistx:
    case Form.Rnglistx:
      return cursor.skipLeb();
    default:
      // A form of unknown length: what follows cannot be found.
      cursor.failed = true;
  }
}

/** Headers of the compile units; 64-bit DWARF, which no compiler writes for BPF, ends the list. */
export function readUnits(sections: DebugSections): Unit[] {
  const units: Unit[] = [];
  const cursor = sections.cursor('.debug_info', 0);
  while (cursor.more) {
    const offset = cursor.at;
    const length = cursor.u32();
    const end = cursor.at + length;
    if (length === 0xffffffff || end > cursor.end) break;
    const version = cursor.u16();
    const type = version >= 5 ? cursor.u8() : 1;
    if (version >= 5) cursor.skip(1);
    const abbreviations = cursor.u32();
    if (version < 5) cursor.skip(1);
    if (cursor.failed) break;
    if (version >= 2 && version <= 5 && type === 1) {
      units.push(new Unit(sections, offset, end, version, abbreviations, cursor.at));
    }
    cursor.at = end;
  }
  return units.filter((unit) => unit.root?.tag === Tag.CompileUnit);
}
