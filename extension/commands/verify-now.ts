/** *BPF: Verify Now*: a verdict at once, whatever `bpf.verify.when` says. */
import * as vscode from 'vscode';
import { EditorCommands } from '../../language-server/protocol';
import { errors, present, reporting } from '../errors';
import { isProblem } from '../window-kernel/kernel';
import type { Services } from '../services';
import { activeSource } from './programs';

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const { kernel, log, server } = services;
  const verify = async (argument?: unknown) => {
    if (!vscode.workspace.isTrusted) {
      return present(errors.untrusted(vscode.l10n.t('Verifying a program')), log);
    }
    const named = (argument as { uri?: unknown } | undefined)?.uri;
    const uri = typeof named === 'string' ? vscode.Uri.parse(named) : activeSource()?.uri;
    if (!uri) return present(errors.notABpfSource(), log);
    const started = await kernel.ensure();
    if (isProblem(started)) return present(errors.target(started), log);
    await server.verifyNow(uri);
  };
  context.subscriptions.push(
    vscode.commands.registerCommand(
      EditorCommands.verifyNow,
      reporting(vscode.l10n.t('Verifying'), log, verify),
    ),
  );
}
