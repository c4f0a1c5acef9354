import type { CodeAction, CodeActionParams, Diagnostic, Range } from 'vscode-languageserver';
import { CodeActionKind } from 'vscode-languageserver';
import { EditorCommands } from '../protocol';
import type { PublishedDiagnostic } from '../published';
import type { Session } from '../session';

/** What can be done about one finding. */
type ActionSource = (session: Session, finding: PublishedDiagnostic) => CodeAction[];

const sources: ActionSource[] = [showVerifierLog];

/** Actions on the findings at a range, each attached to the finding it is about. */
export function codeActions(
  session: Session,
  { textDocument, range, context }: CodeActionParams,
): CodeAction[] {
  if (context.only && !context.only.some((kind) => isKind(CodeActionKind.QuickFix, kind))) return [];
  // Editors hand findings in without the data that came with them, so ours are looked up.
  const here = session.published
    .in(textDocument.uri)
    .filter(({ diagnostic }) => meet(diagnostic.range, range));
  return here.flatMap((finding) => {
    const diagnostics = context.diagnostics.filter((one) => isSame(one, finding.diagnostic));
    return sources
      .flatMap((source) => source(session, finding))
      .map((action) => ({ diagnostics, ...action }));
  });
}

function showVerifierLog(_session: Session, { document, diagnostic }: PublishedDiagnostic): CodeAction[] {
  const program = programOf(diagnostic);
  if (program === undefined) return [];
  const title = `Show verifier log of ${program}`;
  const command = {
    title,
    command: EditorCommands.showVerifierLog,
    arguments: [{ uri: document, program }],
  };
  return [{ title, kind: CodeActionKind.QuickFix, command }];
}

/** The program a verifier's finding is about. */
function programOf(diagnostic: Diagnostic): string | undefined {
  return (diagnostic.data as { program?: string } | undefined)?.program;
}

/** Whether `kind` is `wanted` or below it, as `quickfix.bpf` is below `quickfix`. */
function isKind(kind: string, wanted: string): boolean {
  return wanted === '' || kind === wanted || kind.startsWith(`${wanted}.`);
}

function isSame(a: Diagnostic, b: Diagnostic): boolean {
  return a.code === b.code && JSON.stringify(a.range) === JSON.stringify(b.range);
}

function meet(a: Range, b: Range): boolean {
  const isBefore = (one: Range, other: Range): boolean =>
    one.end.line < other.start.line ||
    (one.end.line === other.start.line && one.end.character < other.start.character);
  return !isBefore(a, b) && !isBefore(b, a);
}
