/**
 * The verifier log as a read-only document (scheme `bpf-log`, language `bpf-log`), each instruction linked to the
 * source it was compiled from. It follows the verdicts: a new one renews the text of an open log.
 */
import * as vscode from 'vscode';
import { EditorCommands, LOG_SCHEME, type VerifierLogResult } from '../../language-server/protocol';
import { errors, present, reporting } from '../errors';
import { isProblem } from '../window-kernel/kernel';
import type { Services } from '../services';
import { OpenLog, connectLogs } from '../verifier/log-navigation';
import { fitLog } from '../verifier/log-size';
import { activeSource, chooseProgram, programsOf } from './programs';
import { asLens } from './run';

/** Links drawn into one log, at its beginning and at its end; in between a definition leads to the source. */
const MAX_LINKS = 4000;

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
  const logs = new Map<string, OpenLog>();
  const renewed = new vscode.EventEmitter<vscode.Uri>();

  const content: vscode.TextDocumentContentProvider = {
    onDidChange: renewed.event,
    provideTextDocumentContent: async (uri) => {
      const { source, program } = parseLogUri(uri);
      try {
        const fitted = fitLog(await fetchLog(services, source, program));
        logs.set(uri.toString(), new OpenLog(fitted));
        return fitted.text;
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        log.error(`[noVerifierLog] ${program}: ${reason}`);
        logs.delete(uri.toString());
        return `; ${errors.noVerifierLog(program, reason).message}\n`;
      }
    },
  };
  const links: vscode.DocumentLinkProvider = {
    provideDocumentLinks: (document) =>
      documentLinks(document, logs.get(document.uri.toString())?.links ?? []),
  };

  const openLog = (uri: vscode.Uri): OpenLog | undefined => logs.get(uri.toString());
  const command = (id: string, handler: (argument?: unknown) => Promise<void>): vscode.Disposable =>
    vscode.commands.registerCommand(id, reporting(vscode.l10n.t('Showing the verifier log'), log, handler));
  context.subscriptions.push(
    renewed,
    vscode.workspace.registerTextDocumentContentProvider(LOG_SCHEME, content),
    vscode.languages.registerDocumentLinkProvider({ scheme: LOG_SCHEME }, links),
    connectLogs(openLog, (uri) => parseLogUri(uri).source),
    vscode.workspace.onDidCloseTextDocument((document) => logs.delete(document.uri.toString())),
    server.onDidChangeStatus(({ uri, phase }) => {
      if (phase !== 'done') return;
      const source = vscode.Uri.parse(uri).toString();
      for (const { uri: open } of vscode.workspace.textDocuments) {
        if (open.scheme === LOG_SCHEME && parseLogUri(open).source.toString() === source) renewed.fire(open);
      }
    }),
    command(EditorCommands.showVerifierLog, (lens) => showLog(services, lens)),
    command('bpf.goToLogLine', () => goToLogLine(services, openLog)),
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
  const editor = await openLogBeside(logUri(chosen.uri, chosen.program.name));
  const { line } = (lens ?? {}) as { line?: unknown };
  revealLine(editor, typeof line === 'number' ? line : lastInstruction(editor.document));
}

/** From the source line under the cursor to where the log speaks of it last. */
async function goToLogLine(
  services: Services,
  openLog: (uri: vscode.Uri) => OpenLog | undefined,
): Promise<void> {
  if (!vscode.workspace.isTrusted) {
    return present(errors.untrusted(vscode.l10n.t('Showing a verifier log')), services.log);
  }
  const source = activeSource();
  const cursor = vscode.window.activeTextEditor?.selection.active.line;
  if (!source || cursor === undefined) return present(errors.notABpfSource(), services.log);
  // A function that programs share is in the log of each; the one that is looked at already goes first.
  const shown = vscode.window.visibleTextEditors
    .map(({ document }) => document.uri)
    .filter(
      (uri) => uri.scheme === LOG_SCHEME && parseLogUri(uri).source.toString() === source.uri.toString(),
    );
  for (const uri of [...shown, ...logsFor(services, source, cursor)]) {
    // Opening it makes its links known.
    await vscode.workspace.openTextDocument(uri);
    const line = openLog(uri)?.linesOf(source.uri.fsPath, cursor).at(-1);
    if (line === undefined) continue;
    return revealLine(await openLogBeside(uri), line);
  }
  return present(errors.noLogLine(cursor + 1), services.log);
}

/** Logs of the document's programs, that of the program at the line first. */
function logsFor(services: Services, source: vscode.TextDocument, line: number): vscode.Uri[] {
  const programs = programsOf(services, source);
  const own = programs.findLast((program) => program.line <= line);
  const ordered = own ? [own, ...programs.filter((program) => program !== own)] : programs;
  return ordered.map(({ name }) => logUri(source.uri, name));
}

async function openLogBeside(uri: vscode.Uri): Promise<vscode.TextEditor> {
  const open = vscode.window.visibleTextEditors.find(
    ({ document }) => document.uri.toString() === uri.toString(),
  );
  return vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri), {
    viewColumn: open?.viewColumn ?? vscode.ViewColumn.Beside,
    preserveFocus: true,
    preview: true,
  });
}

function revealLine(editor: vscode.TextEditor, line: number): void {
  const position = new vscode.Position(line, 0);
  editor.selection = new vscode.Selection(position, position);
  editor.revealRange(
    new vscode.Range(position, position),
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
function documentLinks(
  document: vscode.TextDocument,
  all: VerifierLogResult['links'],
): vscode.DocumentLink[] {
  const links = all.length <= 2 * MAX_LINKS ? all : [...all.slice(0, MAX_LINKS), ...all.slice(-MAX_LINKS)];
  return links.flatMap((link) => {
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
