/** The kernel's words on one file's programs as findings in its source, and syntax findings where clang is silent. */
import type { KernelClient } from '../kernel/client/client';
import type { ProgramVerdict } from '../kernel/protocol';
import { attachHints } from '../language-server/model/attach-hints';
import { besideClang, syntaxDiagnostics } from '../language-server/model/findings';
import { explainer } from '../language-server/model/verify';
import { loadParser } from '../toolchain/c/parser';
import { readSource, type SourceFile } from '../toolchain/c/source';
import type { Diagnostic } from '../toolchain/diagnostic';
import type { TargetFacts } from '../toolchain/load-failure/target';
import type { Input } from './source';

/** Needs `input.object`. */
export async function explainPrograms(
  input: Input,
  target: TargetFacts,
): Promise<(verdict: ProgramVerdict) => Diagnostic[]> {
  return (await explainerOf(input, target)).explainProgram;
}

/** Needs `input.object`; see {@link explainer}. */
export async function assumedOf(
  input: Input,
  target: TargetFacts,
): Promise<(verdicts: readonly ProgramVerdict[]) => Diagnostic[]> {
  return (await explainerOf(input, target)).assumed;
}

async function explainerOf(input: Input, target: TargetFacts): Promise<ReturnType<typeof explainer>> {
  const source = input.text === undefined ? undefined : await read(input.text);
  return explainer(Uint8Array.from(input.object!), input.path, source, target);
}

/** What the accepted programs of a source name in their `SEC()` and the kernel does not have. */
export async function hintsOf(
  client: KernelClient,
  { text, path }: Input,
  verdicts: readonly ProgramVerdict[],
): Promise<Diagnostic[]> {
  return text === undefined ? [] : attachHints(client, await read(text), path, verdicts);
}

/**
 * Syntax findings to show beside clang's, as the editor does.
 * @param clang what clang said of the text; undefined when it could not be asked.
 */
export async function syntaxBesideClang(
  path: string,
  text: string,
  clang: Diagnostic[] | undefined,
): Promise<Diagnostic[]> {
  return besideClang(
    syntaxDiagnostics(await read(text), path),
    clang && { isOfThisText: true, findings: clang },
  );
}

async function read(text: string): Promise<SourceFile> {
  return readSource(await loadParser(), text);
}
