/** Code actions that mend a program, each accepted by the kernel before it is shown. */
import {
  CodeActionKind,
  type CodeAction,
  type Diagnostic as LspDiagnostic,
  type WorkspaceEdit,
} from 'vscode-languageserver';
import { positionAt } from '../../toolchain/c/source';
import { rangesMeet, type Diagnostic, type Range } from '../../toolchain/diagnostic';
import { hasFixes } from '../fixes/classes';
import { verifiedFixes, type Judge, type VerifiedFix } from '../fixes/engine';
import { kernelJudge } from '../fixes/judge';
import { troubleOf } from '../fixes/trouble';
import type { BpfDocument, CurrentFindings } from '../model/document';
import type { Environment } from '../model/environment';
import { Slots } from '../model/slots';
import { isSame } from './code-actions';

/** Fixes by what they were derived from, so that asking again about the same verdict costs nothing. */
const known = new WeakMap<CurrentFindings, Map<string, Promise<VerifiedFix[]>>>();

/** Candidates tried at a time, beside the verdicts that are due: those have slots of their own. */
const slots = new Slots(2);

/**
 * Fixes for the findings that touch `range`. Waits for the verdict on the text as it is; an edit meanwhile ends the
 * work, and the answer is empty.
 * @param shown the editor's own diagnostics, of which each action names those it mends.
 * @param versioned whether the editor takes edits for one version of a document.
 */
export async function fixActions(
  bpf: BpfDocument,
  environment: Environment,
  range: Range,
  shown: readonly LspDiagnostic[],
  versioned: boolean,
): Promise<CodeAction[]> {
  await bpf.settled();
  const findings = bpf.current;
  const { source, version } = bpf;
  if (!findings || !source || !environment.trusted) return [];
  const here = bpf.diagnostics.filter((one) => one.path === bpf.path && rangesMeet(one.range, range));
  const candidates = here.filter((one) => hasFixes(one.code, one.message));
  // clang says the same of a place as often as it comes by.
  const seen = new Set<string>();
  const distinct = candidates.filter(({ code, message, data }) => {
    const key = [code, data?.program ?? message].join(' ');
    return !seen.has(key) && seen.add(key);
  });
  const found = await Promise.all(
    distinct.map(async (diagnostic) => ({
      diagnostic,
      fixes: await fixesFor(bpf, environment, findings, diagnostic),
    })),
  );
  if (bpf.version !== version) return [];
  return found.flatMap(({ diagnostic, fixes }) =>
    fixes.map(({ title, edits, isPreferred }): CodeAction => {
      const changes = edits.map(({ start, end, text }) => ({
        range: { start: positionAt(source, start), end: positionAt(source, end) },
        newText: text,
      }));
      const edit: WorkspaceEdit = versioned
        ? { documentChanges: [{ textDocument: { uri: bpf.uri, version }, edits: changes }] }
        : { changes: { [bpf.uri]: changes } };
      const mended = shown.filter((one) => isSame(one, diagnostic));
      return {
        title,
        kind: CodeActionKind.QuickFix,
        edit,
        ...(mended.length > 0 && { diagnostics: mended }),
        ...(isPreferred && { isPreferred }),
      };
    }),
  );
}

/** Verified fixes for one finding on a document's present text. */
function fixesFor(
  bpf: BpfDocument,
  environment: Environment,
  findings: CurrentFindings,
  diagnostic: Diagnostic,
): Promise<VerifiedFix[]> {
  const ofThis = known.get(findings) ?? new Map<string, Promise<VerifiedFix[]>>();
  known.set(findings, ofThis);
  const key = JSON.stringify([diagnostic.code, diagnostic.range, diagnostic.data?.program]);
  const earlier = ofThis.get(key);
  if (earlier) return earlier;
  const fresh = derive(bpf, environment, findings, diagnostic).catch((error: unknown) => {
    ofThis.delete(key);
    if (!bpf.edited.aborted) environment.log(`no fixes for ${diagnostic.code}: ${(error as Error).message}`);
    return [];
  });
  ofThis.set(key, fresh);
  return fresh;
}

async function derive(
  bpf: BpfDocument,
  environment: Environment,
  findings: CurrentFindings,
  diagnostic: Diagnostic,
): Promise<VerifiedFix[]> {
  const { path, text, parser, edited: signal } = bpf;
  const trouble = troubleOf(diagnostic, findings.verification);
  const judge = await judgeFor(bpf, environment);
  if (!trouble || !judge || signal.aborted) return [];
  const { clang, verification } = findings;
  return verifiedFixes({
    parser,
    path,
    text,
    trouble,
    clang,
    verdicts: verification?.programs ?? [],
    judge,
    slots,
    signal,
  });
}

/** The document's own compiler and flags, and the kernel in use. Undefined when there is no clang or no kernel. */
async function judgeFor(bpf: BpfDocument, environment: Environment): Promise<Judge | undefined> {
  const clang = await environment.clang();
  const client = await environment.kernel.client();
  if ('code' in clang || !('request' in client)) return undefined;
  const { args } = await environment.flags(bpf.path, bpf.text);
  const { cache, log } = environment;
  return kernelJudge({ clang, args, path: bpf.path, cache, client, log });
}
