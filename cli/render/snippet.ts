/** Source lines with marks under what is meant in them, in the manner of rustc: several spans in one picture. */
import type { Range } from '../../toolchain/diagnostic';
import { paint, type Style } from './color';
import { columnsOf, harmless, printable, sliceColumns, type PrintableLine } from './columns';

export interface Span {
  range: Range;
  /** Beside the marks; empty for none. */
  label: string;
  /** Marked `^^^`; others `---`. */
  primary: boolean;
}

export interface SnippetOptions {
  /** Width of the line numbers' column. */
  gutter: number;
  /** Of the primary span's marks. */
  style: Style;
  color: boolean;
  /** Columns of the terminal; lines of source that are longer are cut around what is marked. */
  width?: number;
}

/** Lines that a span over many lines shows from its beginning and from its end. */
const SHOWN_OF_LONG_SPAN = 3;

/** The picture's lines, with their gutter. */
export function snippet(text: string, spans: readonly Span[], options: SnippetOptions): string[] {
  const source = text.split(/\r?\n/);
  const bracket = bracketed(spans, source.length);
  const write = paint(options.color);
  const bracketStyle = bracket?.primary ? options.style : 'note';
  const lines: string[] = [];
  const margin = (label: string) => write('gutter', `${label.padStart(options.gutter)} |`);
  /** Two columns left of the text for the line of a span over several lines, if there is one. */
  const rail = (text: string) => (bracket ? write(bracketStyle, text.padEnd(2)) : '');
  const put = (label: string, railText: string, body: string) => {
    lines.push(`${margin(label)} ${rail(railText)}${body}`.trimEnd());
  };
  const numbers = linesToShow(spans, bracket);
  for (const [index, number] of numbers.entries()) {
    const previous = numbers[index - 1];
    const isInside =
      bracket !== undefined && number > bracket.range.start.line && number <= bracket.range.end.line;
    if (previous !== undefined && number - previous > 1) {
      const dots = `${' '.repeat(options.gutter)}...`;
      lines.push(isInside ? `${write('gutter', dots)} ${rail('|')}`.trimEnd() : write('gutter', dots));
    }
    const here = spans.filter((span) => span !== bracket && span.range.start.line === number);
    const line = printable(source[number] ?? '');
    const marks = here.map((span) => markOf(span, line, number));
    const view = cropped(line, marks, options);
    put(`${number + 1}`, isInside ? '|' : '', view.text);
    for (const row of markRows(marks, view.shift, options)) put('', isInside ? '|' : '', row);
    if (bracket && number === bracket.range.start.line) {
      const width = line.column(bracket.range.start.character) - view.shift;
      const mark = bracket.primary ? '^' : '-';
      lines.push(`${margin('')} ${write(bracketStyle, ` ${'_'.repeat(Math.max(0, width) + 1)}${mark}`)}`);
    }
    if (bracket && number === bracket.range.end.line) {
      const width = line.column(Math.max(0, bracket.range.end.character - 1)) - view.shift;
      const mark = bracket.primary ? '^' : '-';
      const label = bracket.label ? ` ${harmless(bracket.label)}` : '';
      lines.push(
        `${margin('')} ${write(bracketStyle, `|${'_'.repeat(Math.max(0, width) + 1)}${mark}${label}`)}`,
      );
    }
  }
  return lines;
}

/** The span over several lines that is drawn at the left; the primary one when there are more. Others are cut. */
function bracketed(spans: readonly Span[], lineCount: number): Span | undefined {
  const long = spans.filter(
    ({ range: { start, end } }) =>
      end.line > start.line && end.line < lineCount && (end.line - start.line > 1 || end.character > 0),
  );
  return long.find(({ primary }) => primary) ?? long[0];
}

