/** Values beside the code while a run is gone through, and hovers over whole expressions. */
import * as vscode from 'vscode';
import { DEBUG_TYPE, InlineValues } from '../../debug-adapter/protocol';
import type { InlineValuesArguments, InlineValuesResponse } from '../../debug-adapter/protocol';
import { tokenize } from '../../toolchain/c/tokens';
import { expressionAt, expressionsUntil } from './expressions-in-source';
import { inlineTexts } from './inline-texts';

/** Every member costs the adapter an evaluation at each step. */
const MAX_MEMBERS = 60;
/** The adapter takes no more at once. */
const MAX_EXPRESSIONS = 1000;

export function activate(context: vscode.ExtensionContext): void {
  const selector: vscode.DocumentSelector = { language: 'c' };
  context.subscriptions.push(
    vscode.languages.registerEvaluatableExpressionProvider(selector, {
      provideEvaluatableExpression(document, position) {
        if (!isDebugging()) return undefined;
        const text = document.getText();
        const found = expressionAt(text, tokenize(text), document.offsetAt(position));
        if (!found) return undefined;
        const range = new vscode.Range(document.positionAt(found.start), document.positionAt(found.end));
        return new vscode.EvaluatableExpression(range, found.text);
      },
    }),
    vscode.languages.registerInlineValuesProvider(selector, {
      async provideInlineValues(document, viewPort, { frameId, stoppedLocation }, token) {
        const session = vscode.debug.activeDebugSession;
        if (session?.type !== DEBUG_TYPE) return [];
        const text = document.getText();
        const upToHere = expressionsUntil(text, tokenize(text), stoppedLocation.end.line).filter(
          ({ line }) => line >= viewPort.start.line && line <= viewPort.end.line,
        );
        // What is nearest to the place is wanted most.
        const members = new Set(upToHere.filter(({ isMember }) => isMember).slice(-MAX_MEMBERS));
        const shown = upToHere.filter((one) => !one.isMember || members.has(one)).slice(-MAX_EXPRESSIONS);
        const asked: InlineValuesArguments = { expressions: shown.map((one) => one.text), frameId };
        const { values }: InlineValuesResponse = await session.customRequest(InlineValues, asked);
        if (token.isCancellationRequested) return [];
        return inlineTexts(shown, values).map(({ at, text: said }) => {
          const range = new vscode.Range(document.positionAt(at.start), document.positionAt(at.end));
          return new vscode.InlineValueText(range, said);
        });
      },
    }),
  );
}

/** Other debuggers of C have providers of their own. */
function isDebugging(): boolean {
  return vscode.debug.activeDebugSession?.type === DEBUG_TYPE;
}
