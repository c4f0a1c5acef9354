/** Task type `bpf`: `bpf-studio verify` on a file, in the terminal, with clang's findings in Problems. */
import * as vscode from 'vscode';
import { activeSource } from './commands/programs';
import type { Services } from './services';
import { environmentOf, readSettings } from './settings';

const TYPE = 'bpf';

export function activate(context: vscode.ExtensionContext, services: Services): void {
  context.subscriptions.push(
    vscode.tasks.registerTaskProvider(TYPE, {
      provideTasks: () => {
        const source = activeSource();
        if (!source) return [];
        const file = vscode.workspace.asRelativePath(source.uri, false);
        const folder = vscode.workspace.getWorkspaceFolder(source.uri);
        return folder ? [verifyTask({ type: TYPE, task: 'verify', file }, folder, services)] : [];
      },
      resolveTask: (task) => {
        const { file } = task.definition as { file?: string };
        return typeof file === 'string' && task.scope !== undefined
          ? verifyTask(task.definition, task.scope, services)
          : undefined;
      },
    }),
  );
}

function verifyTask(
  definition: vscode.TaskDefinition,
  scope: vscode.WorkspaceFolder | vscode.TaskScope,
  { installed }: Services,
): vscode.Task {
  const settings = readSettings();
  const commandLine = [installed('dist/cli.js'), 'verify', String(definition.file)];
  if (settings.target !== '') commandLine.push('--target', settings.target);
  const execution = new vscode.ProcessExecution(process.execPath, commandLine, {
    env: { ELECTRON_RUN_AS_NODE: '1', ...environmentOf(settings) },
  });
  const name = vscode.l10n.t('verify {0}', String(definition.file));
  return new vscode.Task(definition, scope, name, 'BPF', execution, '$bpf-clang');
}
