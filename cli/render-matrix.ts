/** The table of `verify --kernels` for a person: verdicts and costs, what is missing where, and the findings. */
import { isGuarded, missingFor, missingText, programsOf, verdictOf } from '../kernel-matrix/words';
import type { Cell, ObjectRow } from '../kernel-matrix/matrix';
import type { Diagnostic } from '../toolchain/diagnostic';
import type { Io } from './io';
import { paint, type Style } from './render/color';
import { columnsOf, harmless } from './render/columns';
import { renderDiagnostics, renderFinding } from './render-result';
import { sharedFindings } from './merge-kernels';
import { isAboutRun, type FileResult } from './verify-file';
import type { FileMatrix } from './verify-kernels';

export function renderMatrix(files: readonly FileMatrix[], io: Io): string {
  return files.map((file) => renderFile(file, io)).join('\n');
}

function renderFile({ input, row, results }: FileMatrix, io: Io): string {
  const write = paint(io.color);
  const title = write('strong', harmless(input.file));
  const types = input.typesOf ? ` with the vmlinux.h of ${input.typesOf}` : '';
  if (!row) {
    const what = input.problems.length > 0 ? ' without a verdict' : ` does not compile${types}`;
    return `${title}${what}\n\n${renderDiagnostics(results.flatMap(allOf), io)}`;
  }
  const lines = [`${title}${types && `, compiled once${types}`}`, ...tableOf(row, io)];
  const failed = row.cells.filter(({ problem, error }) => problem || error);
  for (const { kernel, problem, error } of failed) {
    const { message, hint } = problem ?? error ?? {};
    const said = [message, hint].filter(Boolean).join('\n');
    lines.push(
      `  ${write('warning', '!')} Linux ${kernel.release}: ${harmless(said).replaceAll('\n', '\n    ')}`,
    );
  }
  const relevant = row.missing.filter((missing) => !isGuarded(missing, row));
  const guarded = row.missing.filter((missing) => isGuarded(missing, row));
  if (row.missing.length > 0) {
    lines.push('', '  missing, by the BTF of each vmlinux:');
    for (const missing of [...relevant, ...guarded]) {
      lines.push(`  - ${harmless(missingText(missing, row))}`);
    }
  }
  // What is about a kernel as a whole stands under the table already.
  const shared = sharedFindings(results).filter(({ finding }) => !isAboutRun(finding));
  const findings = shared.map(
    ({ finding, kernels }) => `\n${renderFinding(finding, io, { label: 'on', text: kernels.join(', ') })}\n`,
  );
  return `${lines.join('\n')}\n${findings.join('')}`;
}

/** A line a program, a column a kernel. */
function tableOf(row: ObjectRow, io: Io): string[] {
  const programs = programsOf(row);
  const body = programs.map(({ name, section }) => [
    { text: `${harmless(name)} (${harmless(section)})`, style: undefined },
    ...row.cells.map((cell) => cellOf(row, cell, name)),
  ]);
  if (programs.length === 0) {
    body.push([
      { text: '(no program)', style: undefined },
      ...row.cells.map((cell) => cellOf(row, cell, '')),
    ]);
  }
  const releases = row.cells.map(({ kernel }) => kernel.release);
  const whole = lay(['', ...releases], body, io);
  if (whole.width <= (io.columns ?? Infinity)) return whole.lines;
  // Where the terminal is narrow the version alone tells kernels apart, unless two have the same.
  const versions = releases.map((release) => /^\d+\.\d+/.exec(release)?.[0] ?? release);
  const short = new Set(versions).size === versions.length;
  return short ? lay(['', ...versions], body, io).lines : whole.lines;
}

interface Text {
  text: string;
  style: Style | undefined;
}

function lay(header: string[], body: Text[][], io: Io): { lines: string[]; width: number } {
  const write = paint(io.color);
  const widths = header.map((title, column) =>
    Math.max(columnsOf(title), ...body.map((line) => columnsOf(line[column]?.text ?? ''))),
  );
  const pad = (text: string, column: number) =>
    text + ' '.repeat(Math.max(0, (widths[column] ?? 0) - columnsOf(text)));
  const line = (cells: Text[]) =>
    `  ${cells
      .map(({ text, style }, column) => (style ? write(style, pad(text, column)) : pad(text, column)))
      .join('  ')}`.trimEnd();
  const titles = header.map((text): Text => ({ text, style: 'strong' }));
  return {
    lines: [line(titles), ...body.map(line)],
    width: widths.reduce((sum, width) => sum + width + 2, 0),
  };
}

function cellOf(row: ObjectRow, cell: Cell, program: string): Text {
  if (cell.problem) return { text: '! no answer', style: 'warning' };
  const verdict = verdictOf(cell, program);
  const [missing, ...more] = missingFor(row, program, cell.kernel.release);
  const lacks =
    missing === undefined ? '' : ` no ${harmless(missing)}${more.length > 0 ? ` +${more.length}` : ''}`;
  switch (verdict?.verdict) {
    case 'accepted':
      return {
        text: `✓${verdict.stats ? ` ${verdict.stats.insns.toLocaleString('en-US')} insns` : ''}`,
        style: 'good',
      };
    case 'rejected':
      return { text: `✗${lacks || ' rejected'}`, style: 'error' };
    default:
      return { text: `!${lacks || ' not verified'}`, style: 'warning' };
  }
}

function allOf({ diagnostics, programs }: FileResult): Diagnostic[] {
  return [...diagnostics, ...programs.flatMap((program) => program.diagnostics)];
}
