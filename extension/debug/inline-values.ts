/** Values beside the code while a run is gone through, and hovers over whole expressions. */
import * as vscode from 'vscode';
import { DEBUG_TYPE } from '../../debug-adapter/protocol';
import { tokenize } from '../../toolchain/c/tokens';
import { expressionAt, expressionsUntil } from './expressions-in-source';

/** Every member costs the adapter an evaluation at each step. */
const MAX_MEMBERS = 60;

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
      provideInlineValues(document, viewPort, { stoppedLocation }) {
        if (!isDebugging()) return [];
        const text = document.getText();
        const found = expressionsUntil(text, tokenize(text), stoppedLocation.end.line).filter(
          ({ line }) => line >= viewPort.start.line && line <= viewPort.end.line,
        );
        // What is nearest to the place is wanted most.
        const members = new Set(found.filter(({ isMember }) => isMember).slice(-MAX_MEMBERS));
        return found.flatMap((one): vscode.InlineValue[] => {
          const range = new vscode.Range(document.positionAt(one.start), document.positionAt(one.end));
          if (!one.isMember) return [new vscode.InlineValueVariableLookup(range, one.text, true)];
          return members.has(one) ? [new vscode.InlineValueEvaluatableExpression(range, one.text)] : [];
        });
      },
    }),
  );
}

/** Other debuggers of C have providers of their own. */
function isDebugging(): boolean {
  return vscode.debug.activeDebugSession?.type === DEBUG_TYPE;
}
