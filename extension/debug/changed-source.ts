/**
 * Says that a source is being changed whose program is loaded: places of a run, and of breakpoints, are those of the
 * text that was compiled, and the editor marks them by their line numbers.
 */
import path from 'node:path';
import * as vscode from 'vscode';
import { DEBUG_TYPE, SessionState } from '../../debug-adapter/protocol';
import type { SessionStateEvent } from '../../debug-adapter/protocol';
import type { Services } from '../services';

export function activate(context: vscode.ExtensionContext, { log }: Services): void {
  /** Files of each session of which it has been said, or of which there is nothing to say. */
  const told = new WeakMap<vscode.DebugSession, Set<string>>();

  async function tell(session: vscode.DebugSession, file: string): Promise<void> {
    if (!(await sourcesOf(session)).includes(file)) return;
    const restart = vscode.l10n.t('Restart');
    const message = vscode.l10n.t(
      '{0} has been changed since its program was loaded: the lines that are marked are those of the text as it was then.',
      path.basename(file),
    );
    // A recording stays what it is.
    const actions = session.configuration.recording === undefined ? [restart] : [];
    const chosen = await vscode.window.showInformationMessage(message, ...actions);
    if (chosen === restart && vscode.debug.activeDebugSession === session)
      await vscode.commands.executeCommand('workbench.action.debug.restart');
  }

  context.subscriptions.push(
    vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      const session = vscode.debug.activeDebugSession;
      if (session?.type !== DEBUG_TYPE || contentChanges.length === 0 || document.uri.scheme !== 'file')
        return;
      const file = document.uri.fsPath;
      const files = told.get(session) ?? new Set();
      if (files.has(file)) return;
      told.set(session, files.add(file));
      tell(session, file).catch((error: unknown) => log.warn(`[changed source] ${String(error)}`));
    }),
    // A restart compiles the text as it is.
    vscode.debug.onDidReceiveDebugSessionCustomEvent(({ session, event, body }) => {
      if (event === SessionState && (body as SessionStateEvent).phase === 'preparing') told.delete(session);
    }),
  );
}

/** Paths of the files that lines of the program are in, as far as the session knows them. */
async function sourcesOf(session: vscode.DebugSession): Promise<string[]> {
  const { sources } = (await session.customRequest('loadedSources')) as { sources: { path?: string }[] };
  return [String(session.configuration.program ?? ''), ...sources.flatMap((source) => source.path ?? [])];
}
