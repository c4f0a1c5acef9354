/** A quick pick over a list too long to hold: every keystroke asks for the rows that match. */
import * as vscode from 'vscode';

/** Shows `find`'s rows for what is typed; resolves to the chosen one, or undefined when dismissed. */
export function searchPick<T extends vscode.QuickPickItem>(
  { title, placeholder }: { title: string; placeholder: string },
  find: (text: string, signal: AbortSignal) => Promise<T[]>,
): Promise<T | undefined> {
  const pick = vscode.window.createQuickPick<T>();
  pick.title = title;
  pick.placeholder = placeholder;
  pick.matchOnDescription = true;
  let asked: AbortController | undefined;

  const refresh = async () => {
    asked?.abort();
    const abort = (asked = new AbortController());
    pick.busy = true;
    try {
      const rows = await find(pick.value.trim(), abort.signal);
      if (!abort.signal.aborted) pick.items = rows;
    } catch (error) {
      if (abort.signal.aborted) return;
      const reason = error instanceof Error ? error.message : String(error);
      pick.items = [];
      pick.placeholder = vscode.l10n.t('The kernel gave no list: {0}', reason);
    } finally {
      if (asked === abort) pick.busy = false;
    }
  };

  return new Promise((resolve) => {
    pick.onDidChangeValue(() => void refresh());
    pick.onDidAccept(() => {
      resolve(pick.selectedItems[0]);
      pick.hide();
    });
    pick.onDidHide(() => {
      asked?.abort();
      resolve(undefined);
      pick.dispose();
    });
    pick.show();
    void refresh();
  });
}
