/** The `bpf.*` settings, read in one place. Their defaults stand in package.json. */
import * as vscode from 'vscode';
import { QEMU_VARIABLE } from '../kernel/targets/vm/qemu';
import type { Settings as ServerSettings } from '../language-server/protocol';

/** What the language server is told, and what concerns the window's kernel alone. */
export interface Settings extends ServerSettings {
  qemu: {
    /** Path of qemu-system-x86_64; empty: the one in PATH. */
    path: string;
  };
}

/** The environment of a process that may start a VM of its own: settings do not reach it otherwise. */
export function environmentOf({ qemu }: Settings): Record<string, string> {
  return qemu.path === '' ? {} : { [QEMU_VARIABLE]: qemu.path };
}

/** `${workspaceFolder}` and `${env:NAME}` in paths and flags: VS Code does not resolve them in settings. */
export function substitute(text: string, folder: vscode.WorkspaceFolder | undefined): string {
  return text.replace(/\$\{(workspaceFolder|env:([^}]+))\}/g, (whole, name: string, variable?: string) => {
    if (variable !== undefined) return process.env[variable] ?? '';
    return name === 'workspaceFolder' ? (folder?.uri.fsPath ?? whole) : whole;
  });
}

/** All settings as the language server and the debug adapter want them. */
export function readSettings(resource?: vscode.Uri): Settings {
  const folder =
    (resource && vscode.workspace.getWorkspaceFolder(resource)) ?? vscode.workspace.workspaceFolders?.[0];
  const configuration = vscode.workspace.getConfiguration('bpf', resource);
  const flags = (list: string[] | null) => list?.map((flag) => substitute(flag, folder)) ?? null;
  return {
    clang: {
      path: substitute(configuration.get<string>('clang.path', ''), folder),
      args: flags(configuration.get<string[] | null>('clang.args', null)),
      extraArgs: flags(configuration.get<string[]>('clang.extraArgs', [])) ?? [],
    },
    verify: {
      when: configuration.get('verify.when', 'onType'),
      delay: configuration.get('verify.delay', 300),
    },
    inlayHints: { ranges: configuration.get('inlayHints.ranges', false) },
    target: configuration.get<string>('target', ''),
    qemu: { path: substitute(configuration.get<string>('qemu.path', ''), folder) },
  };
}
