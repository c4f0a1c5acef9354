/** How coverage looks: bars in the gutter, the overview ruler, and what the hover says of a line. */
import * as vscode from 'vscode';
import { isSamePlace, type SummedCoverage } from '../../debug-adapter/coverage/sum';
import type { BranchCoverage, BranchSide, LineCoverage } from '../../debug-adapter/protocol';

/** All of a line's branches went both ways; some went one way only; the line never ran. */
export type MarkLevel = 'full' | 'partial' | 'none';

const LEVELS: Record<MarkLevel, { ruler: string; color: { light: string; dark: string } }> = {
  full: { ruler: 'testing.coveredGutterBackground', color: { light: '#388a34', dark: '#89d185' } },
  partial: { ruler: 'minimapGutter.modifiedBackground', color: { light: '#bf8803', dark: '#cca700' } },
  none: { ruler: 'testing.uncoveredGutterBackground', color: { light: '#e51400', dark: '#f14c4c' } },
};

export function coverageMarks(): Record<MarkLevel, vscode.TextEditorDecorationType> {
  return { full: mark('full'), partial: mark('partial'), none: mark('none') };
}

function mark(level: MarkLevel): vscode.TextEditorDecorationType {
  const { ruler, color } = LEVELS[level];
  return vscode.window.createTextEditorDecorationType({
    light: { gutterIconPath: bar(level, color.light) },
    dark: { gutterIconPath: bar(level, color.dark) },
    gutterIconSize: 'contain',
    overviewRulerColor: new vscode.ThemeColor(ruler),
    overviewRulerLane: vscode.OverviewRulerLane.Left,
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
}

/** A bar at the edge, which leaves a breakpoint's dot in sight. Its form tells what its colour does. */
function bar(level: MarkLevel, color: string): vscode.Uri {
  const forms: Record<MarkLevel, string> = {
    full: '<rect x="0" y="0" width="3" height="16"/>',
    partial: '<rect x="0" y="0" width="3" height="6"/><rect x="0" y="10" width="3" height="6"/>',
    none: '<path d="M0 0h3v2.5h-3zM0 4.5h3v2.5h-3zM0 9h3v2.5h-3zM0 13.5h3v2.5h-3z"/>',
  };
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" fill="${color}">${forms[level]}</svg>`;
  return vscode.Uri.parse(`data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`);
}

export function markLevels(
  file: SummedCoverage,
  document: vscode.TextDocument,
): Record<MarkLevel, vscode.DecorationOptions[]> {
  const levels: Record<MarkLevel, vscode.DecorationOptions[]> = { full: [], partial: [], none: [] };
  for (const line of file.lines) {
    if (line.line > document.lineCount) continue;
    const { range } = document.lineAt(line.line - 1);
    levels[levelOf(line)].push({ range, hoverMessage: describeLine(line, file.runs) });
  }
  return levels;
}

function levelOf({ hits, branches }: LineCoverage): MarkLevel {
  if (hits === 0) return 'none';
  const isPartial = branches.some(({ sides }) => sides.some(({ times }) => times === 0));
  return isPartial ? 'partial' : 'full';
}

function describeLine({ hits, branches }: LineCoverage, runs: number): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  text.appendText(`${reachedText(hits)} ${inRuns(runs)}`);
  // What never ran has no branch to speak of.
  for (const branch of hits > 0 ? branches : []) {
    text.appendMarkdown('\n\n');
    text.appendText(describeBranch(branch));
  }
  return text;
}

function reachedText(hits: number): string {
  if (hits === 0) return vscode.l10n.t('Never reached');
  return hits === 1 ? vscode.l10n.t('Reached once') : vscode.l10n.t('Reached {0} times', number(hits));
}

function inRuns(runs: number): string {
  return runs === 1 ? vscode.l10n.t('in one run.') : vscode.l10n.t('in {0} runs.', number(runs));
}

function describeBranch({ column, sides: [one, other] }: BranchCoverage): string {
  const taken = isSamePlace([one, other])
    ? vscode.l10n.t('one way {0}, the other {1}', timesText(one), timesText(other))
    : [sideText(one, other), sideText(other, one)].join(', ');
  return column > 0
    ? vscode.l10n.t('Branch at column {0}: {1}', column, taken)
    : vscode.l10n.t('Branch: {0}', taken);
}

function timesText({ times }: BranchSide): string {
  if (times === 0) return vscode.l10n.t('never');
  return times === 1 ? vscode.l10n.t('once') : vscode.l10n.t('{0} times', number(times));
}

function sideText(side: BranchSide, other: BranchSide): string {
  return vscode.l10n.t('{0} to {1}', timesText(side), placeText(side, other));
}

/** `line 34`, `line 12 of parsing.h`; with the column where both sides lead to one line. */
function placeText({ line, column, path }: BranchSide, other: BranchSide): string {
  if (line === undefined) return vscode.l10n.t('code without a line');
  if (path !== undefined) return vscode.l10n.t('line {0} of {1}', line, path.split('/').at(-1)!);
  const isSame = line === other.line && other.path === undefined;
  return isSame && column
    ? vscode.l10n.t('line {0}, column {1}', line, column)
    : vscode.l10n.t('line {0}', line);
}

function number(value: number): string {
  return value.toLocaleString(vscode.env.language);
}
