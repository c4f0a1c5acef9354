/** *BPF: Generate vmlinux.h*: the chosen kernel's types as C, written into the workspace. */
import * as vscode from 'vscode';
import { EditorCommands } from '../../language-server/protocol';
import { errors, present, reporting } from '../errors';
import { isProblem } from '../window-kernel/kernel';
import type { Services } from '../services';

export function activate(context: vscode.ExtensionContext, services: Services): void {
  context.subscriptions.push(
    vscode.commands.registerCommand(
      EditorCommands.generateVmlinuxHeader,
      reporting(vscode.l10n.t('Generating vmlinux.h'), services.log, () => generate(services)),
    ),
  );
}

async function generate({ kernel, log }: Services): Promise<void> {
  const what = vscode.l10n.t('Generating vmlinux.h');
  if (!vscode.workspace.isTrusted) return present(errors.untrusted(what), log);
  const folder = await chooseFolder();
  if (folder === 'none') return present(errors.noWorkspaceFolder(what), log);
  if (!folder) return;
  const file = vscode.Uri.joinPath(folder.uri, 'vmlinux.h');
  if ((await exists(file)) && !(await mayOverwrite(file))) return;

  const started = await kernel.ensure();
  if (isProblem(started)) return present(errors.target(started), log);
  const { text } = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Window, title: what },
    () => started.client.request('vmlinuxHeader', {}),
  );
  await vscode.workspace.fs.writeFile(file, Buffer.from(text));
  const open = vscode.l10n.t('Open');
  const chosen = await vscode.window.showInformationMessage(
    vscode.l10n.t(
      'Wrote {0} from the types of Linux {1}.',
      vscode.workspace.asRelativePath(file),
      started.client.hello.kernel.release,
    ),
    open,
  );
  if (chosen === open) await vscode.window.showTextDocument(file);
}

/** The folder of the active file, the only one, or the one the user picks. */
async function chooseFolder(): Promise<vscode.WorkspaceFolder | 'none' | undefined> {
  const folders = vscode.workspace.workspaceFolders ?? [];
  if (folders.length === 0) return 'none';
  const active = vscode.window.activeTextEditor?.document.uri;
  const own = active && vscode.workspace.getWorkspaceFolder(active);
  return own ?? (folders.length === 1 ? folders[0] : vscode.window.showWorkspaceFolderPick());
}

async function exists(file: vscode.Uri): Promise<boolean> {
  try {
    await vscode.workspace.fs.stat(file);
    return true;
  } catch (error) {
    if (error instanceof vscode.FileSystemError && error.code === 'FileNotFound') return false;
    throw error;
  }
}

async function mayOverwrite(file: vscode.Uri): Promise<boolean> {
  const overwrite = vscode.l10n.t('Overwrite');
  const chosen = await vscode.window.showWarningMessage(
    vscode.l10n.t('{0} exists already. Overwrite it?', vscode.workspace.asRelativePath(file)),
    { modal: true },
    overwrite,
  );
  return chosen === overwrite;
}
