/** Steps that several suites take, in a person's words. */
import { until, type Workbench } from './workbench';

export interface SeenDiagnostic {
  message: string;
  code: string;
  source: string;
  line: number;
  related: string[];
}

/** What the editor holds about a file. */
export function diagnosticsOf(bench: Workbench, file: string): Promise<SeenDiagnostic[]> {
  return bench.api((vscode, name) => {
    const all = vscode.languages.getDiagnostics().filter(([uri]) => uri.fsPath.endsWith(`/${name}`));
    return all.flatMap(([, diagnostics]) =>
      diagnostics.map((diagnostic) => {
        const code = typeof diagnostic.code === 'object' ? diagnostic.code.value : diagnostic.code;
        return {
          message: diagnostic.message,
          code: String(code ?? ''),
          source: diagnostic.source ?? '',
          line: diagnostic.range.start.line,
          related: (diagnostic.relatedInformation ?? []).map(({ message }) => message),
        };
      }),
    );
  }, file);
}

/** Titles of the lenses of the active editor's file, in order. */
export function lensesOf(bench: Workbench): Promise<string[]> {
  return bench.api(async (vscode) => {
    const uri = vscode.window.activeTextEditor?.document.uri;
    if (!uri) return [];
    const lenses = await vscode.commands.executeCommand<{ command?: { title: string } }[]>(
      'vscode.executeCodeLensProvider',
      uri,
      100,
    );
    return lenses.map((lens) => lens.command?.title ?? '');
  }, undefined);
}

/** Replaces the one occurrence of `before` in the active editor, as typing would; nothing is saved. */
export function replaceText(bench: Workbench, before: string, after: string): Promise<void> {
  return bench.api(
    async (vscode, change) => {
      const editor = vscode.window.activeTextEditor!;
      const start = editor.document.getText().indexOf(change.before);
      if (start < 0) throw new Error(`the editor does not show ${change.before}`);
      const { document } = editor;
      const range = new vscode.Range(
        document.positionAt(start),
        document.positionAt(start + change.before.length),
      );
      await editor.edit((edit) => edit.replace(range, change.after));
    },
    { before, after },
  );
}

/** Types a path into the file dialog of that title, once it has listed the folder it begins with, and accepts it. */
export async function chooseFile(bench: Workbench, title: string, file: string): Promise<void> {
  const widget = bench.page.locator('.quick-input-widget');
  await widget.locator('.quick-input-title').filter({ hasText: title }).waitFor();
  await widget.locator('.quick-input-list .monaco-list-row').first().waitFor();
  const input = widget.locator('input.input');
  // Until it has shown its own proposal it writes over what is typed.
  await until(async () => (await input.inputValue()) !== '', 'the folder that the dialog begins with');
  await until(async () => {
    await input.fill(file);
    await input.press('Enter');
    const isGone = widget.waitFor({ state: 'hidden', timeout: 3000 });
    return isGone.then(
      () => true,
      () => false,
    );
  }, `the dialog to take ${file}`);
}

/** Lines of the Debug Console. */
export async function consoleText(bench: Workbench): Promise<string> {
  return (await bench.page.locator('.repl .monaco-list-row').allInnerTexts()).join('\n');
}

/** Rows of the Variables view that are on the screen, `name: value` or `name = value` as shown. */
export async function variableRows(bench: Workbench): Promise<string[]> {
  const rows = await bench.page.locator('.debug-variables .monaco-list-row').allInnerTexts();
  return rows.map((row) => row.replace(/\s+/g, ' ').trim());
}

/** Opens a row of the Variables view by the beginning of its text. */
export async function expandVariable(bench: Workbench, name: string | RegExp): Promise<void> {
  const row = bench.page.locator('.debug-variables .monaco-list-row').filter({ hasText: name }).first();
  await row.waitFor();
  if ((await row.getAttribute('aria-expanded')) === 'false') await row.locator('.monaco-tl-twistie').click();
  await until(async () => (await row.getAttribute('aria-expanded')) !== 'false', `${String(name)} to open`);
}

/** Folds a view of the side bar, so that the others have more room. */
export async function foldPane(bench: Workbench, name: string): Promise<void> {
  const header = bench.page.locator(`.sidebar .pane-header[aria-label^="${name}"]`).first();
  await header.waitFor();
  if ((await header.getAttribute('aria-expanded')) === 'true') await header.click();
  await until(async () => (await header.getAttribute('aria-expanded')) === 'false', `${name} to fold`);
}
