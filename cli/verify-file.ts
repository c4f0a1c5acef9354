/** One file's verdicts, as `verify --json` prints them and as the terminal shows them. */
import { pathToFileURL } from 'node:url';
import type { KernelClient } from '../kernel/client/client';
import type { ProgramVerdict, ProtocolError, VerifierStats } from '../kernel/protocol';
import { Severity, type Diagnostic } from '../toolchain/diagnostic';
import { attachPointOf } from '../toolchain/load-failure/attach-point';
import type { TargetFacts } from '../toolchain/load-failure/target';
import type { Problem } from '../toolchain/problem';
import type { ExitStatus } from './io';
import { problemOf } from './kernel';
import type { Input } from './source';

export interface FileResult {
  /** Absolute. */
  path: string;
  /** What was verified; absent when there was nothing to. */
  object?: Uint8Array;
  status: ExitStatus;
  json: FileReport;
  /** What the rendering for a person needs beyond the report. */
  programs: { verdict: ProgramVerdict; diagnostics: Diagnostic[] }[];
  diagnostics: Diagnostic[];
}

/** DESIGN.md's entry point: one line of `verify --json`. */
export interface FileReport {
  file: string;
  /** `uname -r`; empty when no kernel could be asked. */
  kernel: string;
  programs: ProgramReport[];
  diagnostics: LspDiagnostic[];
}

interface ProgramReport {
  name: string;
  section: string;
  /** In `SEC("?…")`, which `section` leaves out: libbpf loads it only when a loader asks for it. */
  optional?: true;
  type: string;
  verdict: ProgramVerdict['verdict'];
  /** Absent when the kernel was never asked. */
  stats?: { insns: number; states: number; stackDepth: number; microseconds: number };
  diagnostics: LspDiagnostic[];
}

/** LSP's shape. A finding in a header has its path in `data.path`, since the file's own is the line's `file`. */
interface LspDiagnostic {
  range: Diagnostic['range'];
  severity: Severity;
  code: string;
  source: string;
  message: string;
  relatedInformation: { location: { uri: string; range: Diagnostic['range'] }; message: string }[];
  data?: Record<string, unknown>;
}

export async function verifyFile(
  client: KernelClient,
  input: Input,
  signal: AbortSignal,
): Promise<FileResult> {
  const kernel = client.hello.kernel.release;
  if (input.object === undefined) return result(input, kernel, []);
  try {
    const { factsForFailure } = await import('../language-server/model/target-facts');
    const { verdictsOf, failuresOf } = await import('../language-server/model/verify');
    const answer = await verdictsOf(client, input.object, signal);
    const target = await factsForFailure(client, failuresOf(answer));
    const isNamed = answer.programs.some(({ section }) => attachPointOf(section));
    const hints = isNamed ? await (await import('./explain')).hintsOf(client, input, answer.programs) : [];
    return await judged(input, target, answer, hints);
  } catch (error) {
    return result({ ...input, problems: [...input.problems, problemOf(error)] }, kernel, []);
  }
}

/** A kernel's answer on a file's object, explained with what is known of the kernel. */
export async function judged(
  input: Input,
  target: TargetFacts,
  answer: { programs: ProgramVerdict[]; error?: ProtocolError },
  hints: Diagnostic[] = [],
): Promise<FileResult> {
  const { error } = answer;
  // An object without a source has no place for findings, and is no answer to what was asked.
  if (error?.code === 'badObject' && input.text === undefined) {
    return unanswered(input, target.release, problemOf(error));
  }
  const { failuresOf } = await import('../language-server/model/verify');
  const failures = failuresOf(answer);
  const rejected = failures.some(({ verdict }) => verdict !== 'accepted');
  // Explaining takes the object's BTF and the catalogue; accepted programs need neither.
  const explain = rejected ? await (await import('./explain')).explainPrograms(input, target) : () => [];
  const assumed = error ? [] : await assumedOf(input, target, answer.programs);
  const programs = answer.programs.map((verdict) => ({
    verdict,
    diagnostics: [...explain(verdict), ...hints.filter(({ data }) => data?.program === verdict.name)],
  }));
  if (!error) {
    return result({ ...input, diagnostics: [...input.diagnostics, ...assumed] }, target.release, programs);
  }
  // What fails for the whole object is said of its first program, or of the file when it has none.
  for (const program of programs.slice(1)) program.diagnostics = [];
  const whole = programs.length > 0 ? [] : failures.flatMap(explain);
  return result({ ...input, diagnostics: [...input.diagnostics, ...whole] }, target.release, programs);
}

