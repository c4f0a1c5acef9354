/** Which addresses an entry covers, and where a variable lives at which of them. */
import { Attribute, Form, ListEntry } from './constants';
import type { Cursor } from './cursor';
import type { Address } from './sections';
import type { Die, Unit } from './unit';

/** Half-open, in bytes. */
export interface AddressRange {
  from: Address;
  to: Address;
}

export interface LocatedExpression extends AddressRange {
  /** A DWARF expression. */
  expression: Uint8Array;
}

/** DW_AT_low_pc and DW_AT_high_pc, or the ranges of DW_AT_ranges; none for an entry without code. */
export function rangesOf(die: Die): AddressRange[] {
  const { unit } = die;
  if (die.has(Attribute.Ranges)) {
    const { list, cursor } = listAt(die, Attribute.Ranges, '.debug_rnglists', Attribute.RnglistsBase);
    const read = list === 'new' ? newList(unit, cursor, false) : oldList(unit, cursor, '.debug_ranges');
    return read.filter(({ from, to }) => from < to);
  }
  const from = die.address(Attribute.LowPc);
  if (from === undefined) return [];
  // As an address it is the end, as a constant the length.
  const form = die.find(Attribute.HighPc)?.form;
  const to =
    form === Form.Addr || (form !== undefined && form >= Form.Addrx1 && form <= Form.Addrx4)
      ? die.address(Attribute.HighPc)
      : from + (die.number(Attribute.HighPc) ?? 0);
  return to !== undefined && from < to ? [{ from, to }] : [];
}

/** The expressions of DW_AT_location and where they hold: everywhere for a single one. */
export function locationsOf(die: Die): LocatedExpression[] {
  const expression = die.block(Attribute.Location);
  if (expression) return [{ from: 0, to: Infinity, expression }];
  if (!die.has(Attribute.Location)) return [];
  const { list, cursor } = listAt(die, Attribute.Location, '.debug_loclists', Attribute.LoclistsBase);
  const read = list === 'new' ? newList(die.unit, cursor, true) : oldList(die.unit, cursor, '.debug_loc');
  return read.filter(({ from, to, expression }) => from < to && expression.length > 0);
}

function listAt(
  die: Die,
  attribute: number,
  section: '.debug_rnglists' | '.debug_loclists',
  baseAttribute: number,
): { list: 'new' | 'old'; cursor: Cursor } {
  const { unit } = die;
  const { sections } = unit;
  const value = die.number(attribute) ?? 0;
  const form = die.find(attribute)?.form;
  if (unit.version < 5) {
    return {
      list: 'old',
      cursor: sections.cursor(section === '.debug_rnglists' ? '.debug_ranges' : '.debug_loc', value),
    };
  }
  if (form !== Form.Rnglistx && form !== Form.Loclistx) {
    return { list: 'new', cursor: sections.cursor(section, value) };
  }
  // An index into the offsets that follow the section's header; they count from where they begin.
  const base = unit.root?.number(baseAttribute) ?? 12;
  const offset = sections.cursor(section, base + value * 4).u32();
  return { list: 'new', cursor: sections.cursor(section, base + offset) };
}

/** Address that offsets count from until the list says otherwise. */
function baseOf(unit: Unit): Address {
  return unit.root?.address(Attribute.LowPc) ?? 0;
}

/** DWARF 5. */
function newList(unit: Unit, cursor: Cursor, withExpressions: boolean): LocatedExpression[] {
  const entries: LocatedExpression[] = [];
  let base = baseOf(unit);
  const section = withExpressions ? '.debug_loclists' : '.debug_rnglists';
  const add = (from: Address | undefined, to: Address | undefined) => {
    const expression = withExpressions ? cursor.bytes(cursor.uleb()) : new Uint8Array();
    if (from !== undefined && to !== undefined && !cursor.failed) entries.push({ from, to, expression });
  };
  while (cursor.more) {
    const kind = cursor.u8();
    if (kind === ListEntry.EndOfList) break;
    if (kind === ListEntry.BaseAddressx) base = unit.indexedAddress(cursor.uleb()) ?? 0;
    else if (kind === ListEntry.StartxEndx) {
      const from = unit.indexedAddress(cursor.uleb());
      add(from, unit.indexedAddress(cursor.uleb()));
    } else if (kind === ListEntry.StartxLength) {
      const from = unit.indexedAddress(cursor.uleb());
      const length = cursor.uleb();
      add(from, from === undefined ? undefined : from + length);
    } else if (kind === ListEntry.OffsetPair) {
      const from = base + cursor.uleb();
      add(from, base + cursor.uleb());
    } else {
      // The rest is numbered differently in the two sections: default_location comes first in location lists.
      const other = withExpressions ? kind - 1 : kind;
      if (withExpressions && kind === 5) add(0, Infinity);
      else if (other === 5) base = unit.sections.address(section, cursor);
      else if (other === 6) {
        const from = unit.sections.address(section, cursor);
        add(from, unit.sections.address(section, cursor));
      } else if (other === 7) {
        const from = unit.sections.address(section, cursor);
        add(from, from + cursor.uleb());
      } else break;
    }
  }
  return entries;
}

/** Up to DWARF 4: pairs of addresses, an all-ones first one to change the base, two zeros at the end. */
function oldList(unit: Unit, cursor: Cursor, section: '.debug_loc' | '.debug_ranges'): LocatedExpression[] {
  const entries: LocatedExpression[] = [];
  let base = baseOf(unit);
  while (cursor.more) {
    const isBase = cursor.view.byteLength - cursor.at >= 8 && startsWithOnes(cursor);
    if (isBase) {
      cursor.skip(8);
      base = unit.sections.address(section, cursor);
      continue;
    }
    const from = unit.sections.address(section, cursor);
    const to = unit.sections.address(section, cursor);
    if (from === 0 && to === 0) break;
    const expression = section === '.debug_loc' ? cursor.bytes(cursor.u16()) : new Uint8Array();
    // With a relocation an address is a whole one, without it counts from the base.
    if (!cursor.failed) entries.push({ from: absolute(from, base), to: absolute(to, base), expression });
  }
  return entries;
}

function startsWithOnes(cursor: Cursor): boolean {
  return cursor.view.getBigUint64(cursor.at, cursor.littleEndian) === 0xffff_ffff_ffff_ffffn;
}

function absolute(address: Address, base: Address): Address {
  return address >= 2 ** 32 ? address : base + address;
}
