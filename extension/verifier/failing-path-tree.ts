/** Rows of the view *Failing Path*. */
import * as vscode from 'vscode';
import type { FailingPathResult, PathNode } from '../../language-server/protocol';

export type Row = NodeRow | RegistersRow;

export interface NodeRow {
  kind: 'node';
  node: PathNode;
  parent: NodeRow | undefined;
  children: Row[];
  /** Place in the view when everything is unfolded, for next and previous. */
  order: number;
  /** The same for the same row of a newer path, so that what is unfolded stays so. */
  id: string;
}
/** What the log says of one register before and after a step. */
export interface RegistersRow {
  kind: 'register';
  parent: NodeRow;
  name: string;
  before: string | undefined;
  after: string | undefined;
}

/** All rows of a path. Steps that the explanation names show their registers, others have them in their tooltip. */
export function rowsOf({ nodes, program }: FailingPathResult): NodeRow[] {
  let count = 0;
  const build = (node: PathNode, parent: NodeRow | undefined): NodeRow => {
    const order = count++;
    const row: NodeRow = { kind: 'node', node, parent, children: [], order, id: `${program}:${order}` };
    const registers =
      node.kind === 'cause' || node.kind === 'failure'
        ? (node.registers ?? []).map((register): RegistersRow => ({
            kind: 'register',
            parent: row,
            name: registerName(register),
            before: register.before,
            after: register.after,
          }))
        : [];
    row.children = [...registers, ...node.children.map((child) => build(child, row))];
    return row;
  };
  return nodes.map((node) => build(node, undefined));
}

/** A row and the rows under it, in the order of the view. */
export function flatten(rows: readonly Row[]): NodeRow[] {
  return rows.flatMap((row) => (row.kind === 'node' ? [row, ...flatten(row.children)] : []));
}

const ICONS: Record<PathNode['kind'], vscode.ThemeIcon> = {
  start: new vscode.ThemeIcon('debug-start'),
  cause: new vscode.ThemeIcon('lightbulb', new vscode.ThemeColor('charts.yellow')),
  failure: new vscode.ThemeIcon('error', new vscode.ThemeColor('list.errorForeground')),
  line: new vscode.ThemeIcon('circle-small-filled'),
  decision: new vscode.ThemeIcon('git-branch'),
  call: new vscode.ThemeIcon('symbol-function'),
  loop: new vscode.ThemeIcon('sync'),
  more: new vscode.ThemeIcon('ellipsis'),
};

const CAUSE_ICONS: Record<NonNullable<PathNode['cause']>, vscode.ThemeIcon> = {
  origin: new vscode.ThemeIcon('target', new vscode.ThemeColor('charts.blue')),
  change: new vscode.ThemeIcon('edit', new vscode.ThemeColor('charts.blue')),
  proof: new vscode.ThemeIcon('pass', new vscode.ThemeColor('charts.green')),
  'proof-lost': new vscode.ThemeIcon('discard', new vscode.ThemeColor('charts.orange')),
  decision: new vscode.ThemeIcon('git-branch', new vscode.ThemeColor('charts.blue')),
  acquired: new vscode.ThemeIcon('lock', new vscode.ThemeColor('charts.blue')),
  loop: new vscode.ThemeIcon('sync', new vscode.ThemeColor('charts.blue')),
  stack: new vscode.ThemeIcon('layers', new vscode.ThemeColor('charts.blue')),
};

export function treeItem(row: Row): vscode.TreeItem {
  if (row.kind === 'register') return registerItem(row);
  const { node } = row;
  const item = new vscode.TreeItem(node.label, stateOf(row));
  item.description = [
    node.count === undefined ? undefined : `×${node.count.toLocaleString(vscode.env.language)}`,
    node.detail,
  ]
    .filter((part) => part !== undefined)
    .join(' · ');
  item.id = row.id;
  item.iconPath = node.cause ? CAUSE_ICONS[node.cause] : ICONS[node.kind];
  item.contextValue = node.logLines ? 'step' : 'note';
  item.tooltip = tooltip(node);
  item.accessibilityInformation = { label: `${SPOKEN[node.kind]()}: ${node.label}, ${item.description}` };
  return item;
}

/** The steps the explanation names are unfolded, and what runs inside functions and loops is not. */
function stateOf({ node, children }: NodeRow): vscode.TreeItemCollapsibleState {
  if (children.length === 0) return vscode.TreeItemCollapsibleState.None;
  return node.kind === 'call' || node.kind === 'loop'
    ? vscode.TreeItemCollapsibleState.Collapsed
    : vscode.TreeItemCollapsibleState.Expanded;
}

const SPOKEN: Record<PathNode['kind'], () => string> = {
  start: () => vscode.l10n.t('Beginning'),
  cause: () => vscode.l10n.t('Cause'),
  failure: () => vscode.l10n.t('Failure'),
  line: () => vscode.l10n.t('Line'),
  decision: () => vscode.l10n.t('Branch decision'),
  call: () => vscode.l10n.t('Call'),
  loop: () => vscode.l10n.t('Loop'),
  more: () => vscode.l10n.t('Note'),
};

function registerItem({ parent, name, before, after }: RegistersRow): vscode.TreeItem {
  const item = new vscode.TreeItem(name);
  item.id = `${parent.id}:${name}`;
  item.description = change(before, after);
  item.iconPath = new vscode.ThemeIcon('symbol-variable');
  item.tooltip = `${name}: ${item.description}`;
  item.contextValue = 'register';
  return item;
}

/** `total (R0)`, `R0` */
function registerName({ name, variable }: NonNullable<PathNode['registers']>[number]): string {
  return variable === undefined ? name : `${variable} (${name})`;
}

function change(before: string | undefined, after: string | undefined): string {
  if (before === after || after === undefined) return before ?? '';
  return before === undefined ? after : `${before} → ${after}`;
}

function tooltip({ label, detail, kind, count, instruction, registers }: PathNode): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  text.appendText(detail === undefined ? label : `${label} (${detail})`);
  if (kind === 'loop' && count !== undefined) {
    text.appendMarkdown('\n\n');
    text.appendText(
      vscode.l10n.t('Gone through {0} times on this path; the rows below are of the last time.', count),
    );
  }
  const lines = [
    ...(instruction === undefined ? [] : [instruction]),
    ...(registers ?? []).map((register) => {
      const { before, after } = register;
      return `${registerName(register)}: ${change(before, after)}`;
    }),
  ];
  if (lines.length > 0) {
    text.appendMarkdown('\n');
    text.appendCodeblock(lines.join('\n'), 'bpf-log');
  }
  return text;
}