/** What had to be assumed for the verdicts; an object file has no place to say it at. */
async function assumedOf(
  input: Input,
  target: TargetFacts,
  verdicts: ProgramVerdict[],
): Promise<Diagnostic[]> {
  if (input.text === undefined || !input.object) return [];
  const { assumptionsOf } = await import('../toolchain/load-failure/assumptions');
  const { readBpfObject } = await import('../toolchain/elf/object');
  const object = readBpfObject(Uint8Array.from(input.object));
  // Most objects leave nothing open, and places in the source take a parser.
  if (!object.ok || assumptionsOf(object.value, verdicts).length === 0) return [];
  return (await (await import('./explain')).assumedOf(input, target))(verdicts);
}

/** Whether a finding is about the run and not about the code: then it has no place in a file. */
export function isAboutRun({ source, severity }: Diagnostic): boolean {
  return source === 'bpf-studio' && severity === Severity.Error;
}

/** A result with every finding changed, each given with the verdict it is from, if it is from one. */
export function mapFindings(
  before: FileResult,
  change: (finding: Diagnostic, verdict?: ProgramVerdict) => Diagnostic,
): FileResult {
  const diagnostics = before.diagnostics.map((one) => change(one));
  const programs = before.programs.map(({ verdict, diagnostics: own }) => ({
    verdict,
    diagnostics: own.map((one) => change(one, verdict)),
  }));
  const inJson = (found: readonly Diagnostic[]) => found.map((one) => asLsp(one, before.path));
  const json = {
    ...before.json,
    programs: before.json.programs.map((program, index) => ({
      ...program,
      diagnostics: inJson(programs[index]!.diagnostics),
    })),
    diagnostics: inJson(diagnostics),
  };
  return { ...before, diagnostics, programs, json };
}

/** A file of which this kernel said nothing, and why. */
export function unanswered(input: Input, kernel: string, problem: Problem): FileResult {
  return result({ ...input, problems: [...input.problems, problem] }, kernel, []);
}

/** What is known of a file when no kernel can be asked: clang's findings. */
export function withoutVerdict(input: Input): FileResult {
  return result(input, '', []);
}

function result(input: Input, kernel: string, programs: FileResult['programs']): FileResult {
  const diagnostics = [
    ...input.diagnostics,
    ...input.problems.map((problem) => asDiagnostic(problem, input.path)),
  ];
  const findings = [...diagnostics, ...programs.flatMap((program) => program.diagnostics)];
  const failed = programs.some(({ verdict, diagnostics: own }) => {
    const isLeftToLoader = own.length > 0 && own.every(({ severity }) => severity === Severity.Hint);
    return verdict.verdict !== 'accepted' && !isLeftToLoader;
  });
  const found = failed || findings.some(({ severity }) => severity === Severity.Error);
  return {
    path: input.path,
    ...(input.object ? { object: input.object } : {}),
    status: input.problems.length > 0 ? 2 : found ? 1 : 0,
    json: {
      file: input.file,
      kernel,
      programs: programs.map(({ verdict, diagnostics: own }) => ({
        name: verdict.name,
        section: verdict.section,
        ...(verdict.optional ? { optional: true as const } : {}),
        type: verdict.type,
        verdict: verdict.verdict,
        ...(verdict.stats ? { stats: statsOf(verdict.stats) } : {}),
        diagnostics: own.map((diagnostic) => asLsp(diagnostic, input.path)),
      })),
      diagnostics: diagnostics.map((diagnostic) => asLsp(diagnostic, input.path)),
    },
    programs,
    diagnostics,
  };
}

/** `stackDepth` adds up the subprograms', as veristat does: what the deepest chain of calls takes at most. */
function statsOf({ insns, states, stackDepth, microseconds }: VerifierStats) {
  return { insns, states, stackDepth: stackDepth.reduce((sum, depth) => sum + depth, 0), microseconds };
}

/** What kept a file from being verified, as a finding at its start. */
function asDiagnostic(problem: Problem, path: string): Diagnostic {
  const start = { line: 0, character: 0 };
  return {
    path,
    range: { start, end: start },
    severity: Severity.Error,
    code: problem.code,
    source: 'bpf-studio',
    message: `${problem.message}\n${problem.hint}`,
    related: [],
  };
}

function asLsp(diagnostic: Diagnostic, file: string): LspDiagnostic {
  const { range, severity, code, source, message, related, path } = diagnostic;
  const data = { ...diagnostic.data, ...(path === file ? {} : { path }) };
  return {
    range,
    severity,
    code,
    source,
    message,
    relatedInformation: related.map((one) => ({
      location: { uri: pathToFileURL(one.path).href, range: one.range },
      message: one.message,
    })),
    ...(Object.keys(data).length > 0 ? { data } : {}),
  };
}
