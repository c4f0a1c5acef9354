/** One file's verdicts and findings for a person. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Diagnostic } from '../toolchain/diagnostic';
import type { Io } from './io';
import { harmless } from './render/columns';
import { paint } from './render/color';
import { renderDiagnostic } from './render/diagnostic';
import { renderVerdict } from './render/verdict';
import { isAboutRun, type FileResult } from './verify-file';

/** One file: a line for each program, then the findings. */
export function renderResult({ json, programs, diagnostics }: FileResult, io: Io): string {
  const speaker = json.kernel === '' ? 'without a verdict' : `on Linux ${json.kernel}`;
  const lines = [
    `${paint(io.color)('strong', harmless(json.file))} ${speaker}`,
    ...json.programs.map((program) => `  ${renderVerdict(program, io.color)}`),
  ];
  const findings = renderDiagnostics(
    [...diagnostics, ...programs.flatMap((program) => program.diagnostics)],
    io,
  );
  return `${lines.join('\n')}\n${findings === '' ? '' : `\n${findings}`}`;
}

/** Findings, each with its place, the source around it and what led there. */
export function renderDiagnostics(diagnostics: Diagnostic[], io: Io): string {
  return diagnostics.map((diagnostic) => `${renderFinding(diagnostic, io)}\n`).join('\n');
}

/** One finding; `note` is a line of the caller's own. Without a newline at the end. */
export function renderFinding(
  diagnostic: Diagnostic,
  io: Io,
  note?: { label: string; text: string },
): string {
  // What stopped a file as a whole has no place in it.
  if (isAboutRun(diagnostic)) {
    const word = paint(io.color)('error', `error[${diagnostic.code}]`);
    return `${harmless(shortPath(diagnostic.path))}: ${word}: ${harmless(diagnostic.message)}`;
  }
  return renderDiagnostic(diagnostic, {
    source: textOf,
    showPath: shortPath,
    color: io.color,
    ...(io.columns === undefined ? {} : { width: io.columns }),
    ...(note ? { note } : {}),
  });
}

/** A file that is not there any more, as for objects built elsewhere, is left to its path and line; so is an object. */
function textOf(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Relative to here where that is shorter to read. */
function shortPath(file: string): string {
  const relative = path.relative(process.cwd(), file);
  return relative !== '' && !relative.startsWith('..') ? relative : file;
}
