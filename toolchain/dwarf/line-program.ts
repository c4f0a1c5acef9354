/**
 * Line number programs (DWARF 5, 6.2.5), run for one thing that `.BTF.ext` leaves out: the instructions that the
 * compiler attributes to no line, such as those that two branches have in common.
 */
import type { Cursor } from './cursor';
import type { Address, DebugSections } from './sections';

const Standard = {
  EXTENDED: 0,
  COPY: 1,
  ADVANCE_PC: 2,
  ADVANCE_LINE: 3,
  CONST_ADD_PC: 8,
  FIXED_ADVANCE_PC: 9,
} as const;
const Extended = { END_SEQUENCE: 1, SET_ADDRESS: 2 } as const;

interface Header {
  minimumLength: number;
  lineBase: number;
  lineRange: number;
  opcodeBase: number;
  /** LEB128 operands of each standard opcode, from 1 on. */
  operands: number[];
}

/** Ranges of code, from the first address to before the second, whose line is 0: none. Empty for what is damaged. */
export function rangesWithoutLine(sections: DebugSections, offset: number): { from: Address; to: Address }[] {
  const cursor = sections.cursor('.debug_line', offset);
  const end = cursor.u32() + cursor.at;
  const program = sections.cursor('.debug_line', cursor.at, end);
  const header = readHeader(program);
  return header ? run(sections, program, header) : [];
}

/** Leaves the cursor at the first instruction. */
function readHeader(cursor: Cursor): Header | undefined {
  const version = cursor.u16();
  if (version < 2 || version > 5) return undefined;
  if (version >= 5) cursor.skip(2);
  const headerLength = cursor.u32();
  const start = cursor.at + headerLength;
  const minimumLength = cursor.u8();
  // maximum_operations_per_instruction, 1 for every machine but VLIW; default_is_stmt.
  cursor.skip(version >= 4 ? 2 : 1);
  const lineBase = (cursor.u8() << 24) >> 24;
  const lineRange = cursor.u8();
  const opcodeBase = cursor.u8();
  const operands = [0, ...Array.from({ length: Math.max(0, opcodeBase - 1) }, () => cursor.u8())];
  cursor.at = start;
  if (cursor.failed || lineRange === 0) return undefined;
  return { minimumLength, lineBase, lineRange, opcodeBase, operands };
}

function run(
  sections: DebugSections,
  cursor: Cursor,
  { minimumLength, lineBase, lineRange, opcodeBase, operands }: Header,
): { from: Address; to: Address }[] {
  const found: { from: Address; to: Address }[] = [];
  let address: Address = 0;
  let line = 1;
  let row: { address: Address; line: number } | undefined;
  const emit = (isEnd: boolean) => {
    if (row?.line === 0 && address > row.address) found.push({ from: row.address, to: address });
    row = isEnd ? undefined : { address, line };
  };
  while (cursor.more) {
    const opcode = cursor.u8();
    if (opcode >= opcodeBase) {
      const adjusted = opcode - opcodeBase;
      address += Math.floor(adjusted / lineRange) * minimumLength;
      line += lineBase + (adjusted % lineRange);
      emit(false);
    } else if (opcode === Standard.EXTENDED) {
      const length = cursor.uleb();
      const next = cursor.at + length;
      const extended = cursor.u8();
      if (extended === Extended.SET_ADDRESS) address = sections.address('.debug_line', cursor);
      else if (extended === Extended.END_SEQUENCE) {
        emit(true);
        address = 0;
        line = 1;
      }
      cursor.at = next;
    } else if (opcode === Standard.COPY) emit(false);
    else if (opcode === Standard.ADVANCE_PC) address += cursor.uleb() * minimumLength;
    else if (opcode === Standard.ADVANCE_LINE) line += cursor.sleb();
    else if (opcode === Standard.CONST_ADD_PC)
      address += Math.floor((255 - opcodeBase) / lineRange) * minimumLength;
    else if (opcode === Standard.FIXED_ADVANCE_PC) address += cursor.u16();
    else for (let count = operands[opcode] ?? 0; count > 0; count--) cursor.skipLeb();
  }
  return cursor.failed ? [] : found;
}
