/**
 * The view *Snapshots*: what breakpoints in attached programs have seen, as it arrives. Nothing stops there, so each hit
 * is a row that can be opened.
 */
import path from 'node:path';
import * as vscode from 'vscode';
import { DEBUG_TYPE, OpenSnapshot, Snapshot, SnapshotCounts } from '../../debug-adapter/protocol';
import type { OpenSnapshotArguments, SnapshotCountsEvent, SnapshotEvent } from '../../debug-adapter/protocol';
import { reporting } from '../errors';
import type { Services } from '../services';
import { clockTime, throttled } from './time';

const VIEW = 'bpf.snapshots';
/** Rows that are kept; the adapter keeps about as many open. */
const MAX_ROWS = 500;
const REFRESH_MS = 250;

interface Row {
  session: vscode.DebugSession;
  snapshot: SnapshotEvent;
}

export function activate(context: vscode.ExtensionContext, { log }: Services): void {
  const changed = new vscode.EventEmitter<undefined>();
  /** Newest first. */
  let rows: Row[] = [];
  const counts = new Map<vscode.DebugSession, SnapshotCountsEvent>();
  /** Sessions whose first snapshot has brought up the view. */
  const seen = new WeakSet<vscode.DebugSession>();
  const refresh = throttled(() => changed.fire(undefined), REFRESH_MS);
  const view = vscode.window.createTreeView<Row>(VIEW, {
    treeDataProvider: {
      onDidChangeTreeData: changed.event,
      getTreeItem: treeItem,
      getChildren: (row) => (row ? [] : rows),
      getParent: () => undefined,
    },
  });

  /** Nothing stops at the breakpoint that somebody has set, so that the view has to show that it was hit. */
  function reveal(row: Row): void {
    seen.add(row.session);
    view
      .reveal(row, { select: false, focus: false })
      .then(undefined, (error: unknown) => log.warn(`[snapshots] ${String(error)}`));
  }

  function count(): void {
    const sums = [...counts.values()];
    const sum = (part: (one: SnapshotCountsEvent) => number) =>
      sums.reduce((total, one) => total + part(one), 0);
    const [hits, lost] = [sum((one) => one.hits), sum((one) => one.lost)];
    view.description =
      sums.length === 0
        ? undefined
        : lost > 0
          ? vscode.l10n.t('{0} hits, {1} lost', number(hits), number(lost))
          : vscode.l10n.t('{0} hits', number(hits));
  }

  context.subscriptions.push(
    changed,
    view,
    refresh,
    vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
      if (session.type !== DEBUG_TYPE) return;
      if (event === Snapshot) {
        const row = { session, snapshot: body as SnapshotEvent };
        rows = [row, ...rows.slice(0, MAX_ROWS - 1)];
        refresh.soon();
        if (!seen.has(session)) reveal(row);
      } else if (event === SnapshotCounts) {
        counts.set(session, body as SnapshotCountsEvent);
        count();
      }
    }),
    vscode.debug.onDidTerminateDebugSession((session) => {
      counts.delete(session);
      rows = rows.filter((row) => row.session !== session);
      count();
      refresh.soon();
    }),
    vscode.commands.registerCommand(
      'bpf.openSnapshot',
      reporting(vscode.l10n.t('Opening the snapshot'), log, async (argument?: unknown) => {
        const row = (argument as Row | undefined) ?? view.selection[0] ?? rows[0];
        if (!row) return;
        const request: OpenSnapshotArguments = { id: row.snapshot.id };
        await row.session.customRequest(OpenSnapshot, request);
      }),
    ),
    vscode.commands.registerCommand('bpf.clearSnapshots', () => {
      rows = [];
      refresh.soon();
    }),
  );
}

function treeItem(row: Row): vscode.TreeItem {
  const { snapshot } = row;
  const place = `${path.basename(snapshot.path)}:${snapshot.line}`;
  const item = new vscode.TreeItem(snapshot.time === undefined ? place : clockTime(snapshot.time));
  const locals = snapshot.locals.map(({ name, value }) => `${name} = ${value}`);
  const where = [
    snapshot.time === undefined ? undefined : place,
    snapshot.cpu === undefined ? undefined : vscode.l10n.t('CPU {0}', snapshot.cpu),
  ];
  // A side bar is narrow; what differs from row to row stands first.
  item.description = [locals.join(', '), ...where].filter(Boolean).join(' · ');
  item.iconPath = new vscode.ThemeIcon('device-camera');
  item.tooltip = new vscode.MarkdownString()
    .appendText(`${snapshot.function}, ${place}\n${snapshot.hook}`)
    .appendCodeblock(locals.join('\n'), 'c');
  item.command = { title: vscode.l10n.t('Open Snapshot'), command: 'bpf.openSnapshot', arguments: [row] };
  item.contextValue = 'snapshot';
  item.accessibilityInformation = {
    label: vscode.l10n.t('Snapshot of {0}, {1}: {2}', String(item.label), place, locals.join(', ')),
  };
  return item;
}

function number(value: number): string {
  return value.toLocaleString(vscode.env.language);
}
