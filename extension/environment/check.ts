/** *BPF: Check Environment*: gathers what is there, judges it with toolchain/environment, and shows the page. */
import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import {
  checkEnvironment,
  type CheckId,
  type EnvironmentCheck,
} from '../../toolchain/environment/environment';
import { EditorCommands } from '../../language-server/protocol';
import { present, errors, reporting, type Action } from '../errors';
import type { TargetProblem } from '../../kernel/targets/target';
import type { Services } from '../services';
import type { RunningKernel } from '../window-kernel/kernel';
import { gatherFacts } from './facts';
import { renderPage, type PageMessage, type PageText } from './page';

export function activate(context: vscode.ExtensionContext, services: Services): void {
  let panel: vscode.WebviewPanel | undefined;
  const what = vscode.l10n.t('Checking the environment');
  const gather = (kernel: Promise<RunningKernel | TargetProblem>) =>
    vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title: what }, async () =>
      gatherFacts(await kernel, services),
    );
  const check = async () => {
    if (!vscode.workspace.isTrusted) return present(errors.untrusted(what), services.log);
    const facts = await gather(services.kernel.ensure());
    panel ??= createPanel(context, services, () => (panel = undefined));
    show(panel, checkEnvironment(facts));
    panel.reveal();
  };
  // An open page is about the kernel in use, also when that becomes another one.
  const follow = services.kernel.onDidChange(async (state) => {
    if (!panel || (state.phase !== 'running' && state.phase !== 'failed')) return;
    const facts = await gather(Promise.resolve(state.phase === 'running' ? state.kernel : state.problem));
    if (panel) show(panel, checkEnvironment(facts));
  });
  context.subscriptions.push(
    follow,
    vscode.commands.registerCommand(EditorCommands.checkEnvironment, reporting(what, services.log, check)),
  );
}

function createPanel(
  context: vscode.ExtensionContext,
  services: Services,
  onGone: () => void,
): vscode.WebviewPanel {
  const panel = vscode.window.createWebviewPanel(
    'bpf.environment',
    vscode.l10n.t('BPF Environment'),
    vscode.ViewColumn.Active,
    { enableScripts: true, localResourceRoots: [] },
  );
  panel.onDidDispose(onGone, undefined, context.subscriptions);
  panel.webview.onDidReceiveMessage(
    reporting(vscode.l10n.t('The button'), services.log, (message: PageMessage) => obey(message)),
    undefined,
    context.subscriptions,
  );
  return panel;
}

/** What the editor can do about a check that is not well. */
function editorAction(id: CheckId): Action | undefined {
  const select = { title: vscode.l10n.t('Select Kernel'), command: EditorCommands.selectKernel };
  switch (id) {
    case 'kernel':
    case 'privileges':
    case 'network':
    case 'btf':
    case 'kprobes':
    case 'vmKernels':
      return select;
    case 'clang':
      return {
        title: vscode.l10n.t('Set Path of clang'),
        command: 'workbench.action.openSettings',
        arguments: ['bpf.clang.path'],
      };
    case 'qemu':
      return {
        title: vscode.l10n.t('Set Path of QEMU'),
        command: 'workbench.action.openSettings',
        arguments: ['bpf.qemu.path'],
      };
    default:
      return undefined;
  }
}

function show(panel: vscode.WebviewPanel, checks: EnvironmentCheck[]): void {
  const bad = checks.filter((check) => check.state !== 'ok').length;
  const actions: PageText['actions'] = {};
  for (const { id } of checks) {
    const action = editorAction(id);
    if (action) actions[id] = action.title;
  }
  const text: PageText = {
    title: vscode.l10n.t('BPF Environment'),
    summary:
      bad === 0
        ? vscode.l10n.t('Everything BPF Studio can use is here.')
        : vscode.l10n.t('{0} of {1} things are missing or limited.', bad, checks.length),
    states: {
      ok: vscode.l10n.t('fine'),
      degraded: vscode.l10n.t('limited'),
      missing: vscode.l10n.t('missing'),
    },
    without: vscode.l10n.t('Without it:'),
    copy: vscode.l10n.t('Copy'),
    terminal: vscode.l10n.t('Run in Terminal'),
    again: vscode.l10n.t('Check Again'),
    actions,
  };
  panel.webview.html = renderPage(checks, text, randomBytes(16).toString('base64'));
}

async function obey(message: PageMessage): Promise<void> {
  switch (message.kind) {
    case 'copy':
      await vscode.env.clipboard.writeText(message.text);
      vscode.window.setStatusBarMessage(vscode.l10n.t('Copied'), 2000);
      return;
    case 'terminal': {
      const terminal = vscode.window.createTerminal('BPF Studio');
      terminal.show();
      // Typed, not run: it may install packages as root, and the user presses Enter.
      terminal.sendText(message.text, false);
      return;
    }
    case 'command': {
      const action = editorAction(message.id);
      if (action) await vscode.commands.executeCommand(action.command, ...(action.arguments ?? []));
      return;
    }
    case 'again':
      await vscode.commands.executeCommand(EditorCommands.checkEnvironment);
  }
}
