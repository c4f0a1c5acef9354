/** From a FILE argument to programs and maps in the kernel, for `run` and `attach`. */
import { factsForFailure } from '../language-server/model/target-facts';
import type { KernelClient } from '../kernel/client/client';
import { AdapterError } from '../debug-adapter/errors';
import { loadObject, type LoadedObject } from '../debug-adapter/runner/load';
import type { ProgramFile } from '../debug-adapter/runner/object';
import { Severity, type Diagnostic } from '../toolchain/diagnostic';
import { readBpfObject } from '../toolchain/elf/object';
import { fail, succeed, type Outcome, type Problem } from '../toolchain/problem';
import { texts, usage, type Arguments, type Options } from './command';
import type { ExitStatus, Io } from './io';
import type { ProgramVerdict } from '../kernel/protocol';
import { explainPrograms } from './explain';
import { renderDiagnostics } from './render-result';
import type { Input } from './source';

export const loadOptions: Options = {
  prog: { type: 'string', short: 'p', multiple: true },
  global: { type: 'string', short: 'g', multiple: true },
};

/** Stops a subcommand after its findings have been printed. */
export type Stopped = { stop: ExitStatus };

/** The object with what is known of it, or what the user was told instead. */
export function programFile(input: Input, io: Io): ProgramFile | Stopped {
  if (input.diagnostics.length > 0) showFindings(input.diagnostics, io);
  for (const problem of input.problems) io.problem(problem);
  if (input.object === undefined) {
    return { stop: input.problems.length > 0 ? 2 : 1 };
  }
  const read = readBpfObject(Uint8Array.from(input.object));
  if (read.ok) return { path: input.path, bytes: input.object, object: read.value };
  io.problem({ ...read.problem, message: `${input.file}: ${read.problem.message}` });
  return { stop: 2 };
}

/** Loads the chosen programs, all or nothing; a rejection is shown explained, as `verify` does. */
export async function load(
  client: KernelClient,
  input: Input,
  file: ProgramFile,
  options: { programs?: string[]; globals: Record<string, unknown> },
  io: Io,
): Promise<LoadedObject | Stopped> {
  const rejected: ProgramVerdict[] = [];
  try {
    return await loadObject(client, file, {
      ...options,
      signal: io.interrupted,
      onRejected: (verdict) => void rejected.push(verdict),
    });
  } catch (error) {
    if (rejected.length === 0) throw error;
    // The explained rejection says it all.
    const explain = await explainPrograms(input, await factsForFailure(client, rejected));
    showFindings(rejected.flatMap(explain), io);
    return { stop: 1 };
  }
}

function showFindings(diagnostics: Diagnostic[], io: Io): void {
  const shown = diagnostics.filter(({ severity }) => severity <= Severity.Warning);
  if (io.json) for (const diagnostic of shown) io.outJson({ type: 'diagnostic', ...diagnostic });
  else io.err(renderDiagnostics(shown, io));
}

/** `--global NAME=VALUE`, VALUE as JSON or a bare word. */
export function globalsOf(name: string, args: Arguments): Outcome<Record<string, unknown>> {
  const globals: Record<string, unknown> = {};
  for (const given of texts(args, 'global')) {
    const match = /^([A-Za-z_]\w*)=(.*)$/s.exec(given);
    if (!match) return usage(name, `--global ${given} is not NAME=VALUE`);
    try {
      globals[match[1]!] = JSON.parse(match[2]!) as unknown;
    } catch {
      globals[match[1]!] = match[2]!;
    }
  }
  return succeed(globals);
}

/** The programs named by `--prog`; each must be in the object. Undefined: all. */
export function chosenPrograms(file: ProgramFile, args: Arguments): Outcome<string[] | undefined> {
  const wanted = texts(args, 'prog');
  const names = file.object.programs.map(({ name }) => name);
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown === undefined) return succeed(wanted.length > 0 ? wanted : undefined);
  return fail(
    'cli/program',
    `${file.path} has no program ${unknown}.`,
    `It has ${names.join(', ')}: --prog NAME.`,
  );
}

/** Errors of the runner are written for the user already. */
export function runnerProblem(error: unknown): Problem {
  if (error instanceof AdapterError) return { code: `run/${error.id}`, message: error.message, hint: '' };
  throw error;
}
