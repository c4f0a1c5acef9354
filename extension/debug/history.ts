/** *BPF: Go to Last Write* and *BPF: When Did This Become…*: questions about the past of the run that is gone through. */
import * as vscode from 'vscode';
import { DEBUG_TYPE, LastWrite, WhenBecame } from '../../debug-adapter/protocol';
import type {
  HistoryPlace,
  LastWriteArguments,
  LastWriteResponse,
  WhenBecameArguments,
} from '../../debug-adapter/protocol';
import { errors, present, reporting } from '../errors';
import type { Services } from '../services';

/** How long the answer stands in the status bar; the editor shows the place itself. */
const ANSWER_MS = 10_000;

/** What VS Code hands to commands of `debug/variables/context`. */
interface VariableMenuContext {
  container?: { variablesReference?: number };
  variable?: { name?: string; value?: string; evaluateName?: string };
}

export function activate(context: vscode.ExtensionContext, { log }: Services): void {
  const command = (
    id: string,
    what: string,
    handler: (session: vscode.DebugSession, menu: VariableMenuContext | undefined) => Promise<void>,
  ): vscode.Disposable =>
    vscode.commands.registerCommand(
      id,
      reporting(what, log, async (menu?: unknown) => {
        const session = vscode.debug.activeDebugSession;
        if (session?.type !== DEBUG_TYPE) return present(errors.noRunToAsk(), log);
        await handler(session, menu as VariableMenuContext | undefined);
      }),
    );
  context.subscriptions.push(
    command('bpf.goToLastWrite', vscode.l10n.t('Going to the last write'), goToLastWrite),
    command('bpf.whenBecame', vscode.l10n.t('Looking into the past'), whenBecame),
  );
}

async function goToLastWrite(
  session: vscode.DebugSession,
  menu: VariableMenuContext | undefined,
): Promise<void> {
  const place: LastWriteArguments | undefined = placeOf(menu) ?? (await askForExpression());
  if (place) tell((await session.customRequest(LastWrite, place)) as LastWriteResponse);
}

async function whenBecame(
  session: vscode.DebugSession,
  menu: VariableMenuContext | undefined,
): Promise<void> {
  const { evaluateName, value = '' } = menu?.variable ?? {};
  const plain = /^-?\w+$/.test(value) ? value : undefined;
  const asked = await vscode.window.showInputBox({
    title: vscode.l10n.t('When Did This Become…'),
    prompt: vscode.l10n.t(
      'A C expression, for the last time its value changed, or a condition, for the last time it came to hold.',
    ),
    placeHolder: 'sum.rounds > 3',
    value:
      evaluateName === undefined
        ? atCursor()
        : plain === undefined
          ? evaluateName
          : `${evaluateName} == ${plain}`,
  });
  if (asked === undefined || asked.trim() === '') return;
  const request: WhenBecameArguments = {
    ...(isCondition(asked) ? { condition: asked } : { expression: asked }),
    ...frameOfEditor(),
  };
  tell((await session.customRequest(WhenBecame, request)) as LastWriteResponse);
}

/** Whether an expression compares something: `->` and shifts do not. */
function isCondition(expression: string): boolean {
  return /[<>]|[=!]=|&&|\|\|/.test(expression.replaceAll(/->|<<|>>/g, ''));
}

/** A row of the Variables view by its place there; one of Watch, which has none, by its expression. */
function placeOf(menu: VariableMenuContext | undefined): HistoryPlace | undefined {
  const variablesReference = menu?.container?.variablesReference ?? 0;
  const { name, evaluateName } = menu?.variable ?? {};
  if (variablesReference > 0 && name !== undefined) return { variablesReference, name };
  return evaluateName === undefined ? undefined : { expression: evaluateName, ...frameOfEditor() };
}

async function askForExpression(): Promise<HistoryPlace | undefined> {
  const expression = await vscode.window.showInputBox({
    title: vscode.l10n.t('Go to Last Write'),
    prompt: vscode.l10n.t(
      'What was written: a variable, a register, bytes of the packet, an entry of a map.',
    ),
    placeHolder: 'sum.rounds, $r3, packet[12], counts[17]',
    value: atCursor(),
  });
  return expression?.trim() ? { expression, ...frameOfEditor() } : undefined;
}

/** What is selected in the editor, or the expression under its cursor. */
function atCursor(): string {
  const editor = vscode.window.activeTextEditor;
  if (!editor) return '';
  const { document, selection } = editor;
  if (!selection.isEmpty && selection.isSingleLine) return document.getText(selection);
  const word = document.getWordRangeAtPosition(selection.active, /[A-Za-z_]\w*(?:(?:\.|->)[A-Za-z_]\w*)*/);
  return word ? document.getText(word) : '';
}

function frameOfEditor(): { frameId?: number } {
  const item = vscode.debug.activeStackItem;
  return item instanceof vscode.DebugStackFrame ? { frameId: item.frameId } : {};
}

/** Where the run has gone to is shown by the editor; that it has not moved would look as if nothing was asked. */
function tell({ text, at }: LastWriteResponse): void {
  if (at) vscode.window.setStatusBarMessage(`$(history) ${text}`, ANSWER_MS);
  else void vscode.window.showInformationMessage(text);
}
