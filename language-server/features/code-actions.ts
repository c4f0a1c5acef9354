import type { CodeAction, CodeActionParams, Diagnostic as LspDiagnostic } from 'vscode-languageserver';
import { CodeActionKind } from 'vscode-languageserver';
import { isSameRange, rangesMeet, type Diagnostic } from '../../toolchain/diagnostic';
import { EditorCommands } from '../protocol';
import type { PublishedDiagnostic } from '../published';
import type { Session } from '../session';

/** What can be done about one finding. */
type ActionSource = (session: Session, finding: PublishedDiagnostic) => CodeAction[];

const sources: ActionSource[] = [explainFinding, showFailingPath, showVerifierLog];

export function wantsQuickFixes({ context }: CodeActionParams): boolean {
  return context.only?.some((kind) => isKind(CodeActionKind.QuickFix, kind)) ?? true;
}

/** Actions on the findings at a range, each attached to the finding it is about. */
export function codeActions(
  session: Session,
  { textDocument, range, context }: CodeActionParams,
): CodeAction[] {
  // Editors hand findings in without the data that came with them, so ours are looked up.
  const here = session.published
    .in(textDocument.uri)
    .filter(({ diagnostic }) => rangesMeet(diagnostic.range, range));
  return here.flatMap((finding) => {
    const diagnostics = context.diagnostics.filter((one) => isSame(one, finding.diagnostic));
    return sources
      .flatMap((source) => source(session, finding))
      .map((action) => ({ diagnostics, ...action }));
  });
}

/** Opens the page on the finding's class. */
function explainFinding(_session: Session, { diagnostic }: PublishedDiagnostic): CodeAction[] {
  const { code, codeDescription } = diagnostic;
  if (!codeDescription || typeof code !== 'string') return [];
  return [commandAction(`Explain ${code}`, EditorCommands.explainFinding, { code })];
}

function showFailingPath(_session: Session, { document, diagnostic }: PublishedDiagnostic): CodeAction[] {
  const { program, instruction } = dataOf(diagnostic);
  // What is about a program as a whole has no path that leads to it.
  if (!program || instruction === undefined) return [];
  const title = `Show failing path of ${program}`;
  return [commandAction(title, EditorCommands.showFailingPath, { uri: document, program })];
}

function showVerifierLog(_session: Session, { document, diagnostic }: PublishedDiagnostic): CodeAction[] {
  const { program } = dataOf(diagnostic);
  // What fails for the object as a whole is about no program.
  if (!program) return [];
  const title = `Show verifier log of ${program}`;
  return [commandAction(title, EditorCommands.showVerifierLog, { uri: document, program })];
}

function commandAction(title: string, command: string, argument: object): CodeAction {
  return { title, kind: CodeActionKind.QuickFix, command: { title, command, arguments: [argument] } };
}

function dataOf({ data }: LspDiagnostic): NonNullable<Diagnostic['data']> {
  return (data ?? {}) as NonNullable<Diagnostic['data']>;
}

/** Whether `kind` is `wanted` or below it, as `quickfix.bpf` is below `quickfix`. */
function isKind(kind: string, wanted: string): boolean {
  return wanted === '' || kind === wanted || kind.startsWith(`${wanted}.`);
}

/** Whether what an editor hands in is one of our findings. */
export function isSame(
  shown: LspDiagnostic,
  { code, range }: Pick<LspDiagnostic, 'code' | 'range'>,
): boolean {
  return shown.code === code && isSameRange(shown.range, range);
}
