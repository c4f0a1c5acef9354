/** Notices that are not errors. Rare, and each can be silenced for good. */
import * as vscode from 'vscode';
import type { Action } from './errors';

/** Shows a notice unless the user silenced its `id`; runs the chosen action. */
export async function notice(
  context: vscode.ExtensionContext,
  id: string,
  message: string,
  ...actions: Action[]
): Promise<void> {
  const key = `notices.silenced.${id}`;
  if (context.globalState.get(key)) return;
  const never = vscode.l10n.t("Don't Show Again");
  const chosen = await vscode.window.showInformationMessage(
    message,
    ...actions.map((action) => action.title),
    never,
  );
  if (chosen === never) await context.globalState.update(key, true);
  const action = actions.find((candidate) => candidate.title === chosen);
  if (action) await vscode.commands.executeCommand(action.command, ...(action.arguments ?? []));
}
