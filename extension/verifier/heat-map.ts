/**
 * *BPF: Toggle Verifier Heat Map*: how often the verifier came to each line, as a shade and a number behind the line;
 * lines it never came to are greyed. While it is on, it follows the verdicts.
 */
import * as vscode from 'vscode';
import {
  VerifierCosts,
  type VerifierCostsParams,
  type VerifierCostsResult,
  type VerifierLineCost,
} from '../../language-server/protocol';
import { activeSource } from '../commands/programs';
import { errors, present, reporting } from '../errors';
import type { Services } from '../services';

/** Share of the dearest line from which on a shade is used, lightest first, on a logarithmic scale. */
const SHADES = 5;

export function activate(context: vscode.ExtensionContext, { log, server }: Services): void {
  const shades = Array.from({ length: SHADES }, (_, level) => shade((level + 1) / SHADES));
  const unreached = vscode.window.createTextEditorDecorationType({ opacity: '0.45', isWholeLine: true });
  const notes = vscode.window.createTextEditorDecorationType({});
  let isOn = false;

  const clear = (editor: vscode.TextEditor): void =>
    [...shades, unreached, notes].forEach((decoration) => editor.setDecorations(decoration, []));

  async function draw(editor: vscode.TextEditor): Promise<void> {
    const { document } = editor;
    const { version } = document;
    const uri = document.uri.toString();
    let costs: VerifierCostsResult;
    try {
      const parameters: VerifierCostsParams = { uri };
      costs = await server.request<VerifierCostsResult>(VerifierCosts, parameters);
    } catch (error) {
      log.warn(`[heatMap] ${String(error)}`);
      // Of a text that was edited meanwhile the next verdict draws.
      if (document.version === version) clear(editor);
      return;
    }
    // The document went on meanwhile: the next verdict draws, and what is drawn moves with the text until then.
    if (!isOn || costs.version !== server.status(document.uri)?.version) return;
    const lines = costs.lines.filter((line) => sameFile(line.uri, document.uri));
    const most = Math.max(1, ...lines.map(({ visits }) => visits));
    const levels: vscode.DecorationOptions[][] = shades.map(() => []);
    for (const line of lines.filter(({ visits }) => visits > 0)) {
      levels[levelOf(line.visits, most)]?.push(countOption(document, line));
    }
    shades.forEach((decoration, level) => editor.setDecorations(decoration, levels[level] ?? []));
    editor.setDecorations(
      unreached,
      lines.filter(({ isUnreached }) => isUnreached).map((line) => unreachedOption(document, line, costs)),
    );
    editor.setDecorations(
      notes,
      costs.programs.flatMap(({ line, notMeasured }) =>
        notMeasured === undefined ? [] : [noteOption(document, line, notMeasured)],
      ),
    );
  }

  const sources = (): vscode.TextEditor[] =>
    vscode.window.visibleTextEditors.filter(({ document }) => server.status(document.uri));
  const drawAll = (): Promise<unknown> => Promise.all(sources().map(draw));

  async function toggle(): Promise<void> {
    if (!isOn && !vscode.workspace.isTrusted) {
      return present(errors.untrusted(vscode.l10n.t('The heat map')), log);
    }
    if (!isOn && !activeSource()) return present(errors.notABpfSource(), log);
    isOn = !isOn;
    await vscode.commands.executeCommand('setContext', 'bpf.heatMap', isOn);
    if (!isOn) return vscode.window.visibleTextEditors.forEach(clear);
    const title = vscode.l10n.t('Counting the verifier’s visits…');
    await vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title }, drawAll);
  }

  context.subscriptions.push(
    ...shades,
    unreached,
    notes,
    vscode.commands.registerCommand(
      'bpf.toggleHeatMap',
      reporting(vscode.l10n.t('Showing the heat map'), log, toggle),
    ),
    server.onDidChangeStatus(({ uri, phase }) => {
      if (!isOn || phase !== 'done') return;
      const editors = sources().filter(({ document }) => sameFile(uri, document.uri));
      editors.forEach((editor) => void draw(editor));
    }),
    vscode.window.onDidChangeVisibleTextEditors(() => {
      if (isOn) void drawAll();
    }),
  );
}

function shade(share: number): vscode.TextEditorDecorationType {
  const after = { margin: '0 0 0 2em', color: new vscode.ThemeColor('editorCodeLens.foreground') };
  const color = (rgb: string, strongest: number): string => `rgba(${rgb}, ${(share * strongest).toFixed(3)})`;
  return vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    after,
    light: { backgroundColor: color('230, 110, 0', 0.38) },
    dark: { backgroundColor: color('255, 120, 30', 0.34) },
    overviewRulerLane: vscode.OverviewRulerLane.Left,
    ...(share > 0.5 && { overviewRulerColor: color('240, 115, 15', 0.9) }),
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
}

/** Visits grow by factors, so the scale is logarithmic: the dearest line has the last shade, a single visit the first. */
function levelOf(visits: number, most: number): number {
  if (most <= 1) return 0;
  return Math.min(SHADES - 1, Math.floor((Math.log(visits) / Math.log(most)) * SHADES));
}

function countOption(document: vscode.TextDocument, line: VerifierLineCost): vscode.DecorationOptions {
  const count = line.visits.toLocaleString(vscode.env.language);
  const words = [
    line.visits === 1
      ? vscode.l10n.t('The verifier came to an instruction of this line once.')
      : vscode.l10n.t('The verifier came to instructions of this line {0} times.', count),
    ...(line.isPartlyUnreached
      ? [vscode.l10n.t('It never came to some of them: a part of the line is dead code on this kernel.')]
      : []),
  ];
  return {
    range: lineRange(document, line.line),
    hoverMessage: words.join(' '),
    renderOptions: { after: { contentText: count } },
  };
}

function unreachedOption(
  document: vscode.TextDocument,
  { line }: VerifierLineCost,
  { kernel }: VerifierCostsResult,
): vscode.DecorationOptions {
  const hoverMessage = vscode.l10n.t(
    'The verifier of Linux {0} accepted the program without ever coming to this line: with the values it knows, such as those of constants, no path leads here. The kernel removes the code when it loads the program.',
    kernel,
  );
  const contentText = vscode.l10n.t('never reached');
  const after = {
    contentText,
    margin: '0 0 0 2em',
    color: new vscode.ThemeColor('editorCodeLens.foreground'),
  };
  return { range: lineRange(document, line), hoverMessage, renderOptions: { after } };
}

function noteOption(document: vscode.TextDocument, line: number, reason: string): vscode.DecorationOptions {
  const contentText = vscode.l10n.t('not measured');
  const after = {
    contentText,
    margin: '0 0 0 2em',
    color: new vscode.ThemeColor('editorCodeLens.foreground'),
  };
  const hoverMessage = vscode.l10n.t('Visits are not shown for this program: {0}.', reason);
  return { range: lineRange(document, line), hoverMessage, renderOptions: { after } };
}

function lineRange(document: vscode.TextDocument, line: number): vscode.Range {
  return document.lineAt(Math.min(line, document.lineCount - 1)).range;
}

function sameFile(uri: string, other: vscode.Uri): boolean {
  return vscode.Uri.parse(uri).toString() === other.toString();
}
