/** `.debug_macro`: what object-like macros stand for, in programs compiled with `-fdebug-macro` (DWARF 5, 6.3). */
import type { Cursor } from './cursor';
import type { DebugSections } from './sections';
import type { Unit } from './unit';

/** DW_MACRO_*: those that clang writes. */
const Entry = {
  End: 0x00,
  Define: 0x01,
  Undef: 0x02,
  StartFile: 0x03,
  EndFile: 0x04,
  DefineStrp: 0x05,
  UndefStrp: 0x06,
  DefineStrx: 0x0b,
  UndefStrx: 0x0c,
} as const;

/** Flags of a header: 64-bit offsets; an offset into `.debug_line`; a table of further entries. */
const WIDE_OFFSETS = 1;
const HAS_LINE_OFFSET = 2;
const HAS_TABLE = 4;

/** Replacement text by name, as at the end of the sources; macros with parameters are left out. */
export function readMacros(sections: DebugSections, units: readonly Unit[]): Map<string, string> {
  const macros = new Map<string, string>();
  const cursor = sections.cursor('.debug_macro', 0);
  for (const unit of units) {
    if (!cursor.more || !readUnit(cursor, sections, unit, macros)) break;
  }
  return macros;
}

/** False: something that clang does not write, whose length is not known. */
function readUnit(cursor: Cursor, sections: DebugSections, unit: Unit, macros: Map<string, string>): boolean {
  const version = cursor.u16();
  const flags = cursor.u8();
  if (version !== 5 || flags & (WIDE_OFFSETS | HAS_TABLE)) return false;
  if (flags & HAS_LINE_OFFSET) cursor.skip(4);
  while (cursor.more) {
    const entry = cursor.u8();
    if (entry === Entry.End) return true;
    if (entry === Entry.EndFile) continue;
    cursor.skipLeb();
    switch (entry) {
      case Entry.StartFile:
        cursor.skipLeb();
        break;
      case Entry.Define:
      case Entry.Undef: {
        const text = sections.string('.debug_macro', cursor.at);
        cursor.skip(Buffer.byteLength(text) + 1);
        note(macros, text, entry === Entry.Define);
        break;
      }
      case Entry.DefineStrp:
      case Entry.UndefStrp:
        note(macros, sections.string('.debug_str', cursor.u32()), entry === Entry.DefineStrp);
        break;
      case Entry.DefineStrx:
      case Entry.UndefStrx:
        note(macros, unit.indexedString(cursor.uleb()), entry === Entry.DefineStrx);
        break;
      default:
        return false;
    }
  }
  return true;
}

/** `ETH_P_IP 0x0800`; one with parameters has a parenthesis right behind its name. */
function note(macros: Map<string, string>, definition: string, isDefined: boolean): void {
  const match = /^([A-Za-z_]\w*)(?:\s+(.*))?$/s.exec(definition);
  if (!match) return;
  if (isDefined && match[2]) macros.set(match[1] as string, match[2].trim());
  else macros.delete(match[1] as string);
}
