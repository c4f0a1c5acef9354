/**
 * *BPF: Explain Finding* opens the documentation page of a class of findings, rendered. The code of a diagnostic leads to
 * the same file: VS Code opens no commands from there, so the manifest associates the pages with the Markdown preview.
 */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import { EditorCommands } from '../../language-server/protocol';
import { errors, present, reporting } from '../errors';
import type { Services } from '../services';

const PAGES = 'docs/verifier';

export function activate(context: vscode.ExtensionContext, { installed, log }: Services): void {
  const directory = installed(PAGES);
  const explain = async (argument?: unknown): Promise<void> => {
    const named = (argument as { code?: unknown } | undefined)?.code;
    const code = typeof named === 'string' ? named : await chooseCode(directory);
    if (code === undefined) return;
    const page = vscode.Uri.file(path.join(directory, `${path.basename(code)}.md`));
    try {
      await vscode.workspace.fs.stat(page);
    } catch {
      return present(errors.noPage(code), log);
    }
    await vscode.commands.executeCommand('vscode.open', page, { viewColumn: vscode.ViewColumn.Beside });
  };
  context.subscriptions.push(
    vscode.commands.registerCommand(
      EditorCommands.explainFinding,
      reporting(vscode.l10n.t('Explaining a finding'), log, explain),
    ),
  );
}

/** All pages by their titles, for whoever comes by the palette. */
async function chooseCode(directory: string): Promise<string | undefined> {
  const pages = readdirSync(directory).filter((file) => file.endsWith('.md'));
  const items = pages.map((file) => {
    const title = /^# (?:bpf\/\S+: )?(.*)$/m.exec(readFileSync(path.join(directory, file), 'utf8'))?.[1];
    return { label: `bpf/${path.basename(file, '.md')}`, description: title ?? '' };
  });
  const placeHolder = vscode.l10n.t('What to explain');
  const chosen = await vscode.window.showQuickPick(items, { placeHolder, matchOnDescription: true });
  return chosen?.label;
}
