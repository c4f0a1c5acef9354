/** A diagnostic as a picture in the terminal: the source, what is meant in it, the kernel's words, what to do. */
import type { Diagnostic, Range } from '../../toolchain/diagnostic';
import { harmless, printable } from './columns';
import { paint } from './color';
import type { Style } from './color';

export interface RenderOptions {
  /** Text of a source file; undefined when it cannot be read, which leaves the excerpt out. */
  source(path: string): string | undefined;
  /** How a path is shown, e.g. relative to the working directory; as it is when absent. */
  showPath?(path: string): string;
  color: boolean;
}

interface Span {
  path: string;
  range: Range;
  message: string;
  primary: boolean;
}

const severities: Record<number, { word: string; style: Style }> = {
  1: { word: 'error', style: 'error' },
  2: { word: 'warning', style: 'warning' },
  3: { word: 'note', style: 'note' },
  4: { word: 'hint', style: 'note' },
};

/** Several lines, the last without a newline. */
export function renderDiagnostic(diagnostic: Diagnostic, options: RenderOptions): string {
  const { word, style } = severities[diagnostic.severity] ?? { word: 'error', style: 'error' as const };
  const write = paint(options.color);
  const spans: Span[] = [
    { path: diagnostic.path, range: diagnostic.range, message: '', primary: true },
    ...diagnostic.related.map(({ path, range, message }) => ({ path, range, message, primary: false })),
  ];
  const gutter = Math.max(...spans.map(({ range }) => `${range.start.line + 1}`.length));
  const bar = (text = '') => `${' '.repeat(gutter)} ${write('gutter', '|')}${text ? ` ${text}` : ''}`;
  const lines = [
    `${write(style, `${word}[${diagnostic.code}]`)}${write('strong', `: ${harmless(diagnostic.message)}`)}`,
  ];

  // The file of the finding comes first, then those that related places are in.
  for (const [index, path] of [...new Set(spans.map((span) => span.path))].entries()) {
    const here = spans.filter((span) => span.path === path);
    const first = here.find((span) => span.primary) ?? (here[0] as Span);
    const { line, character } = first.range.start;
    const arrow = write('gutter', index === 0 ? '-->' : ':::');
    const shown = harmless(options.showPath?.(path) ?? path);
    lines.push(`${' '.repeat(gutter)}${arrow} ${shown}:${line + 1}:${character + 1}`);
    const text = options.source(path);
    if (text !== undefined) lines.push(bar(), ...excerpt(text, here, gutter, style, options.color), bar());
    else
      for (const span of here)
        if (span.message) lines.push(note(gutter, 'note', placeAndMessage(span), options.color));
  }
  const { kernelMessage, help, secondOpinion } = diagnostic.data ?? {};
  // Who said it matters: libbpf refuses things that the kernel was never asked about.
  const speaker = diagnostic.source === 'libbpf' ? 'libbpf' : 'kernel';
  if (kernelMessage) lines.push(note(gutter, speaker, kernelMessage, options.color));
  if (help) lines.push(note(gutter, 'help', help, options.color));
  if (secondOpinion) lines.push(note(gutter, 'second opinion', secondOpinion, options.color));
  return lines.join('\n');
}

/** The lines that spans begin in, each with the spans under it; a gap of one line is shown, longer ones are dots. */
function excerpt(text: string, spans: Span[], gutter: number, style: Style, color: boolean): string[] {
  const write = paint(color);
  const source = text.split(/\r?\n/);
  const numbers = [...new Set(spans.map(({ range }) => range.start.line))].sort((a, b) => a - b);
  const lines: string[] = [];
  const margin = (label: string) => write('gutter', `${label.padStart(gutter)} |`);
  const show = (number: number) => {
    const shown = printable(source[number] ?? '').text.trimEnd();
    lines.push(shown ? `${margin(`${number + 1}`)} ${shown}` : margin(`${number + 1}`));
  };
  for (const [index, number] of numbers.entries()) {
    const previous = numbers[index - 1];
    if (previous !== undefined && number - previous === 2) show(previous + 1);
    else if (previous !== undefined && number - previous > 2)
      lines.push(write('gutter', `${' '.repeat(gutter)}...`));
    show(number);
    const line = printable(source[number] ?? '');
    const here = spans.filter(({ range }) => range.start.line === number);
    for (const { range, message, primary } of here.sort(
      (a, b) => b.range.start.character - a.range.start.character,
    )) {
      const start = line.column(range.start.character);
      const end = range.end.line > number ? line.text.length : line.column(range.end.character);
      const mark = (primary ? '^' : '-').repeat(Math.max(1, end - start));
      const label = message ? ` ${harmless(message)}` : '';
      lines.push(`${margin('')} ${' '.repeat(start)}${write(primary ? style : 'note', `${mark}${label}`)}`);
    }
  }
  return lines;
}

function note(gutter: number, label: string, text: string, color: boolean): string {
  const write = paint(color);
  const indent = ' '.repeat(gutter + 5 + label.length);
  const body = harmless(text.trimEnd()).replaceAll('\n', `\n${indent}`);
  return `${' '.repeat(gutter)} ${write('gutter', '=')} ${write('strong', `${label}:`)} ${body}`;
}

function placeAndMessage({ path, range, message }: Span): string {
  return `${path}:${range.start.line + 1}:${range.start.character + 1}: ${message}`;
}
