/** `.debug_abbrev`: the shapes that debugging information entries have. */
import { Form } from './constants';
import type { Cursor } from './cursor';

export interface AttributeSpec {
  name: number;
  form: number;
  /** Value of DW_FORM_implicit_const, which stands here and not in the entry. */
  constant: number;
}

export interface Abbreviation {
  tag: number;
  hasChildren: boolean;
  attributes: AttributeSpec[];
  /** Bytes that the attributes take, when all of them have a fixed size; else -1. */
  size: number;
}

/** A compiler counts its codes from one; a table with larger ones than this is damaged. */
const MAX_CODE = 65_535;

/** Abbreviations by code. A table ends with a code of zero, or where it can no longer be read. */
export function readAbbreviations(cursor: Cursor): (Abbreviation | undefined)[] {
  const table: (Abbreviation | undefined)[] = [];
  while (cursor.more) {
    const code = cursor.uleb();
    if (code === 0 || code > MAX_CODE) break;
    const tag = cursor.uleb();
    const hasChildren = cursor.u8() === 1;
    const attributes: AttributeSpec[] = [];
    let size = 0;
    while (cursor.more) {
      const name = cursor.uleb();
      const form = cursor.uleb();
      const constant = form === Form.ImplicitConst ? cursor.sleb() : 0;
      if (name === 0 && form === 0) break;
      attributes.push({ name, form, constant });
      const bytes = fixedSizes[form];
      size = bytes === undefined || size < 0 ? -1 : size + bytes;
    }
    if (!cursor.failed) table[code] = { tag, hasChildren, attributes, size };
  }
  return table;
}

/** Sizes in bytes of the forms that always take the same, in 32-bit DWARF with 8-byte addresses. */
export const fixedSizes: Readonly<Record<number, number>> = {
  [Form.Addr]: 8,
  [Form.Data1]: 1,
  [Form.Data2]: 2,
  [Form.Data4]: 4,
  [Form.Data8]: 8,
  [Form.Data16]: 16,
  [Form.Flag]: 1,
  [Form.FlagPresent]: 0,
  [Form.ImplicitConst]: 0,
  [Form.Strp]: 4,
  [Form.LineStrp]: 4,
  [Form.SecOffset]: 4,
  [Form.RefAddr]: 4,
  [Form.Ref1]: 1,
  [Form.Ref2]: 2,
  [Form.Ref4]: 4,
  [Form.Ref8]: 8,
  [Form.RefSig8]: 8,
  [Form.Strx1]: 1,
  [Form.Strx2]: 2,
  [Form.Strx3]: 3,
  [Form.Strx4]: 4,
  [Form.Addrx1]: 1,
  [Form.Addrx2]: 2,
  [Form.Addrx3]: 3,
  [Form.Addrx4]: 4,
};
