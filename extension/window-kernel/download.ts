/** *BPF: Download Kernel for VM*: one of the distribution's kernels, unpacked into the user's cache. */
import * as vscode from 'vscode';
import { fetchKernel } from '../../kernel/targets/vm/fetch';
import type { Services } from '../services';

/** Versions worth offering by name; any other can be typed. The distribution decides which it has. */
const VERSIONS = ['7.3', '6.12', '6.1', '5.15', '5.10'];

/** Asks for a version and downloads it. Undefined: stepped back, cancelled, or failed after saying why. */
export async function downloadKernel({ log }: Services): Promise<{ target: string } | undefined> {
  const own = vscode.l10n.t("The distribution's own");
  const version = await pickVersion(own);
  if (version === undefined) return undefined;
  const fetched = await vscode.window.withProgress(
    {
      location: vscode.ProgressLocation.Notification,
      title:
        version === own ? vscode.l10n.t('Getting a kernel') : vscode.l10n.t('Getting Linux {0}', version),
      cancellable: true,
    },
    (progress, token) => {
      const abort = new AbortController();
      token.onCancellationRequested(() => abort.abort());
      return fetchKernel(version === own ? undefined : version, {
        signal: abort.signal,
        log: (message) => {
          log.info(message);
          progress.report({ message });
        },
      }).then((result) => (abort.signal.aborted ? undefined : result));
    },
  );
  if (!fetched) return undefined;
  if ('image' in fetched) return { target: `vm:${fetched.image}` };
  log.error(`[fetchKernel] ${fetched.message}`);
  const again = vscode.l10n.t('Try Again');
  const chosen = await vscode.window.showErrorMessage(`${fetched.message} ${fetched.hint}`, again);
  if (chosen === again) await vscode.commands.executeCommand('bpf.downloadKernel');
  return undefined;
}

/** A pick that takes what was typed, too. */
function pickVersion(own: string): Promise<string | undefined> {
  const pick = vscode.window.createQuickPick();
  pick.title = vscode.l10n.t('Kernel to download');
  pick.placeholder = vscode.l10n.t(
    'A version such as 6.12. Unpacked into your cache folder; nothing is installed.',
  );
  const rows = [own, ...VERSIONS].map((label) => ({ label }));
  pick.items = rows;
  return new Promise((resolve) => {
    pick.onDidChangeValue((value) => {
      const typed = /^\d+\.\d+/.test(value) && !VERSIONS.includes(value) ? [{ label: value }] : [];
      pick.items = [...typed, ...rows];
    });
    pick.onDidAccept(() => {
      resolve(pick.selectedItems[0]?.label);
      pick.hide();
    });
    pick.onDidHide(() => {
      resolve(undefined);
      pick.dispose();
    });
    pick.show();
  });
}
