/** *BPF: Save Recording* and *BPF: Open Recording*: a run to keep, and a kept one to go through again. */
import path from 'node:path';
import * as vscode from 'vscode';
import { DEBUG_TYPE, SaveRecording } from '../../debug-adapter/protocol';
import type { ReplayArguments, SaveRecordingArguments } from '../../debug-adapter/protocol';
import { errors, present, reporting } from '../errors';
import type { Services } from '../services';

const EXTENSION = 'bpfrec';

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const { log } = services;
  const filters = { [vscode.l10n.t('Recorded runs of BPF programs')]: [EXTENSION] };

  const save = async () => {
    const session = vscode.debug.activeDebugSession;
    if (session?.type !== DEBUG_TYPE) return present(errors.nothingToSave(), log);
    const name = `${String(session.configuration.entry ?? session.name).replaceAll(/\W+/g, '-')}.${EXTENSION}`;
    const folder = vscode.workspace.workspaceFolders?.[0]?.uri ?? vscode.Uri.file(process.cwd());
    const target = await vscode.window.showSaveDialog({
      title: vscode.l10n.t('Save Recording'),
      defaultUri: vscode.Uri.joinPath(folder, name),
      filters,
    });
    if (!target) return;
    const request: SaveRecordingArguments = { path: target.fsPath };
    // The adapter's refusal says why; an error of a request is shown by whoever made it.
    await session.customRequest(SaveRecording, request);
    vscode.window.setStatusBarMessage(vscode.l10n.t('Saved {0}', path.basename(target.fsPath)), 5000);
  };

  const open = async () => {
    const title = vscode.l10n.t('Open Recording');
    const [file] = (await vscode.window.showOpenDialog({ title, filters, canSelectMany: false })) ?? [];
    if (!file) return;
    const configuration: vscode.DebugConfiguration & ReplayArguments = {
      type: DEBUG_TYPE,
      request: 'launch',
      name: path.basename(file.fsPath),
      recording: file.fsPath,
    };
    await vscode.debug.startDebugging(undefined, configuration);
  };

  context.subscriptions.push(
    vscode.commands.registerCommand(
      'bpf.saveRecording',
      reporting(vscode.l10n.t('Saving the recording'), log, save),
    ),
    vscode.commands.registerCommand(
      'bpf.openRecording',
      reporting(vscode.l10n.t('Opening the recording'), log, open),
    ),
  );
}
