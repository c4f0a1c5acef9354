/**
 * The verifier log as a read-only document (scheme `bpf-log`, language `bpf-log`), each instruction linked to the
 * source it was compiled from. It follows the verdicts: a new one renews the text of an open log.
 */
import * as vscode from 'vscode';
import { EditorCommands, LOG_SCHEME, type VerifierLogResult } from '../../language-server/protocol';
import { errors, present, reporting } from '../errors';
import { isProblem } from '../window-kernel/kernel';
import type { Services } from '../services';
import { chooseProgram } from './programs';
import { asLens } from './run';

/** `bpf-log:/PROGRAM.bpflog?SOURCE-URI` */
export function logUri(source: vscode.Uri, program: string): vscode.Uri {
  return vscode.Uri.from({ scheme: LOG_SCHEME, path: `/${program}.bpflog`, query: source.toString() });
}

/** The inverse of {@link logUri}. */
export function parseLogUri(uri: vscode.Uri): { source: vscode.Uri; program: string } {
  return { source: vscode.Uri.parse(uri.query), program: uri.path.slice(1).replace(/\.bpflog$/, '') };
}

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const { log, server } = services;
  const logs = new Map<string, VerifierLogResult>();
  const renewed = new vscode.EventEmitter<vscode.Uri>();

  const content: vscode.TextDocumentContentProvider = {
    onDidChange: renewed.event,
    provideTextDocumentContent: async (uri) => {
      const { source, program } = parseLogUri(uri);
      try {
        const result = await fetchLog(services, source, program);
        logs.set(uri.toString(), result);
        return result.text;
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        log.error(`[noVerifierLog] ${program}: ${reason}`);
        return `; ${errors.noVerifierLog(program, reason).message}\n`;
      }
    },
  };
  const links: vscode.DocumentLinkProvider = {
    provideDocumentLinks: (document) => {
      const result = logs.get(document.uri.toString());
      return result ? documentLinks(document, result) : [];
    },
  };

  const selector = { scheme: LOG_SCHEME };
  context.subscriptions.push(
    renewed,
    vscode.workspace.registerTextDocumentContentProvider(LOG_SCHEME, content),
    vscode.languages.registerDocumentLinkProvider(selector, links),
    vscode.workspace.onDidCloseTextDocument((document) => logs.delete(document.uri.toString())),
    server.onDidChangeStatus(({ uri, phase }) => {
      if (phase !== 'done') return;
      const source = vscode.Uri.parse(uri).toString();
      for (const { uri: open } of vscode.workspace.textDocuments) {
        if (open.scheme === LOG_SCHEME && parseLogUri(open).source.toString() === source) renewed.fire(open);
      }
    }),
    vscode.commands.registerCommand(
      EditorCommands.showVerifierLog,
      reporting(vscode.l10n.t('Showing the verifier log'), log, (lens?: unknown) => showLog(services, lens)),
    ),
  );
}

async function fetchLog(services: Services, source: vscode.Uri, program: string): Promise<VerifierLogResult> {
  const kernel = await services.kernel.ensure();
  if (isProblem(kernel)) throw new Error(`${kernel.message} ${kernel.hint}`);
  return services.server.verifierLog({ uri: source.toString(), program });
}

async function showLog(services: Services, lens: unknown): Promise<void> {
  if (!vscode.workspace.isTrusted) {
    return present(errors.untrusted(vscode.l10n.t('Showing a verifier log')), services.log);
  }
  const title = vscode.l10n.t('Program whose verifier log to show');
  const chosen = await chooseProgram(services, asLens(lens), title);
  if (!chosen) return;
  const document = await vscode.workspace.openTextDocument(logUri(chosen.uri, chosen.program.name));
  const editor = await vscode.window.showTextDocument(document, {
    viewColumn: vscode.ViewColumn.Beside,
    preserveFocus: true,
    preview: true,
  });
  const place = lastInstruction(document);
  editor.revealRange(
    new vscode.Range(place, 0, place, 0),
    vscode.TextEditorRevealType.InCenterIfOutsideViewport,
  );
}

/** The line of the instruction the verifier looked at last, below which it says why it stopped. */
function lastInstruction(document: vscode.TextDocument): number {
  for (let line = document.lineCount - 1; line > 0; line--) {
    if (/^\s*\d+: \(/.test(document.lineAt(line).text)) return line;
  }
  return 0;
}

/** A link over each instruction's number and colon, where the eye looks for it; the tooltip names the place. */
function documentLinks(document: vscode.TextDocument, result: VerifierLogResult): vscode.DocumentLink[] {
  return result.links.flatMap((link) => {
    if (link.line >= document.lineCount) return [];
    const text = document.lineAt(link.line).text;
    const number = /^\s*\d+:/.exec(text)?.[0] ?? /^;.*/.exec(text)?.[0];
    if (number === undefined) return [];
    const start = number.length - number.trimStart().length;
    const line = link.sourceLine + 1;
    const target = vscode.Uri.file(link.path).with({ fragment: `L${line},${link.sourceCharacter + 1}` });
    const found = new vscode.DocumentLink(
      new vscode.Range(link.line, start, link.line, number.length),
      target,
    );
    found.tooltip = vscode.l10n.t('Go to line {0}', line);
    return [found];
  });
}
