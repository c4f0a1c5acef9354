/** *BPF: Attach Program* and *BPF: Detach*: a debug session of request `attach` begins and ends. */
import * as vscode from 'vscode';
import { DEBUG_TYPE, type AttachArguments } from '../../debug-adapter/protocol';
import { EditorCommands } from '../../language-server/protocol';
import { errors, present, reporting } from '../errors';
import type { Services } from '../services';
import { choosePrograms } from './programs';
import { asLens } from './run';

export function activate(context: vscode.ExtensionContext, services: Services): void {
  const { log } = services;
  context.subscriptions.push(
    vscode.commands.registerCommand(
      EditorCommands.attachProgram,
      reporting(vscode.l10n.t('Attaching the program'), log, (lens?: unknown) => attach(services, lens)),
    ),
    vscode.commands.registerCommand(
      'bpf.detach',
      reporting(vscode.l10n.t('Detaching'), log, async (item?: unknown) => {
        const session = (item as { session?: vscode.DebugSession } | undefined)?.session ?? ownSession();
        if (session) await vscode.debug.stopDebugging(session);
      }),
    ),
  );
}

async function attach(services: Services, lens: unknown): Promise<void> {
  if (!vscode.workspace.isTrusted) {
    return present(errors.untrusted(vscode.l10n.t('Attaching a program')), services.log);
  }
  const chosen = await choosePrograms(services, asLens(lens), vscode.l10n.t('Programs to attach'));
  if (!chosen) return;
  const { uri, programs } = chosen;
  // The hooks that SEC() leaves open are asked for when the configuration is resolved, as for one in launch.json.
  const configuration: AttachArguments & vscode.DebugConfiguration = {
    type: DEBUG_TYPE,
    request: 'attach',
    name: vscode.l10n.t('Attach {0}', programs.map((program) => program.name).join(', ')),
    program: uri.fsPath,
    attach: programs.map((program) => ({ entry: program.name })),
    unlisted: true,
  };
  await vscode.debug.startDebugging(vscode.workspace.getWorkspaceFolder(uri), configuration);
}

function ownSession(): vscode.DebugSession | undefined {
  const session = vscode.debug.activeDebugSession;
  return session?.type === DEBUG_TYPE ? session : undefined;
}
