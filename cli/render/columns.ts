/** How wide text is in a terminal. */

const TAB = 4;

/** East Asian wide and fullwidth characters and emoji take two columns (Unicode Standard Annex #11). */
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|^\p{Emoji_Presentation}|^[\u{20000}-\u{3fffd}]/u;
const zeroWidth = /^[\p{Mn}\p{Me}\p{Cf}]/u;

/** A source line ready to print: tabs as spaces, control characters made visible. */
export interface PrintableLine {
  text: string;
  /** Column at which the character at a UTF-16 offset begins; past the end it goes on counting. */
  column(character: number): number;
}

export function printable(line: string): PrintableLine {
  let text = '';
  let width = 0;
  const columns: number[] = [];
  for (const character of line) {
    for (let unit = 0; unit < character.length; unit++) columns.push(width);
    if (character === '\t') {
      const spaces = TAB - (width % TAB);
      text += ' '.repeat(spaces);
      width += spaces;
      continue;
    }
    const shown = visible(character);
    text += shown;
    width += shown === character ? widthOf(character) : shown.length;
  }
  return {
    text,
    column: (character) => columns[character] ?? width + Math.max(0, character - columns.length),
  };
}

/** What stands in the columns from `from` on and before `to`; a wide character that the cut would halve is left out. */
export function sliceColumns(text: string, from: number, to: number): string {
  let column = 0;
  let slice = '';
  for (const character of text) {
    const end = column + widthOf(character);
    if (column >= from && end <= to) slice += character;
    column = end;
  }
  return slice;
}

/** Columns that printable text takes. */
export function columnsOf(text: string): number {
  return Array.from(text).reduce((sum, character) => sum + widthOf(character), 0);
}

/** Text without anything a terminal would obey: escape sequences in a file must not reach it. */
export function harmless(text: string): string {
  return Array.from(text, (character) => (character === '\n' ? character : visible(character))).join('');
}

function visible(character: string): string {
  const code = character.codePointAt(0) as number;
  const control = code < 32 || (code >= 127 && code < 160) || /^[\u202a-\u202e\u2066-\u2069]/.test(character);
  return control ? `\\x${code.toString(16).padStart(2, '0')}` : character;
}

function widthOf(character: string): number {
  if (zeroWidth.test(character)) return 0;
  return wide.test(character) ? 2 : 1;
}
