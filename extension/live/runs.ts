/**
 * The view *Recorded Runs*: the flight recorder of attached programs. It keeps the newest runs, stops by itself at one
 * of which a condition holds, and each can be opened and gone through.
 */
import * as vscode from 'vscode';
import {
  DEBUG_TYPE,
  FlightRecorder,
  FlightRecorderState,
  OpenRun,
  Runs,
  SessionState,
} from '../../debug-adapter/protocol';
import type {
  FlightRecorderArguments,
  FlightRecorderStateEvent,
  OpenRunArguments,
  RecordedRunSummary,
  RunsResponse,
  SessionStateEvent,
} from '../../debug-adapter/protocol';
import { errors, present, reporting } from '../errors';
import type { Services } from '../services';
import { clockTime, throttled } from './time';

const VIEW = 'bpf.runs';
const REFRESH_MS = 500;

interface Row {
  session: vscode.DebugSession;
  run: RecordedRunSummary;
  /** The condition held of it. */
  isStop: boolean;
}

export function activate(context: vscode.ExtensionContext, { log }: Services): void {
  const changed = new vscode.EventEmitter<undefined>();
  const refresh = throttled(() => changed.fire(undefined), REFRESH_MS);
  /** Sessions with attached programs, the last attached last. */
  const attached: vscode.DebugSession[] = [];
  const states = new Map<vscode.DebugSession, FlightRecorderStateEvent>();
  const view = vscode.window.createTreeView<Row>(VIEW, {
    treeDataProvider: {
      onDidChangeTreeData: changed.event,
      getTreeItem: treeItem,
      getChildren: (row) => (row ? [] : rows()),
    },
  });

  /** The session that commands are about. */
  function current(): vscode.DebugSession | undefined {
    const active = vscode.debug.activeDebugSession;
    return active && attached.includes(active) ? active : attached.at(-1);
  }

  async function rows(): Promise<Row[]> {
    const session = current();
    const state = session && states.get(session);
    // Without a recorder there is nothing to ask for, and the welcome text says how to begin.
    if (!session || !state || (!state.enabled && state.stoppedAt === undefined)) return [];
    try {
      const { runs } = (await session.customRequest(Runs, {})) as RunsResponse;
      return runs.map((run) => ({ session, run, isStop: run.id === state.stoppedAt }));
    } catch (error) {
      log.warn(`[runs] ${String(error)}`);
      return [];
    }
  }

  function publish(): void {
    const session = current();
    const state = session && states.get(session);
    void vscode.commands.executeCommand('setContext', 'bpf.isAttached', attached.length > 0);
    void vscode.commands.executeCommand('setContext', 'bpf.isRecording', state?.enabled === true);
    view.description = state && describe(state);
    view.message = state && warnings(state);
    refresh.soon();
  }

  async function record(enabled: boolean, stopWhen?: string): Promise<void> {
    const session = current();
    if (!session) return present(errors.nothingAttached(), log);
    const request: FlightRecorderArguments = { enabled, ...(stopWhen ? { stopWhen } : {}) };
    const state = (await session.customRequest(FlightRecorder, request)) as FlightRecorderStateEvent;
    states.set(session, state);
    publish();
    if (enabled) await vscode.commands.executeCommand(`${VIEW}.focus`);
  }

  async function recordUntil(): Promise<void> {
    const session = current();
    const condition = await vscode.window.showInputBox({
      title: vscode.l10n.t('Record Until…'),
      prompt: vscode.l10n.t(
        'A C expression about the end of a run: recording stops at the first run of which it holds. `returned` is the return value. Empty: record until stopped.',
      ),
      placeHolder: 'returned == XDP_DROP && saddr == 0x0700000a',
      value: (session && states.get(session)?.stopWhen) ?? '',
    });
    if (condition !== undefined) await record(true, condition.trim());
  }

  const command = (
    id: string,
    what: string,
    handler: (argument?: unknown) => Promise<void>,
  ): vscode.Disposable => vscode.commands.registerCommand(id, reporting(what, log, handler));
  const recording = vscode.l10n.t('Recording runs');
  context.subscriptions.push(
    changed,
    refresh,
    view,
    command('bpf.startFlightRecorder', recording, () => record(true)),
    command('bpf.stopFlightRecorder', recording, () => record(false)),
    command('bpf.recordUntil', recording, recordUntil),
    command('bpf.openRun', vscode.l10n.t('Opening the run'), async (argument) => {
      const row = (argument as Row | undefined) ?? view.selection[0];
      if (!row) return;
      const request: OpenRunArguments = { id: row.run.id };
      await row.session.customRequest(OpenRun, request);
    }),
    vscode.debug.onDidChangeActiveDebugSession(publish),
    vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
      if (session.type !== DEBUG_TYPE) return;
      if (event === FlightRecorderState) {
        const before = states.get(session);
        const told = body as FlightRecorderStateEvent;
        // A recorder that has stopped no longer says what it looked for.
        const isStop = told.stoppedAt !== undefined;
        const stopWhen = told.stopWhen ?? (isStop ? before?.stopWhen : undefined);
        const state = { ...told, ...(stopWhen === undefined ? {} : { stopWhen }) };
        states.set(session, state);
        publish();
        if (isStop && before?.stoppedAt === undefined) offerToOpen(session, state);
      } else if (event === SessionState && (body as SessionStateEvent).phase === 'attached') {
        if (!attached.includes(session)) attached.push(session);
        publish();
      }
    }),
    vscode.debug.onDidTerminateDebugSession((session) => {
      const index = attached.indexOf(session);
      if (index >= 0) attached.splice(index, 1);
      states.delete(session);
      publish();
    }),
  );

  /** It may have taken hours, and nobody may have been looking. */
  function offerToOpen(
    session: vscode.DebugSession,
    { stoppedAt, stopWhen = '' }: FlightRecorderStateEvent,
  ): void {
    const open = vscode.l10n.t('Open Run');
    const message = vscode.l10n.t(
      'The condition held of a run: {0}. It is kept, and recording has stopped.',
      stopWhen,
    );
    const request: OpenRunArguments = { id: stoppedAt! };
    const offered = reporting(vscode.l10n.t('Opening the run'), log, async () => {
      const chosen = await vscode.window.showInformationMessage(message, open);
      if (chosen === open) await session.customRequest(OpenRun, request);
    });
    void offered();
  }
}

