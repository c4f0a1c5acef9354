/** A diagnostic as a picture in the terminal: the source, what is meant in it, the kernel's words, what to do. */
import type { Diagnostic } from '../../toolchain/diagnostic';
import { harmless } from './columns';
import { paint } from './color';
import type { Style } from './color';
import { snippet, type Span } from './snippet';

export interface RenderOptions {
  /** Text of a source file; undefined when it cannot be read, which leaves the excerpt out. */
  source(path: string): string | undefined;
  /** How a path is shown, e.g. relative to the working directory; as it is when absent. */
  showPath?(path: string): string;
  color: boolean;
  /** A line of the caller's own after the kernel's words. */
  note?: { label: string; text: string };
  /** Columns of the terminal; absent: nothing is cut or wrapped, as for a file or a pipe. */
  width?: number;
}

interface PlacedSpan extends Span {
  path: string;
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
  // What led there is numbered in the order in which it happened, when there is more than one thing.
  const number = (index: number) => (diagnostic.related.length > 1 ? `${index + 1}. ` : '');
  const spans: PlacedSpan[] = [
    { path: diagnostic.path, range: diagnostic.range, label: '', primary: true },
    ...diagnostic.related.map(({ path, range, message }, index) => ({
      path,
      range,
      label: `${number(index)}${message}`,
      primary: false,
    })),
  ];
  const gutter = Math.max(
    ...spans.map(({ range }) => `${Math.max(range.start.line, range.end.line) + 1}`.length),
  );
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
    if (text !== undefined) lines.push(bar(), ...snippet(text, here, { ...options, gutter, style }), bar());
    else
      for (const span of here) if (span.label) lines.push(note(gutter, 'note', placeAndLabel(span), options));
  }
  const { kernelMessage, help, secondOpinion, fixes = [] } = diagnostic.data ?? {};
  // Who said it matters: libbpf refuses things that the kernel was never asked about.
  const speaker = diagnostic.source === 'libbpf' ? 'libbpf' : 'kernel';
  if (kernelMessage) lines.push(note(gutter, speaker, kernelMessage, { ...options, width: undefined }));
  if (options.note) lines.push(note(gutter, options.note.label, options.note.text, options));
  if (help) lines.push(note(gutter, 'help', help, options));
  if (secondOpinion)
    lines.push(note(gutter, 'second opinion', secondOpinion, { ...options, width: undefined }));
  for (const { title, diff } of fixes) lines.push(note(gutter, 'fix', title, options), coloured(diff, write));
  return lines.join('\n');
}

/** `= help: …`; a kernel's words are never wrapped, so that they can be copied and searched for. */
function note(
  gutter: number,
  label: string,
  text: string,
  { color, width }: { color: boolean; width?: number | undefined },
): string {
  const write = paint(color);
  const indent = ' '.repeat(gutter + 5 + label.length);
  const room = (width ?? Infinity) - indent.length;
  const body = wrap(harmless(text.trimEnd()), room).replaceAll('\n', `\n${indent}`);
  return `${' '.repeat(gutter)} ${write('gutter', '=')} ${write('strong', `${label}:`)} ${body}`;
}

/** A diff stands at the margin, so that it can be copied from the terminal to `git apply`. */
function coloured(diff: string, write: ReturnType<typeof paint>): string {
  const styles: Record<string, Style> = { '+': 'good', '-': 'error', '@': 'note' };
  return diff
    .trimEnd()
    .split('\n')
    .map((line) => {
      // A tab shown as anything else would be no tab to whoever applies it.
      const shown = line.split('\t').map(harmless).join('\t');
      const style = styles[line[0] ?? ''];
      return style ? write(style, shown) : shown;
    })
    .join('\n');
}

function placeAndLabel({ path, range, label }: PlacedSpan): string {
  return `${path}:${range.start.line + 1}:${range.start.character + 1}: ${label}`;
}

/** Breaks lines between words; where there is hardly any room they are left alone. */
function wrap(text: string, room: number): string {
  if (room < 20 || room === Infinity) return text;
  return text
    .split('\n')
    .map((line) => {
      let width = 0;
      return line
        .split(' ')
        .map((word, index) => {
          const breaks = index > 0 && width + 1 + word.length > room;
          width = breaks || index === 0 ? word.length : width + 1 + word.length;
          return `${index === 0 ? '' : breaks ? '\n' : ' '}${word}`;
        })
        .join('');
    })
    .join('\n');
}
