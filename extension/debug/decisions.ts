/** The view *Branch Decisions*: the conditional jumps that led to where the run rests, the last one first. */
import path from 'node:path';
import * as vscode from 'vscode';
import { DEBUG_TYPE, Decisions, GoToStep } from '../../debug-adapter/protocol';
import type { Decision, DecisionsResponse, GoToStepArguments } from '../../debug-adapter/protocol';
import { reporting } from '../errors';
import type { Services } from '../services';

const VIEW = 'bpf.decisions';

type Row =
  { kind: 'decision'; decision: Decision; session: vscode.DebugSession } | { kind: 'earlier'; count: number };

export function activate(context: vscode.ExtensionContext, { log }: Services): void {
  const changed = new vscode.EventEmitter<undefined>();
  const view = vscode.window.createTreeView<Row>(VIEW, {
    treeDataProvider: {
      onDidChangeTreeData: changed.event,
      getTreeItem: treeItem,
      getChildren: (row) => (row ? [] : rows()),
    },
  });

  /** Asked for when the view is looked at: nobody waits for what nobody sees. */
  async function rows(): Promise<Row[]> {
    view.message = undefined;
    const session = vscode.debug.activeDebugSession;
    if (session?.type !== DEBUG_TYPE) return [];
    let found: DecisionsResponse;
    try {
      found = (await session.customRequest(Decisions, {})) as DecisionsResponse;
    } catch (error) {
      // Programs that are attached, and runs that were not recorded, have no past; the adapter says which.
      view.message = error instanceof Error ? error.message : String(error);
      return [];
    }
    const { decisions, earlier } = found;
    if (decisions.length === 0) view.message = vscode.l10n.t('No branch was passed up to here.');
    const shown = decisions.toReversed().map((decision): Row => ({ kind: 'decision', decision, session }));
    return earlier > 0 ? [...shown, { kind: 'earlier', count: earlier }] : shown;
  }

  const refresh = () => changed.fire(undefined);
  context.subscriptions.push(
    changed,
    view,
    vscode.debug.onDidChangeActiveStackItem(refresh),
    vscode.debug.onDidTerminateDebugSession(refresh),
    vscode.commands.registerCommand(
      'bpf.showDecisions',
      reporting(vscode.l10n.t('Showing the branch decisions'), log, async () => {
        await vscode.commands.executeCommand(`${VIEW}.focus`);
      }),
    ),
    vscode.commands.registerCommand(
      'bpf.goToStep',
      reporting(vscode.l10n.t('Going to the step'), log, async (row?: unknown) => {
        const { kind, decision, session } = row as Extract<Row, { kind: 'decision' }>;
        if (kind !== 'decision') return;
        const request: GoToStepArguments = { step: decision.step };
        await session.customRequest(GoToStep, request);
      }),
    ),
  );
}

function treeItem(row: Row): vscode.TreeItem {
  if (row.kind === 'earlier') {
    const item = new vscode.TreeItem(
      vscode.l10n.t('{0} earlier ones', row.count.toLocaleString(vscode.env.language)),
    );
    item.iconPath = new vscode.ThemeIcon('ellipsis');
    return item;
  }
  const { decision } = row;
  const { condition, compared, held, times } = decision;
  const item = new vscode.TreeItem(condition);
  const place = placeOf(decision);
  item.description = [
    outcome(decision),
    compared,
    times > 1 ? vscode.l10n.t('{0} times in a row', times) : undefined,
    place,
  ]
    .filter((part) => part !== undefined)
    .join(' · ');
  item.iconPath =
    held === undefined
      ? new vscode.ThemeIcon('git-branch')
      : held
        ? new vscode.ThemeIcon('pass', new vscode.ThemeColor('charts.green'))
        : new vscode.ThemeIcon('circle-slash', new vscode.ThemeColor('charts.orange'));
  item.tooltip = new vscode.MarkdownString()
    .appendCodeblock(condition, 'c')
    .appendText(
      [
        outcome(decision),
        compared === undefined ? undefined : vscode.l10n.t('compared: {0}', compared),
        vscode.l10n.t(
          'in {0}, {1}, instruction {2}, step {3}',
          decision.function,
          place,
          decision.insn,
          decision.step,
        ),
      ]
        .filter((part) => part !== undefined)
        .join('\n'),
    );
  item.command = { title: vscode.l10n.t('Go to Step'), command: 'bpf.goToStep', arguments: [row] };
  item.contextValue = 'decision';
  item.accessibilityInformation = { label: `${condition}: ${item.description}` };
  return item;
}

/** What came of it, in C where that can be told, else of the instruction. */
function outcome({ held, jumped }: Decision): string {
  if (held !== undefined) return held ? vscode.l10n.t('held') : vscode.l10n.t('did not hold');
  return jumped ? vscode.l10n.t('jumped') : vscode.l10n.t('went on');
}

function placeOf({ path: file, line, insn }: Decision): string {
  return file === undefined ? vscode.l10n.t('instruction {0}', insn) : `${path.basename(file)}:${line}`;
}
