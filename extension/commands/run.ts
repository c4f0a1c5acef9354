/** *BPF: Run Program*: starts a debug session of request `launch`. */
import * as vscode from 'vscode';
import { DEBUG_TYPE } from '../../debug-adapter/protocol';
import { EditorCommands, type ProgramCommandArguments } from '../../language-server/protocol';
import { reporting } from '../errors';
import type { Services } from '../services';
import { chooseProgram } from './programs';

export function activate(context: vscode.ExtensionContext, services: Services): void {
  context.subscriptions.push(
    vscode.commands.registerCommand(
      EditorCommands.runProgram,
      reporting(vscode.l10n.t('Running the program'), services.log, async (lens?: unknown) => {
        const chosen = await chooseProgram(services, asLens(lens), vscode.l10n.t('Program to run'));
        if (!chosen) return;
        const { uri, program } = chosen;
        const folder = vscode.workspace.getWorkspaceFolder(uri);
        await vscode.debug.startDebugging(folder, {
          type: DEBUG_TYPE,
          request: 'launch',
          name: vscode.l10n.t('Run {0}', program.name),
          program: uri.fsPath,
          entry: program.name,
          unlisted: true,
        });
      }),
    ),
  );
}

/** Menus call a command with a URI, lenses with their arguments, the palette with nothing. */
export function asLens(argument: unknown): ProgramCommandArguments | undefined {
  const lens = argument as Partial<ProgramCommandArguments> | undefined;
  return typeof lens?.uri === 'string' && typeof lens.program === 'string'
    ? { uri: lens.uri, program: lens.program }
    : undefined;
}
