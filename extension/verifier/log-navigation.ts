/**
 * Ways between the verifier log and the source: folds, definitions in the log, *BPF: Go to Verifier Log Line*, and the
 * log lines of the source line under the cursor, marked.
 */
import * as vscode from 'vscode';
import { LOG_SCHEME, type VerifierLogResult } from '../../language-server/protocol';
import { logFolds, type LogFold } from '../../toolchain/verifier/logFolds';

type Links = VerifierLogResult['links'];

/** A log that is open, with its links by the source line they lead to. */
export class OpenLog {
  readonly links: Links;
  private readonly bySource = new Map<string, number[]>();

  private text: string | undefined;
  private known: LogFold[] | undefined;

  constructor({ text, links }: { text: string; links: Links }) {
    this.links = links;
    this.text = text;
    for (const { path, sourceLine, line } of links) {
      const key = `${sourceLine}:${path}`;
      const lines = this.bySource.get(key);
      if (lines) lines.push(line);
      else this.bySource.set(key, [line]);
    }
  }

  /** Read when the editor first asks; it asks often. */
  get folds(): readonly LogFold[] {
    this.known ??= logFolds(this.text ?? '');
    this.text = undefined;
    return this.known;
  }

  /** Lines of the log that speak of a source line, ascending. */
  linesOf(path: string, sourceLine: number): readonly number[] {
    return this.bySource.get(`${sourceLine}:${path}`) ?? [];
  }

  /** The place that a line of the log speaks of; for a line between instructions, the instruction before it. */
  linkAt(line: number): Links[number] | undefined {
    return this.links[this.countUpTo(line) - 1];
  }

  /** The first instruction behind a line; source lines in a log stand before their instructions. */
  linkAfter(line: number): Links[number] | undefined {
    return this.links[this.countUpTo(line)];
  }

  private countUpTo(line: number): number {
    let low = 0;
    let high = this.links.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.links[middle] as Links[number]).line <= line) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Milliseconds of rest before the marks follow the cursor. */
const MARK_DELAY = 80;
/** Marks in one log; of a line that was come to more often the last ones, which are nearest to the verdict. */
const MAX_MARKS = 5000;

/** Folding, definitions and marks for the logs that `logOf` knows. */
export function connectLogs(
  logOf: (uri: vscode.Uri) => OpenLog | undefined,
  sourceOf: (log: vscode.Uri) => vscode.Uri,
): vscode.Disposable {
  const selector = { scheme: LOG_SCHEME };
  const folding: vscode.FoldingRangeProvider = {
    provideFoldingRanges: (document) =>
      (logOf(document.uri)?.folds ?? []).map(
        ({ start, end, kind }) =>
          new vscode.FoldingRange(
            start,
            end,
            kind === 'precision' ? vscode.FoldingRangeKind.Comment : undefined,
          ),
      ),
  };
  const definitions: vscode.DefinitionProvider = {
    provideDefinition: (document, { line }) => {
      const open = logOf(document.uri);
      const link = document.lineAt(line).text.startsWith(';') ? open?.linkAfter(line) : open?.linkAt(line);
      if (!link) return undefined;
      const target = new vscode.Position(link.sourceLine, link.sourceCharacter);
      return new vscode.Location(fileOf(link.path, sourceOf(document.uri)), target);
    },
  };
  const mark = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new vscode.ThemeColor('editor.wordHighlightBackground'),
    overviewRulerColor: new vscode.ThemeColor('editorOverviewRuler.wordHighlightForeground'),
    overviewRulerLane: vscode.OverviewRulerLane.Center,
  });
  let timer: NodeJS.Timeout | undefined;

  function follow(editor: vscode.TextEditor | undefined): void {
    clearTimeout(timer);
    if (!editor) return;
    timer = setTimeout(() => {
      if (editor.document.uri.scheme === LOG_SCHEME) markSource(editor);
      else markLogs(editor);
    }, MARK_DELAY);
  }

  function markLogs(editor: vscode.TextEditor): void {
    const { document, selection } = editor;
    // What a log marked here is of its cursor; now this one leads.
    editor.setDecorations(mark, []);
    for (const log of vscode.window.visibleTextEditors) {
      if (log.document.uri.scheme !== LOG_SCHEME) continue;
      const lines = logOf(log.document.uri)?.linesOf(document.uri.fsPath, selection.active.line) ?? [];
      log.setDecorations(
        mark,
        lines.slice(-MAX_MARKS).map((line) => new vscode.Range(line, 0, line, 0)),
      );
    }
  }

  function markSource(log: vscode.TextEditor): void {
    const link = logOf(log.document.uri)?.linkAt(log.selection.active.line);
    for (const editor of vscode.window.visibleTextEditors) {
      if (editor.document.uri.scheme === LOG_SCHEME) continue;
      const isMeant = link !== undefined && editor.document.uri.fsPath === link.path;
      editor.setDecorations(mark, isMeant ? [new vscode.Range(link.sourceLine, 0, link.sourceLine, 0)] : []);
    }
  }

  return vscode.Disposable.from(
    mark,
    { dispose: () => clearTimeout(timer) },
    vscode.languages.registerFoldingRangeProvider(selector, folding),
    vscode.languages.registerDefinitionProvider(selector, definitions),
    vscode.window.onDidChangeTextEditorSelection(({ textEditor }) => follow(textEditor)),
    vscode.window.onDidChangeActiveTextEditor(follow),
  );
}

/** A path of the log as a document; the source itself may be one that was never saved. */
function fileOf(path: string, source: vscode.Uri): vscode.Uri {
  return source.fsPath === path ? source : vscode.Uri.file(path);
}
