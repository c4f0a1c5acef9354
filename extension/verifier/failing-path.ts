/**
 * *BPF: Show Failing Path*: the way on which the verifier gave up, as a tree to walk. Selecting a row shows its place in
 * the source; when the program is accepted, the view says so.
 */
import * as vscode from 'vscode';
import {
  EditorCommands,
  FailingPath,
  type FailingPathParams,
  type FailingPathResult,
  type ProgramCommandArguments,
} from '../../language-server/protocol';
import { activeSource, chooseProgram, programsOf } from '../commands/programs';
import { asLens } from '../commands/run';
import { errors, present, reporting } from '../errors';
import type { Services } from '../services';
import { flatten, rowsOf, treeItem, type NodeRow, type Row } from './failing-path-tree';

const VIEW = 'bpf.failingPath';

/** The program whose path is followed; without rows while it is accepted. */
interface Shown {
  uri: vscode.Uri;
  program: string;
  /** Of the text that the rows are about, and the kernel that spoke. */
  version: number;
  kernel: string | undefined;
  rows: NodeRow[];
}

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const { log, server } = services;
  const changed = new vscode.EventEmitter<undefined>();
  const highlight = vscode.window.createTextEditorDecorationType({
    backgroundColor: new vscode.ThemeColor('editor.stackFrameHighlightBackground'),
    isWholeLine: true,
    overviewRulerColor: new vscode.ThemeColor('editorOverviewRuler.errorForeground'),
    overviewRulerLane: vscode.OverviewRulerLane.Center,
  });
  let shown: Shown | undefined;

  const provider: vscode.TreeDataProvider<Row> = {
    onDidChangeTreeData: changed.event,
    getTreeItem: treeItem,
    getChildren: (row) => (row ? (row.kind === 'node' ? row.children : []) : (shown?.rows ?? [])),
    getParent: (row) => row.parent,
  };
  const view = vscode.window.createTreeView(VIEW, { treeDataProvider: provider, showCollapseAll: true });

  function show(next: Shown | undefined, words: { description?: string; message?: string } = {}): void {
    shown = next;
    view.description = words.description;
    view.message = words.message;
    clearHighlight();
    changed.fire(undefined);
  }

  function clearHighlight(): void {
    for (const editor of vscode.window.visibleTextEditors) editor.setDecorations(highlight, []);
  }

  async function load(uri: vscode.Uri, program: string): Promise<void> {
    const parameters: FailingPathParams = { uri: uri.toString(), program };
    const result = await server.request<FailingPathResult>(FailingPath, parameters);
    show(
      { uri, program, version: result.version, kernel: result.kernel, rows: rowsOf(result) },
      { description: `${program} · ${result.code}` },
    );
  }

  async function open(argument: unknown): Promise<void> {
    if (!vscode.workspace.isTrusted) {
      return present(errors.untrusted(vscode.l10n.t('Showing a failing path')), log);
    }
    const title = vscode.l10n.t('Program whose failing path to show');
    const chosen = await chooseProgram(services, asLens(argument) ?? rejectedAtCursor(services), title);
    if (!chosen) return;
    const { uri, program } = chosen;
    try {
      await load(uri, program.name);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return present(errors.noFailingPath(program.name, reason), log);
    }
    const last = shown?.rows.at(-1);
    // From here on the window has the view: taking it away again would bring another one up in its place.
    await vscode.commands.executeCommand('setContext', 'bpf.hasFailingPath', true);
    await vscode.commands.executeCommand(`${VIEW}.focus`);
    if (last) await select(last);
  }

  async function select(row: NodeRow): Promise<void> {
    await view.reveal(row, { select: true, focus: true, expand: false });
    await revealPlace(row);
  }

  /** Shows a row's place in the source, beside the tree, which keeps the focus. */
  async function revealPlace({ node: { place } }: NodeRow): Promise<void> {
    if (!place) return;
    const uri = vscode.Uri.parse(place.uri);
    const { start, end } = place.range;
    const range = new vscode.Range(start.line, start.character, end.line, end.character);
    const visible = vscode.window.visibleTextEditors.find(
      ({ document }) => document.uri.toString() === uri.toString(),
    );
    const editor = await vscode.window.showTextDocument(visible?.document ?? (await openDocument(uri)), {
      ...(visible?.viewColumn !== undefined && { viewColumn: visible.viewColumn }),
      preserveFocus: true,
      preview: true,
    });
    for (const other of vscode.window.visibleTextEditors) {
      if (other !== editor) other.setDecorations(highlight, []);
    }
    editor.setDecorations(highlight, [range]);
    editor.selection = new vscode.Selection(range.start, range.end);
    editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
  }

  /** To the next or previous row in the order of the path, folded or not. */
  async function walk(step: 1 | -1): Promise<void> {
    const all = flatten(shown?.rows ?? []);
    const current = view.selection[0];
    const at = current?.kind === 'register' ? current.parent.order : current?.order;
    const next = at === undefined ? all.at(step > 0 ? 0 : -1) : all[at + step];
    if (next) await select(next);
  }

  async function showInLog(row: unknown): Promise<void> {
    const selected = (row as Row | undefined) ?? view.selection[0];
    const node = selected?.kind === 'node' ? selected : selected?.parent;
    if (!shown || !node?.node.logLines) return;
    await vscode.commands.executeCommand(EditorCommands.showVerifierLog, {
      uri: shown.uri.toString(),
      program: shown.program,
      line: node.node.logLines.last,
    });
  }

  const command = (id: string, handler: (argument?: unknown) => Promise<void>): vscode.Disposable =>
    vscode.commands.registerCommand(id, reporting(vscode.l10n.t('Showing the failing path'), log, handler));
  context.subscriptions.push(
    changed,
    highlight,
    view,
    command(EditorCommands.showFailingPath, open),
    command('bpf.nextPathStep', () => walk(1)),
    command('bpf.previousPathStep', () => walk(-1)),
    command('bpf.showPathStepInLog', showInLog),
    view.onDidChangeVisibility(({ visible }) => {
      if (!visible) clearHighlight();
    }),
    view.onDidChangeSelection(({ selection: [row] }) => {
      const node = row?.kind === 'register' ? row.parent : row;
      if (node) revealPlace(node).catch((error: unknown) => log.warn(`[failingPath] ${String(error)}`));
    }),
    server.onDidChangeStatus(({ uri, phase, programs, version, kernel }) => {
      if (!shown || phase !== 'done') return;
      if (version === shown.version && kernel === shown.kernel) return;
      if (vscode.Uri.parse(uri).toString() !== shown.uri.toString()) return;
      const { program } = shown;
      const verdict = programs.find(({ name }) => name === program)?.verdict;
      // Text that does not compile has no verdict: the path stays until there is one.
      if (verdict === 'accepted') {
        show(
          { ...shown, version, kernel, rows: [] },
          { message: vscode.l10n.t('The verifier accepts {0} now.', program) },
        );
      } else if (verdict === 'rejected') {
        load(shown.uri, program).catch((error: unknown) => log.warn(`[failingPath] ${String(error)}`));
      }
    }),
    vscode.workspace.onDidCloseTextDocument((document) => {
      if (document.uri.toString() === shown?.uri.toString()) show(undefined);
    }),
  );
}

/** The rejected program under the cursor, or the only one of the file. */
function rejectedAtCursor(services: Services): ProgramCommandArguments | undefined {
  const document = activeSource();
  if (!document) return undefined;
  const programs = programsOf(services, document);
  const cursor = vscode.window.activeTextEditor?.selection.active.line ?? -1;
  const under = programs.findLast(({ line }) => line <= cursor);
  const rejected = programs.filter(({ verdict }) => verdict === 'rejected');
  const meant = under?.verdict === 'rejected' ? under : rejected.length === 1 ? rejected[0] : undefined;
  return meant && { uri: document.uri.toString(), program: meant.name };
}

function openDocument(uri: vscode.Uri): Thenable<vscode.TextDocument> {
  return vscode.workspace.openTextDocument(uri);
}
