/**
 * *BPF: Show Coverage*: marks in the gutter for the lines that ran and those that did not, over all runs of this window
 * since it was switched on. A file's marks go with the first change of its text.
 */
import { createHash } from 'node:crypto';
import * as vscode from 'vscode';
import { totals, withRun, type CoverageSum, type SummedCoverage } from '../../debug-adapter/coverage/sum';
import { Coverage, DEBUG_TYPE, SessionState } from '../../debug-adapter/protocol';
import type { CoverageResponse, SessionStateEvent } from '../../debug-adapter/protocol';
import { errors, present, reporting } from '../errors';
import type { Services } from '../services';
import { coverageMarks, markLevels, type MarkLevel } from './marks';

export function activate(context: vscode.ExtensionContext, { log }: Services): void {
  const marks = coverageMarks();
  const status = vscode.window.createStatusBarItem('bpf.coverage', vscode.StatusBarAlignment.Left);
  status.name = vscode.l10n.t('BPF Coverage');
  status.command = 'bpf.clearCoverage';
  let isOn = false;
  let sum: CoverageSum = new Map();

  /** The coverage of a document as it is now; undefined when its text is not the one that ran. */
  const coverageFor = (document: vscode.TextDocument): SummedCoverage | undefined => {
    const file = document.uri.scheme === 'file' ? sum.get(document.uri.fsPath) : undefined;
    return file?.digest === digestOf(document.getText()) ? file : undefined;
  };

  function draw(editor: vscode.TextEditor): void {
    const file = isOn ? coverageFor(editor.document) : undefined;
    const options: Record<MarkLevel, vscode.DecorationOptions[]> = file
      ? markLevels(file, editor.document)
      : { full: [], partial: [], none: [] };
    for (const level of ['full', 'partial', 'none'] as const)
      editor.setDecorations(marks[level], options[level]);
  }

  function drawAll(): void {
    vscode.window.visibleTextEditors.forEach(draw);
    status.hide();
    const document = vscode.window.activeTextEditor?.document;
    if (!isOn || !document) return;
    const file = coverageFor(document);
    if (!file) return;
    const { lines, linesRun, sides, sidesTaken } = totals(file.lines);
    status.text = `$(beaker) ${vscode.l10n.t('{0} of {1} lines ran', linesRun, lines)}`;
    status.tooltip = [
      file.runs === 1
        ? vscode.l10n.t('BPF coverage of one run: {0} of {1} lines with code ran.', linesRun, lines)
        : vscode.l10n.t(
            'BPF coverage of {2} runs: {0} of {1} lines with code ran.',
            linesRun,
            lines,
            file.runs,
          ),
      vscode.l10n.t('{0} of {1} ways out of branches were taken.', sidesTaken, sides),
      vscode.l10n.t('Click to clear.'),
    ].join('\n');
    status.show();
  }

  async function addRunOf(session: vscode.DebugSession): Promise<void> {
    const { files } = (await session.customRequest(Coverage)) as CoverageResponse;
    ({ sum } = withRun(sum, files));
    drawAll();
  }

  async function show(): Promise<void> {
    isOn = true;
    await vscode.commands.executeCommand('setContext', 'bpf.coverage', true);
    const session = vscode.debug.activeDebugSession;
    const canCount = session?.type === DEBUG_TYPE && sum.size === 0;
    if (canCount) return addRunOf(session);
    drawAll();
    if (sum.size === 0) await present(errors.nothingCovered(), log);
  }

  async function clear(): Promise<void> {
    isOn = false;
    sum = new Map();
    await vscode.commands.executeCommand('setContext', 'bpf.coverage', false);
    drawAll();
  }

  const what = vscode.l10n.t('Showing the coverage');
  context.subscriptions.push(
    ...Object.values(marks),
    status,
    vscode.commands.registerCommand('bpf.showCoverage', reporting(what, log, show)),
    vscode.commands.registerCommand('bpf.clearCoverage', reporting(what, log, clear)),
    vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
      if (!isOn || session.type !== DEBUG_TYPE || event !== SessionState) return;
      if ((body as SessionStateEvent).phase !== 'finished') return;
      // A run that was not recorded says so in the console; here it only counts nothing.
      addRunOf(session).catch((error: unknown) => log.warn(`[coverage] ${String(error)}`));
    }),
    vscode.window.onDidChangeVisibleTextEditors(drawAll),
    vscode.window.onDidChangeActiveTextEditor(drawAll),
    vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      if (isOn && contentChanges.length > 0 && sum.has(document.uri.fsPath)) drawAll();
    }),
  );
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
