/** *BPF: New from Template* and the walkthrough's sample: copy a program that works, and open it. */
import path from 'node:path';
import * as vscode from 'vscode';
import { errors, present, reporting } from '../errors';
import type { Services } from '../services';
import {
  copyTemplate,
  findTemplates,
  firstExisting,
  launchConfigurations,
  type Template,
} from './template-files';

const LAUNCH = '.vscode/launch.json';

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const { log, installed } = services;
  context.subscriptions.push(
    vscode.commands.registerCommand(
      'bpf.newFromTemplate',
      reporting(vscode.l10n.t('Copying a template'), log, async () => {
        const template = await chooseTemplate(services);
        if (template) await copyTo(template, services);
      }),
    ),
    vscode.commands.registerCommand(
      'bpf.openSample',
      reporting(vscode.l10n.t('Opening the sample'), log, () => {
        const sample: Template = {
          id: 'sample',
          title: vscode.l10n.t('Sample'),
          description: '',
          programType: 'xdp',
          files: ['sample.bpf.c'],
          folder: installed('extension/sample'),
        };
        return copyTo(sample, services);
      }),
    ),
  );
}

async function chooseTemplate({ installed, log }: Services): Promise<Template | undefined> {
  const { templates, bad } = await findTemplates(installed('bpf-templates'));
  for (const { folder, reason } of bad) void present(errors.badTemplate(folder, reason), log);
  const chosen = await vscode.window.showQuickPick(
    templates.map((template) => ({
      label: template.title,
      description: template.id,
      detail: template.description,
      template,
    })),
    {
      title: vscode.l10n.t('New BPF program'),
      placeHolder: vscode.l10n.t('A program that works, to read, run and change'),
      matchOnDescription: true,
      matchOnDetail: true,
    },
  );
  return chosen?.template;
}

async function copyTo(template: Template, { log }: Services): Promise<void> {
  const destination = await chooseDestination(template);
  if (!destination) return;
  const folder = vscode.workspace.getWorkspaceFolder(destination);
  // VS Code reads launch.json only at the top of a workspace folder, which may have one already.
  const files = folder ? template.files.filter((file) => file !== LAUNCH) : template.files;
  const taken = await firstExisting(files, destination.fsPath);
  if (taken !== undefined) return present(errors.destinationNotEmpty(destination.fsPath, taken), log);

  await copyTemplate(template, files, destination.fsPath);
  if (folder && template.files.includes(LAUNCH)) await addLaunchConfigurations(template, destination, folder);
  await openCopied(files, destination);
}

/** The source where the user works, its README beside it. */
async function openCopied(files: string[], destination: vscode.Uri): Promise<void> {
  const name = files.find((file) => file.endsWith('.bpf.c')) ?? files[0];
  const readme = files.find((file) => path.basename(file) === 'README.md');
  if (name === undefined) return;
  const source = vscode.Uri.joinPath(destination, name);
  await vscode.window.showTextDocument(source, { viewColumn: vscode.ViewColumn.One });
  if (readme === undefined) return;
  await vscode.commands.executeCommand(
    'vscode.openWith',
    vscode.Uri.joinPath(destination, readme),
    'vscode.markdown.preview.editor',
    { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
  );
}

/** Without a folder open a dialog asks; with one, a new folder in it is proposed and can be edited. */
async function chooseDestination(template: Template): Promise<vscode.Uri | undefined> {
  const folder = vscode.workspace.workspaceFolders?.[0];
  if (!folder) {
    const picked = await vscode.window.showOpenDialog({
      title: vscode.l10n.t('Folder for {0}', template.title),
      canSelectFolders: true,
      canSelectFiles: false,
      openLabel: vscode.l10n.t('Copy Here'),
    });
    return picked?.[0];
  }
  const typed = await vscode.window.showInputBox({
    title: vscode.l10n.t('Folder for {0}', template.title),
    prompt: vscode.l10n.t('Relative to {0}; a single dot for the folder itself', folder.name),
    value: path.posix.basename(template.id),
    validateInput: (value) =>
      value.trim() === '' || path.isAbsolute(value) || value.split(/[\\/]/).includes('..')
        ? vscode.l10n.t('Write a folder inside {0}', folder.name)
        : undefined,
  });
  return typed === undefined ? undefined : vscode.Uri.joinPath(folder.uri, typed.trim());
}

async function addLaunchConfigurations(
  template: Template,
  destination: vscode.Uri,
  folder: vscode.WorkspaceFolder,
): Promise<void> {
  const below = path.posix.relative(folder.uri.path, destination.path);
  const added = await launchConfigurations(template, below);
  const launch = vscode.workspace.getConfiguration('launch', folder.uri);
  const present = launch.inspect<unknown[]>('configurations');
  const existing = present?.workspaceFolderValue ?? present?.workspaceValue ?? [];
  await launch.update('configurations', [...existing, ...added], vscode.ConfigurationTarget.WorkspaceFolder);
}