/** Lines with marks, those between two of them when there is but one, and what shows of the long span. */
function linesToShow(spans: readonly Span[], bracket: Span | undefined): number[] {
  const shown = new Set(spans.map(({ range }) => range.start.line));
  if (bracket) {
    const { start, end } = bracket.range;
    for (let line = start.line; line <= end.line; line++) {
      const isNearEnds = line - start.line < SHOWN_OF_LONG_SPAN || end.line - line < SHOWN_OF_LONG_SPAN;
      if (isNearEnds) shown.add(line);
    }
  }
  for (const line of [...shown]) if (shown.has(line + 2)) shown.add(line + 1);
  return [...shown].sort((a, b) => a - b);
}

interface Mark {
  /** Columns of the printed line, half-open. */
  start: number;
  end: number;
  label: string;
  primary: boolean;
}

function markOf({ range, label, primary }: Span, line: PrintableLine, number: number): Mark {
  const start = line.column(range.start.character);
  const end = range.end.line > number ? columnsOf(line.text.trimEnd()) : line.column(range.end.character);
  return { start, end: Math.max(end, start + 1), label: harmless(label), primary };
}

/** What of a line fits into the terminal, with everything that is marked if that is possible at all. */
function cropped(line: PrintableLine, marks: Mark[], { width, gutter }: SnippetOptions) {
  const text = line.text.trimEnd();
  const room = (width ?? Infinity) - gutter - 5;
  const whole = columnsOf(text);
  if (whole <= room || room < 20) return { text, shift: 0 };
  const last = Math.max(0, ...marks.map(({ end }) => end));
  if (last <= room - 1) return { text: `${sliceColumns(text, 0, room - 1)}…`, shift: 0 };
  const first = Math.min(...marks.map(({ start }) => start));
  // A little of what stands before says where one is; the first mark matters more than the last.
  const from = Math.max(0, Math.min(first - 4, last - room + 2));
  const to = from + room - 1;
  return { text: `…${sliceColumns(text, from + 1, to)}${to < whole ? '…' : ''}`, shift: from };
}

/** Rows of marks under a line; spans that overlap get rows of their own, the primary one the first. */
function markRows(marks: Mark[], shift: number, options: SnippetOptions): string[] {
  const rows: Mark[][] = [];
  for (const mark of [...marks].sort((a, b) => Number(b.primary) - Number(a.primary) || a.start - b.start)) {
    const free = rows.find((row) => row.every((other) => mark.end <= other.start || mark.start >= other.end));
    if (free) free.push(mark);
    else rows.push([mark]);
  }
  return rows.flatMap((row) => rowWithLabels(row, shift, options));
}

/** Marks beside each other: the last one's label follows it, the others' hang below. */
function rowWithLabels(row: Mark[], shift: number, { style, color }: SnippetOptions): string[] {
  const marks = [...row].sort((a, b) => a.start - b.start);
  const write = paint(color);
  const last = marks.at(-1) as Mark;
  const styleOf = ({ primary }: Mark): Style => (primary ? style : 'note');
  const compose = (pieces: { at: number; text: string; style: Style }[]): string => {
    let line = '';
    let width = 0;
    for (const piece of pieces) {
      const at = Math.max(0, piece.at - shift);
      line += `${' '.repeat(Math.max(0, at - width))}${write(piece.style, piece.text)}`;
      width = Math.max(at, width) + piece.text.length;
    }
    return line;
  };
  const underline = marks.map((mark) => {
    const text = (mark.primary ? '^' : '-').repeat(mark.end - mark.start);
    const label = mark === last && mark.label ? ` ${mark.label}` : '';
    return { at: mark.start, text: text + label, style: styleOf(mark) };
  });
  const lines = [compose(underline)];
  const hanging = marks.filter((mark) => mark !== last && mark.label);
  if (hanging.length === 0) return lines;
  const bars = (of: Mark[]) => of.map((mark) => ({ at: mark.start, text: '|', style: styleOf(mark) }));
  lines.push(compose(bars(hanging)));
  for (let index = hanging.length - 1; index >= 0; index--) {
    const mark = hanging[index] as Mark;
    const label = { at: mark.start, text: mark.label, style: styleOf(mark) };
    lines.push(compose([...bars(hanging.slice(0, index)), label]));
  }
  return lines;
}
