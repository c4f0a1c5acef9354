/** File names of a unit, from the header of its line number program. */
import type { Cursor } from './cursor';
import { Form } from './constants';
import { fixedSizes } from './abbreviations';
import type { DebugSections } from './sections';

const PATH = 1;
const DIRECTORY_INDEX = 2;

/**
 * Names by the numbers that DW_AT_decl_file and DW_AT_call_file use: from 0 in DWARF 5, from 1 before. A name is
 * joined with its directory and the compilation's; empty list when the table cannot be read.
 */
export function readFileNames(sections: DebugSections, offset: number, directory: string): string[] {
  const cursor = sections.cursor('.debug_line', offset);
  const length = cursor.u32();
  if (length === 0xffffffff) return [];
  const version = cursor.u16();
  if (version >= 5) cursor.skip(2);
  cursor.u32();
  // minimum_instruction_length, maximum_operations_per_instruction (4 and later), default_is_stmt, line_base,
  // line_range, opcode_base.
  cursor.skip(version >= 4 ? 5 : 4);
  const opcodes = cursor.u8();
  cursor.skip(Math.max(0, opcodes - 1));
  if (cursor.failed || version < 2 || version > 5) return [];
  return version >= 5 ? tables(sections, cursor) : oldTables(sections, cursor, directory);
}

function tables(sections: DebugSections, cursor: Cursor): string[] {
  const directories = entries(sections, cursor).map(({ name }) => name);
  // The first is the compilation's own, which the others may be relative to.
  const own = directories[0] ?? '';
  return entries(sections, cursor).map(({ name, directory }) =>
    join(own, join(directories[directory] ?? '', name)),
  );
}

function entries(sections: DebugSections, cursor: Cursor): { name: string; directory: number }[] {
  const formats: { content: number; form: number }[] = [];
  for (let count = cursor.u8(); count > 0; count--) {
    formats.push({ content: cursor.uleb(), form: cursor.uleb() });
  }
  const found: { name: string; directory: number }[] = [];
  if (formats.length === 0) {
    cursor.uleb();
    return found;
  }
  for (let count = cursor.uleb(); count > 0 && cursor.more; count--) {
    const entry = { name: '', directory: 0 };
    for (const { content, form } of formats) {
      const value = readValue(sections, cursor, form);
      if (content === PATH && typeof value === 'string') entry.name = value;
      else if (content === DIRECTORY_INDEX && typeof value === 'number') entry.directory = value;
    }
    if (!cursor.failed) found.push(entry);
  }
  return found;
}

function readValue(sections: DebugSections, cursor: Cursor, form: number): string | number | undefined {
  switch (form) {
    case Form.LineStrp:
      return sections.string('.debug_line_str', cursor.u32());
    case Form.Strp:
      return sections.string('.debug_str', cursor.u32());
    case Form.String:
      return inlineString(sections, cursor);
    case Form.Udata:
      return cursor.uleb();
    case Form.Data1:
      return cursor.u8();
    case Form.Data2:
      return cursor.u16();
    case Form.Block:
      cursor.skip(cursor.uleb());
      return undefined;
    default: {
      const size = fixedSizes[form];
      if (size === undefined) cursor.failed = true;
      else cursor.skip(size);
      return undefined;
    }
  }
}

function inlineString(sections: DebugSections, cursor: Cursor): string {
  const text = sections.string('.debug_line', cursor.at);
  while (cursor.u8() !== 0 && !cursor.failed);
  return text;
}

/** DWARF 2 to 4: names one after the other, an empty one at the end. Directory 0 is the compilation's. */
function oldTables(sections: DebugSections, cursor: Cursor, directory: string): string[] {
  const directories = [directory];
  for (let name = inlineString(sections, cursor); name; name = inlineString(sections, cursor)) {
    directories.push(name);
  }
  const names = [''];
  for (let name = inlineString(sections, cursor); name; name = inlineString(sections, cursor)) {
    const index = cursor.uleb();
    cursor.uleb();
    cursor.uleb();
    names.push(join(directory, join(directories[index] ?? '', name)));
  }
  return names;
}

function join(directory: string, name: string): string {
  return name.startsWith('/') || directory === '' ? name : `${directory}/${name}`;
}
