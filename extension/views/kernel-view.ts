/**
 * The view *BPF* of the debug container: this window's sessions, each with a Detach button, and the programs and
 * links that the kernel has. It refreshes when a session begins or ends, when the kernel changes, and on request.
 */
import * as vscode from 'vscode';
import { DEBUG_TYPE } from '../../debug-adapter/protocol';
import type { Results } from '../../kernel/protocol';
import type { Services } from '../services';

type Node =
  | { kind: 'session'; session: vscode.DebugSession }
  | { kind: 'group'; title: string; children: Node[] }
  | { kind: 'program'; program: Results['listPrograms']['programs'][number] }
  | { kind: 'link'; link: Results['listLinks']['links'][number] }
  | { kind: 'message'; text: string };

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const { kernel, log } = services;
  const changed = new vscode.EventEmitter<undefined>();
  const sessions = new Set<vscode.DebugSession>();
  const refresh = () => changed.fire(undefined);
  const publish = () => {
    void vscode.commands.executeCommand('setContext', 'bpf.hasSession', sessions.size > 0);
    refresh();
  };

  const provider: vscode.TreeDataProvider<Node> = {
    onDidChangeTreeData: changed.event,
    getTreeItem: treeItem,
    getChildren: (node) => {
      if (node?.kind === 'group') return node.children;
      return node ? [] : roots([...sessions], services);
    },
  };
  context.subscriptions.push(
    changed,
    vscode.window.createTreeView('bpf.kernel', { treeDataProvider: provider }),
    vscode.commands.registerCommand('bpf.refreshKernelView', refresh),
    vscode.debug.onDidStartDebugSession((session) => {
      if (session.type !== DEBUG_TYPE) return;
      sessions.add(session);
      publish();
    }),
    vscode.debug.onDidTerminateDebugSession((session) => {
      if (sessions.delete(session)) publish();
    }),
    kernel.onDidChange((state) => {
      log.debug(`kernel view: ${state.phase}`);
      refresh();
    }),
  );
}

async function roots(sessions: vscode.DebugSession[], { kernel, log }: Services): Promise<Node[]> {
  const own: Node[] = sessions.map((session) => ({ kind: 'session', session }));
  if (kernel.state.phase !== 'running') return own;
  const { client } = kernel.state.kernel;
  try {
    const [{ programs }, { links }] = await Promise.all([
      client.request('listPrograms', {}),
      client.request('listLinks', {}),
    ]);
    if (programs.length + links.length === 0) return own;
    const title = vscode.l10n.t('Linux {0}', client.hello.kernel.release);
    const loaded: Node[] = [
      ...programs.map((program): Node => ({ kind: 'program', program })),
      ...links.map((link): Node => ({ kind: 'link', link })),
    ];
    return [...own, { kind: 'group', title, children: loaded }];
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    log.warn(`[kernelView] ${reason}`);
    return [...own, { kind: 'message', text: vscode.l10n.t('The kernel gave no list: {0}', reason) }];
  }
}

function treeItem(node: Node): vscode.TreeItem {
  switch (node.kind) {
    case 'session': {
      const item = new vscode.TreeItem(node.session.name);
      item.iconPath = new vscode.ThemeIcon(node.session.configuration.request === 'attach' ? 'plug' : 'play');
      item.description = vscode.l10n.t('this window');
      item.contextValue = 'session';
      return item;
    }
    case 'group': {
      const item = new vscode.TreeItem(node.title, vscode.TreeItemCollapsibleState.Expanded);
      item.iconPath = new vscode.ThemeIcon('circuit-board');
      return item;
    }
    case 'program': {
      const { id, name, type, runCount, pids } = node.program;
      const item = new vscode.TreeItem(name || vscode.l10n.t('program {0}', id));
      item.iconPath = new vscode.ThemeIcon('symbol-method');
      item.description = [type, `id ${id}`, runCount > 0n ? vscode.l10n.t('{0} runs', String(runCount)) : '']
        .filter((part) => part !== '')
        .join(' · ');
      item.tooltip =
        pids.length > 0
          ? vscode.l10n.t('{0}, held by process {1}', String(item.label), pids.join(', '))
          : undefined;
      item.contextValue = 'program';
      return item;
    }
    case 'link': {
      const item = new vscode.TreeItem(node.link.description || node.link.type);
      item.iconPath = new vscode.ThemeIcon('link');
      item.description = `${node.link.type} · id ${node.link.id} → program ${node.link.programId}`;
      item.contextValue = 'link';
      return item;
    }
    case 'message':
      return new vscode.TreeItem(node.text);
  }
}
