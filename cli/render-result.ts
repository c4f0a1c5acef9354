/** Verdicts and findings for a person: source lines with carets, the kernel's own words, what to do. */
import path from 'node:path';
import { Severity, type Diagnostic } from '../toolchain/diagnostic';
import type { Io } from './io';
import { renderSpans, type Span } from './render-spans';
import type { FileResult } from './verify-file';

type Style = (text: string) => string;

interface Styles {
  bold: Style;
  red: Style;
  yellow: Style;
  green: Style;
  blue: Style;
}

const plain: Styles = Object.fromEntries(
  ['bold', 'red', 'yellow', 'green', 'blue'].map((name) => [name, (text: string) => text]),
) as unknown as Styles;
const colored: Styles = { bold: sgr(1), red: sgr(31), yellow: sgr(33), green: sgr(32), blue: sgr(34) };

function sgr(code: number): Style {
  return (text) => `\u001b[${code}m${text}\u001b[0m`;
}

/** One file: a line for each program, then the findings. */
export function renderResult({ json, programs, diagnostics }: FileResult, io: Io): string {
  const style = io.color ? colored : plain;
  const lines = [
    `${style.bold(json.file)} ${json.kernel === '' ? 'without a verdict' : `on Linux ${json.kernel}`}`,
  ];
  for (const [index, { verdict }] of programs.entries()) {
    const { stats } = json.programs[index]!;
    const word =
      verdict.verdict === 'accepted'
        ? style.green('accepted')
        : style.red(verdict.verdict === 'rejected' ? 'rejected' : 'not loaded');
    const cost = stats
      ? `  ${count(stats.insns, 'insns')}, ${count(stats.states, 'states')}, stack ${stats.stackDepth}, ${count(stats.microseconds, 'µs')}`
      : '';
    lines.push(`  ${word}  ${verdict.name} (SEC("${verdict.section}"))${cost}`);
  }
  const findings = renderDiagnostics(
    [...diagnostics, ...programs.flatMap((program) => program.diagnostics)],
    io,
  );
  return `${lines.join('\n')}\n${findings === '' ? '' : `\n${findings}`}`;
}

function count(value: number, unit: string): string {
  return `${value.toLocaleString('en-US')} ${unit}`;
}

/** Findings, each with its place, the source around it and what led there. */
export function renderDiagnostics(diagnostics: Diagnostic[], io: Io): string {
  return diagnostics.map((diagnostic) => `${renderOne(diagnostic, io)}\n`).join('\n');
}

function renderOne(diagnostic: Diagnostic, io: Io): string {
  const style = io.color ? colored : plain;
  const isError = diagnostic.severity === Severity.Error;
  const emphasis = isError ? style.red : style.yellow;
  const [first = '', ...more] = diagnostic.message.split('\n');
  const { start } = diagnostic.range;
  // What stopped a file as a whole has no place in it.
  const hasPlace = diagnostic.source !== 'bpf-studio';
  const place = `${shortPath(diagnostic.path)}${hasPlace ? `:${start.line + 1}:${start.character + 1}` : ''}`;
  const lines = [
    `${place}: ${emphasis(`${isError ? 'error' : 'warning'}[${diagnostic.code}]`)}: ${style.bold(first)}`,
    ...more.map((line) => `  ${line}`),
  ];
  if (hasPlace) {
    const spans: Span[] = [
      { path: diagnostic.path, range: diagnostic.range, label: '', primary: true },
      ...diagnostic.related.map(({ path: file, range, message }) => ({
        path: file,
        range,
        label: message,
        primary: false,
      })),
    ];
    lines.push(...renderSpans(spans, { primary: emphasis, secondary: style.blue }, shortPath));
  }
  const { kernelMessage, kernel, help } = diagnostic.data ?? {};
  if (kernelMessage) {
    const speaker = diagnostic.source === 'libbpf' ? 'libbpf' : `Linux ${kernel ?? ''}`.trim();
    lines.push(...noted(`${speaker} says`, kernelMessage, style));
  }
  if (help) lines.push(...noted('help', help, style));
  return lines.join('\n');
}

function noted(title: string, text: string, style: Styles): string[] {
  const [first = '', ...more] = text.split('\n');
  return [`  ${style.blue(title)}: ${first}`, ...more.map((line) => `    ${line}`)];
}

/** Relative to here where that is shorter to read. */
function shortPath(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative !== '' && !relative.startsWith('..') ? relative : file;
}
