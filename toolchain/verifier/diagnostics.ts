import { Severity } from '../diagnostic';
import type { Diagnostic, Range } from '../diagnostic';
import type { NamedPlace } from '../load-failure/finding';
import type { Failure, Report } from './report';

/** Where programs and maps stand in a source file, for findings that carry no position of their own. */
export interface Places {
  /** Absolute path of the file that was compiled. */
  path: string;
  /** Range of what an object's names lead to; undefined when it is not in the file. */
  find?(place: NamedPlace): Range | undefined;
}

const fileStart: Range = { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } };

/** A report's findings as diagnostics: none for an accepted program, one for any other. */
export function toDiagnostics(report: Report, places: Places): Diagnostic[] {
  const { failure } = report;
  if (!failure) return [];
  const place = failure.at ?? placeWithoutInstruction(report, places);
  const data: NonNullable<Diagnostic['data']> = {};
  if (report.program) data.program = report.program;
  if (failure.kernelMessage) data.kernelMessage = failure.kernelMessage;
  if (report.kernel !== undefined) data.kernel = report.kernel;
  if (failure.instruction !== undefined) data.instruction = failure.instruction;
  const step = failure.path.steps.findLast(({ insn }) => insn === failure.instruction);
  if (step) data.logLine = step.logLine;
  return [
    {
      path: place.path,
      range: place.range,
      severity: severityOf(report, failure),
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

/** What a kernel may lack, so that a program is loaded on others only. */
const ofThisKernel = new Set([
  'bpf/attach-target',
  'bpf/attach-type',
  'bpf/core-relocation',
  'bpf/extern',
  'bpf/unknown-helper',
  'bpf/kernel-option',
  'bpf/program-type',
]);

/** A loader asks for a program in `SEC("?…")` where the kernel has what it needs, or completes it before the load. */
function severityOf({ isOptional }: Report, { id, isLeftOpen }: Failure): Severity {
  const isElsewhere = isOptional && ofThisKernel.has(id);
  return isLeftOpen || isElsewhere ? Severity.Hint : Severity.Error;
}

function placeWithoutInstruction(
  { program, failure }: Report,
  { path, find }: Places,
): { path: string; range: Range } {
  for (const place of [...(failure?.places ?? []), { kind: 'program' as const, name: program }]) {
    const range = find?.(place);
    if (range) return { path, range };
  }
  return failure?.programAt ?? { path, range: fileStart };
}
