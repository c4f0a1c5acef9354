/**
 * *BPF: Save Recording* and *BPF: Open Recording*: a run to keep, and a kept one to go through again. A file with one
 * opens in an editor of its own, for it is no text.
 */
import { randomBytes } from 'node:crypto';
import path from 'node:path';
import * as vscode from 'vscode';
import { DEBUG_TYPE, SaveRecording } from '../../debug-adapter/protocol';
import type { ReplayArguments, SaveRecordingArguments } from '../../debug-adapter/protocol';
import { errors, present, reporting } from '../errors';
import type { Services } from '../services';
import { renderRecordingPage } from './recording-page';

const EXTENSION = 'bpfrec';
const EDITOR = 'bpf.recording';

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const { log } = services;
  const filters = { [vscode.l10n.t('Recorded runs of BPF programs')]: [EXTENSION] };

  const save = async () => {
    const session = vscode.debug.activeDebugSession;
    if (session?.type !== DEBUG_TYPE) return present(errors.nothingToSave(), log);
    // Nobody chooses a file for what turns out not to be there.
    const check: SaveRecordingArguments = {};
    await session.customRequest(SaveRecording, check);
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

  const choose = async (): Promise<vscode.Uri | undefined> => {
    const title = vscode.l10n.t('Open Recording');
    const files = await vscode.window.showOpenDialog({ title, filters, canSelectMany: false });
    return files?.[0];
  };

  /** @param chosen file of the explorer's menu, or of the editor that shows it */
  const open = async (chosen?: unknown) => {
    const file = chosen instanceof vscode.Uri ? chosen : await choose();
    if (!file) return;
    const configuration: vscode.DebugConfiguration & ReplayArguments = {
      type: DEBUG_TYPE,
      request: 'launch',
      name: path.basename(file.fsPath),
      recording: file.fsPath,
      unlisted: true,
    };
    await vscode.debug.startDebugging(undefined, configuration);
  };

  const opening = reporting(vscode.l10n.t('Opening the recording'), log, open);
  context.subscriptions.push(
    vscode.commands.registerCommand(
      'bpf.saveRecording',
      reporting(vscode.l10n.t('Saving the recording'), log, save),
    ),
    vscode.commands.registerCommand('bpf.openRecording', opening),
    vscode.window.registerCustomEditorProvider(EDITOR, {
      openCustomDocument: (uri: vscode.Uri) => ({ uri, dispose: () => undefined }),
      resolveCustomEditor({ uri }: vscode.CustomDocument, panel: vscode.WebviewPanel) {
        panel.webview.options = { enableScripts: true };
        const received = panel.webview.onDidReceiveMessage(() => opening(uri));
        panel.onDidDispose(() => received.dispose());
        panel.webview.html = renderRecordingPage(
          {
            title: path.basename(uri.fsPath),
            summary: vscode.l10n.t(
              'A recorded run of a BPF program, with its source, types, input and maps. Going through it, forward and back, needs no kernel and no root; nothing of it is run.',
            ),
            open: vscode.l10n.t('Go Through This Run'),
          },
          randomBytes(16).toString('base64'),
        );
      },
    } satisfies vscode.CustomReadonlyEditorProvider),
  );
}
