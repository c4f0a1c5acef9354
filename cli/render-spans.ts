/** Places in source files as lines with underlines, several of a file together. */
import { readFileSync } from 'node:fs';
import type { Range } from '../toolchain/diagnostic';

export interface Span {
  path: string;
  range: Range;
  /** Stands behind the underline. */
  label: string;
  /** The finding itself; the others led to it. */
  primary: boolean;
}

const TAB = 4;
/** Underlines longer than this say no more. */
const LONGEST_UNDERLINE = 120;

/**
 * The files' lines with each span underlined: `^` for the finding, `-` for what led there. A file that is not there
 * any more, as for objects built elsewhere, is left to its path and line.
 */
export function renderSpans(
  spans: Span[],
  style: { primary(text: string): string; secondary(text: string): string },
  shortPath: (file: string) => string,
): string[] {
  const mainFile = spans.find(({ primary }) => primary)?.path;
  const files = [...new Set(spans.map(({ path }) => path))];
  const width = Math.max(...spans.map(({ range }) => String(range.start.line + 1).length)) + 1;
  const margin = (text: string | number = '') => style.secondary(`${String(text).padStart(width)} |`);
  return files.flatMap((file) => {
    const source = linesOf(file);
    const own = spans
      .filter(({ path }) => path === file)
      .sort((a, b) => a.range.start.line - b.range.start.line);
    const heading = file === mainFile ? [] : [`${' '.repeat(width)} ${shortPath(file)}`];
    if (!source) {
      const told = own.filter(({ label }) => label !== '');
      return told.map(({ range, label }) => `  ${shortPath(file)}:${range.start.line + 1}: ${label}`);
    }
    const lines: string[] = [...heading];
    let previous: number | undefined;
    for (const line of new Set(own.map(({ range }) => range.start.line))) {
      if (previous !== undefined && line > previous + 1) lines.push(margin('…').replace(' |', ''));
      previous = line;
      const text = source[line] ?? '';
      lines.push(`${margin(line + 1)} ${expandTabs(text)}`);
      for (const span of own.filter(({ range }) => range.start.line === line)) {
        const paint = span.primary ? style.primary : style.secondary;
        lines.push(`${margin()} ${paint(underline(text, span))}`);
      }
    }
    return lines;
  });
}

function underline(text: string, { range, primary, label }: Span): string {
  const { start, end } = range;
  const from = column(text, start.character);
  // A range that goes on in the next line is marked to the end of its first.
  const to = end.line > start.line ? column(text, text.trimEnd().length) : column(text, end.character);
  const length = Math.min(LONGEST_UNDERLINE, Math.max(1, to - from));
  return `${' '.repeat(from)}${(primary ? '^' : '-').repeat(length)}${label === '' ? '' : ` ${label}`}`;
}

function expandTabs(text: string): string {
  return text.replaceAll('\t', ' '.repeat(TAB)).trimEnd();
}

/** Where a character stands once tabs are expanded. */
function column(text: string, character: number): number {
  return text.slice(0, character).replaceAll('\t', ' '.repeat(TAB)).length;
}

function linesOf(file: string): string[] | undefined {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return undefined;
  }
}
