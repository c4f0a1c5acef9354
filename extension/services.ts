/** What every feature of the extension is given. Features do not import each other; they meet here. */
import type * as vscode from 'vscode';
import type { Kernel } from './window-kernel/kernel';
import type { LanguageServer } from './language-server';

export interface Services {
  log: vscode.LogOutputChannel;
  kernel: Kernel;
  server: LanguageServer;
  /** Absolute path of a file of the installed extension, e.g. `dist/debug-adapter.js`. */
  installed(relativePath: string): string;
}

/** A feature: one file that wires itself to the editor. What it registers goes into `context.subscriptions`. */
export interface Feature {
  activate(context: vscode.ExtensionContext, services: Services): void | Promise<void>;
}
