/** `verify --fixes`: changes of the source that the kernel accepted, found as the editor finds them. */
import path from 'node:path';
import type { KernelClient } from '../kernel/client/client';
import { verifiedFixes, type VerifiedFix } from '../language-server/fixes/engine';
import { hasFixes } from '../language-server/fixes/classes';
import { kernelJudge } from '../language-server/fixes/judge';
import { troubleOf } from '../language-server/fixes/trouble';
import { Slots } from '../language-server/model/slots';
import { factsForFailure } from '../language-server/model/target-facts';
import { explainer } from '../language-server/model/verify';
import { loadParser } from '../toolchain/c/parser';
import { positionAt, readSource } from '../toolchain/c/source';
import { cacheDirectory } from '../toolchain/clang/flags';
import type { Diagnostic, Fix } from '../toolchain/diagnostic';
import type { Input } from './source';
import { unifiedDiff } from './unified-diff';
import { mapFindings, type FileResult } from './verify-file';

/** Compilations and loads at a time: a second core helps, a third has other files to work on. */
const AT_A_TIME = 2;

/**
 * The result with the fixes of each finding in `data.fixes`. An object without its source is left as it is.
 * Rejects with a KernelError when there is no kernel any more.
 */
export async function withFixes(
  result: FileResult,
  { text, compiler, object, path: file }: Input,
  client: KernelClient,
  signal: AbortSignal,
): Promise<FileResult> {
  const findings = [...result.diagnostics, ...result.programs.flatMap(({ diagnostics }) => diagnostics)];
  const mendable = findings.filter((one) => one.path === file && hasFixes(one.code, one.message));
  if (text === undefined || !compiler || mendable.length === 0) return result;
  const parser = await loadParser();
  const source = readSource(parser, text);
  const verdicts = result.programs.map(({ verdict }) => verdict);
  const target = await factsForFailure(client, verdicts);
  const report = object && explainer(Uint8Array.from(object), file, source, target).report;
  const verification = report && {
    programs: verdicts,
    reportOn: (name: string) => {
      const verdict = verdicts.find((one) => one.name === name);
      return verdict && report(verdict);
    },
  };
  const judge = kernelJudge({ ...compiler, path: file, cache: cacheDirectory(), client, log: () => {} });
  const clang = result.diagnostics.filter((one) => one.source === 'clang');
  const slots = new Slots(AT_A_TIME);
  const name = path.relative(process.cwd(), file);
  const asFix = ({ title, isPreferred, edits }: VerifiedFix): Fix => ({
    title,
    isPreferred,
    edits: edits.map(({ start, end, text: newText }) => ({
      range: { start: positionAt(source, start), end: positionAt(source, end) },
      newText,
    })),
    diff: unifiedDiff(name, text, edits),
  });
  const found = new Map<Diagnostic, Fix[]>();
  for (const diagnostic of mendable) {
    const trouble = troubleOf(diagnostic, verification);
    if (!trouble || signal.aborted) continue;
    const fixes = await verifiedFixes({
      parser,
      path: file,
      text,
      trouble,
      clang,
      verdicts,
      judge,
      slots,
      signal,
    });
    if (fixes.length > 0) found.set(diagnostic, fixes.map(asFix));
  }
  return mapFindings(result, (finding) => {
    const fixes = found.get(finding);
    return fixes ? { ...finding, data: { ...finding.data, fixes } } : finding;
  });
}
