import { Severity } from '../diagnostic';
import type { Diagnostic, Range } from '../diagnostic';
import type { Report } from './report';

/** Where programs and maps stand in a source file, for findings that carry no position of their own. */
export interface Places {
  /** Absolute path of the file that was compiled. */
  path: string;
  /** Range of a program's name, a map's name, or an `#include`; undefined when it is not in the file. */
  find?(kind: 'program' | 'map' | 'include', name: string): Range | undefined;
}

const fileStart: Range = { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } };

/** A report's findings as diagnostics: none for an accepted program, one for any other. */
export function toDiagnostics(report: Report, places: Places): Diagnostic[] {
  const { failure } = report;
  if (!failure) return [];
  const place = failure.at ?? placeWithoutInstruction(report, places);
  const data: NonNullable<Diagnostic['data']> = { program: report.program };
  if (failure.kernelMessage) data.kernelMessage = failure.kernelMessage;
  if (report.kernel !== undefined) data.kernel = report.kernel;
  if (failure.instruction !== undefined) data.instruction = failure.instruction;
  return [
    {
      path: place.path,
      range: place.range,
      severity: Severity.Error,
      code: failure.id,
      source: failure.saidBy,
      message: failure.message,
      related: failure.causes.flatMap(({ at, message }) =>
        at ? [{ path: at.path, range: at.range, message }] : [],
      ),
      data: { ...data, help: failure.help },
    },
  ];
}

function placeWithoutInstruction(
  { program, failure }: Report,
  places: Places,
): { path: string; range: Range } {
  const map = /\bmap '?([\w.]+)'?/.exec(failure?.kernelMessage ?? '')?.[1];
  const range =
    (failure?.id === 'bpf/map-create' && map ? places.find?.('map', map) : undefined) ??
    // BTF is what a program includes vmlinux.h for.
    (failure?.id === 'bpf/btf' ? places.find?.('include', 'vmlinux.h') : undefined) ??
    places.find?.('program', program);
  if (range) return { path: places.path, range };
  return failure?.programAt ?? { path: places.path, range: fileStart };
}
