/** From a source to an object, with the same clang, flags and precompiled headers as in the editor. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { compile } from '../toolchain/clang/compile';
import { findClang } from '../toolchain/clang/discover';
import { cacheDirectory, flagsForText } from '../toolchain/clang/flags';
import type { EnvironmentFacts } from '../toolchain/environment/environment';
import type { Diagnostic } from '../toolchain/diagnostic';
import { succeed, type Outcome, type Problem } from '../toolchain/problem';
import { splitWords, text, type Arguments } from './command';
import type { GeneratedHeader, HeaderSource } from './headers';
import { unreadable, type Input } from './source';

/** `input` with its object, or with clang's findings, or with what kept clang from working. */
export async function compiled(
  input: Input,
  args: Arguments,
  headers: Promise<HeaderSource>,
  signal: AbortSignal,
): Promise<Input> {
  const failed = (problem: Problem): Input => ({ ...input, problems: [...input.problems, problem] });
  const source = await readSource(input);
  if (!source.ok) return failed(source.problem);
  input = { ...input, text: source.value };
  const withSyntax = async (of: Input, clang?: Diagnostic[]): Promise<Input> => {
    const { syntaxBesideClang } = await import('./explain');
    const found = await syntaxBesideClang(of.path, source.value, clang);
    return { ...of, diagnostics: [...of.diagnostics, ...(clang ?? []), ...found] };
  };
  const flags = await flagsFor(input, source.value, args, headers);
  if (!flags.ok) return failed(flags.problem);
  if (flags.value.typesOf) input = { ...input, typesOf: flags.value.typesOf };
  const found = await findClang(text(args, 'clang') ?? '');
  if ('problem' in found) return withSyntax(failed(found.problem));
  input = { ...input, compiler: { clang: found.clang, args: flags.value.args } };
  const result = await compile({
    clang: found.clang,
    path: input.path,
    text: source.value,
    args: flags.value.args,
    cache: cacheDirectory(),
    signal,
    log: verbose,
  });
  switch (result.outcome) {
    case 'compiled':
      return { ...input, object: result.object, diagnostics: [...input.diagnostics, ...result.diagnostics] };
    case 'errors':
      return withSyntax(input, result.diagnostics);
    case 'cancelled':
      return failed({ code: 'cli/cancelled', message: `Compiling ${input.file} was cancelled.`, hint: '' });
    case 'problem':
      return failed({
        code: `clang/${result.code}`,
        message: `${input.file}: ${result.message}`,
        hint: result.hint,
      });
  }
}

function verbose(line: string): undefined {
  if (process.env.BPF_STUDIO_VERBOSE) process.stderr.write(`${line}\n`);
}

async function readSource(input: Input): Promise<Outcome<string>> {
  try {
    return succeed(await readFile(input.path, 'utf8'));
  } catch (error) {
    return { ok: false, problem: unreadable(input.file, error) };
  }
}

/** `typesOf`: whose vmlinux.h was found, for those who compile for several kernels. */
async function flagsFor(
  input: Input,
  source: string,
  args: Arguments,
  headers: Promise<HeaderSource>,
): Promise<Outcome<{ args: string[]; typesOf?: string }>> {
  const given = text(args, 'clang-args');
  const words = given === undefined ? undefined : splitWords(given);
  if (words && !words.ok) return words;
  const { machine, directory } = await headers;
  const request = {
    path: input.path,
    cache: cacheDirectory(),
    machine,
    args: words?.value ?? null,
    extraArgs: [],
    bundledHeaders: path.join(__dirname, 'include'),
  };
  let generated: GeneratedHeader | undefined;
  const flags = await flagsForText(request, source, async () => (generated = await directory())?.path);
  const typesOf = nameOfTypes(generated, flags.hasVmlinux && /\bvmlinux\.h\b/.test(source));
  return succeed({ args: flags.args, ...(typesOf ? { typesOf } : {}) });
}

function nameOfTypes(generated: GeneratedHeader | undefined, own: boolean): string | undefined {
  return generated ? `Linux ${generated.release}` : own ? 'the project' : undefined;
}

/** What `doctor` says of clang. */
export async function clangFacts(given: string | undefined): Promise<EnvironmentFacts['clang']> {
  const found = await findClang(given ?? '');
  return 'clang' in found ? found.clang : { problem: found.problem.message };
}