function describe({ enabled, stopWhen, runs, stoppedAt }: FlightRecorderStateEvent): string {
  const count = runs.toLocaleString(vscode.env.language);
  if (stoppedAt !== undefined) return vscode.l10n.t('stopped: {0}', stopWhen ?? '');
  if (!enabled) return vscode.l10n.t('off');
  return stopWhen === undefined
    ? vscode.l10n.t('{0} runs', count)
    : vscode.l10n.t('{0} runs, until {1}', count, stopWhen);
}

function warnings({ notRecorded, lost }: FlightRecorderStateEvent): string | undefined {
  const lines = notRecorded.map(({ program, reason }) =>
    vscode.l10n.t('{0} is not recorded: {1}.', program, reason),
  );
  if (lost > 0) {
    const count = lost.toLocaleString(vscode.env.language);
    lines.push(vscode.l10n.t('{0} runs were gone before the condition could be tried on them.', count));
  }
  return lines.length === 0 ? undefined : lines.join('\n');
}

function treeItem(row: Row): vscode.TreeItem {
  const { run, isStop } = row;
  const item = new vscode.TreeItem(run.returned);
  const steps = run.steps?.toLocaleString(vscode.env.language);
  item.description = [
    // Of many runs within a tick of the kernel only the first know more than the tick.
    `${run.isTimeOfTick ? '≈ ' : ''}${clockTime(run.time)}`,
    vscode.l10n.t('CPU {0}', run.cpu),
    ...(steps === undefined ? [] : [vscode.l10n.t('{0} instructions', steps)]),
  ].join(' · ');
  item.iconPath = isStop
    ? new vscode.ThemeIcon('debug-stackframe', new vscode.ThemeColor('charts.yellow'))
    : new vscode.ThemeIcon('debug-rerun');
  item.tooltip = [
    run.hook,
    vscode.l10n.t('returned {0}', run.returned),
    ...(isStop ? [vscode.l10n.t('The condition held of this run.')] : []),
  ].join('\n');
  item.command = { title: vscode.l10n.t('Open Run'), command: 'bpf.openRun', arguments: [row] };
  item.contextValue = 'run';
  item.accessibilityInformation = { label: `${run.returned}, ${item.description}` };
  return item;
}
