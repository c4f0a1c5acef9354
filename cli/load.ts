/** From a FILE argument to programs and maps in the kernel, for `run` and `attach`. */
import { factsForFailure } from '../language-server/model/target-facts';
import type { KernelClient } from '../kernel/client/client';
import type { OpenedKernel } from '../kernel/client/open';
import { AdapterError } from '../debug-adapter/errors';
import { describeAssumptions } from '../debug-adapter/runner/describe';
import { loadObject, type LoadedObject } from '../debug-adapter/runner/load';
import type { ProgramFile } from '../debug-adapter/runner/object';
import { Severity, type Diagnostic } from '../toolchain/diagnostic';
import { readBpfObject } from '../toolchain/elf/object';
import { fail, succeed, type Outcome, type Problem } from '../toolchain/problem';
import { refuse, texts, usage, type Arguments, type Options } from './command';
import type { ExitStatus, Io } from './io';
import type { ProgramVerdict } from '../kernel/protocol';
import { explainPrograms } from './explain';
import { headersOf } from './headers';
import { withKernel } from './kernel';
import { renderDiagnostics } from './render-result';
import { inputOf, type Input } from './source';

export const loadOptions: Options = {
  prog: { type: 'string', short: 'p', multiple: true },
  global: { type: 'string', short: 'g', multiple: true },
};

/** Stops a subcommand after its findings have been printed. */
type Stopped = { stop: ExitStatus };

/** The object with what is known of it, or what the user was told instead. */
function programFile(input: Input, io: Io): ProgramFile | Stopped {
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

/** What a subcommand wants loaded of FILE. */
export interface Wanted {
  /** As the user wrote it. */
  name: string;
  globals: Record<string, unknown>;
  /** Which of the file's programs: undefined for all. `named` are those of `--prog`. */
  choose(file: ProgramFile, named: string[] | undefined): Outcome<string[] | undefined>;
}

/**
 * FILE as programs and maps in the kernel, handed to `use`; whatever keeps it from that is told. They are unloaded
 * when the session ends, which is when this resolves.
 */
export function withLoaded(
  wanted: Wanted,
  args: Arguments,
  io: Io,
  use: (loaded: LoadedObject, chosen: string[] | undefined) => Promise<ExitStatus>,
): Promise<ExitStatus> {
  const { name, globals, choose } = wanted;
  const run = async (kernel: OpenedKernel): Promise<ExitStatus> => {
    const input = await inputOf(name, args, headersOf(Promise.resolve(kernel)), io.interrupted);
    const file = programFile(input, io);
    if ('stop' in file) return file.stop;
    const named = chosenPrograms(file, args);
    const chosen = named.ok ? choose(file, named.value) : named;
    if (!chosen.ok) return refuse(io, chosen);
    try {
      const programs = chosen.value;
      const loaded = await load(
        kernel.client,
        input,
        file,
        { globals, ...(programs ? { programs } : {}) },
        io,
      );
      if ('stop' in loaded) return loaded.stop;
      showAssumptions(loaded, io);
      return await use(loaded, programs);
    } catch (error) {
      if (!(error instanceof AdapterError)) throw error;
      return refuse(io, { problem: runnerProblem(error) });
    }
  };
  return withKernel(args, io, run, (problem) => showWithoutKernel(name, args, problem, io));
}

/** What can be said of FILE when no kernel can be used: what clang and the syntax checks find. */
async function showWithoutKernel(name: string, args: Arguments, noKernel: Problem, io: Io): Promise<void> {
  const input = await inputOf(name, args, headersOf(Promise.resolve(noKernel)), io.interrupted);
  if (input.diagnostics.length > 0) showFindings(input.diagnostics, io);
  for (const problem of input.problems) io.problem(problem);
}

/** Loads the chosen programs, all or nothing; a rejection is shown explained, as `verify` does. */
async function load(
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

/** What was settled for the object's own loader; the words of `verify`. */
function showAssumptions(loaded: LoadedObject, io: Io): void {
  for (const message of describeAssumptions(loaded)) {
    if (io.json) io.outJson({ type: 'assumption', message });
    else io.err(`bpf-studio: ${message}\n`);
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
function chosenPrograms(file: ProgramFile, args: Arguments): Outcome<string[] | undefined> {
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
function runnerProblem(error: unknown): Problem {
  if (error instanceof AdapterError) return { code: `run/${error.id}`, message: error.message, hint: '' };
  throw error;
}
