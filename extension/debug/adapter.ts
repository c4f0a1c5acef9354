/** Starts the debug adapter of a session: a process of its own, run by the Node that runs this extension. */
import * as vscode from 'vscode';
import { DEBUG_TYPE } from '../../debug-adapter/protocol';
import type { Services } from '../services';
import { environmentOf, readSettings } from '../settings';

export function activate(context: vscode.ExtensionContext, { installed }: Services): void {
  // Whoever develops this extension attaches here, see .vscode/launch.json.
  const inspect = context.extensionMode === vscode.ExtensionMode.Development ? ['--inspect=6018'] : [];
  context.subscriptions.push(
    vscode.debug.registerDebugAdapterDescriptorFactory(DEBUG_TYPE, {
      createDebugAdapterDescriptor: () =>
        // In desktop VS Code process.execPath is Electron, which this variable turns into Node.
        new vscode.DebugAdapterExecutable(
          process.execPath,
          [...inspect, installed('dist/debug-adapter.js')],
          {
            env: { ELECTRON_RUN_AS_NODE: '1', ...environmentOf(readSettings()) },
          },
        ),
    }),
  );
}
