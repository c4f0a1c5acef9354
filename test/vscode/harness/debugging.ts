/** The debugger of the editor as a person has it before them, on one source: where it rests, its keys and its views. */
import { variableRows } from './steps';
import { until, type Locator, type Workbench } from './workbench';

export interface Rest {
  line: number;
  /** Of the function, with the result at the end of a run. */
  name: string;
  /** Address of the instruction. */
  instructionPointerReference?: string;
}

export interface AdaptedBreakpoint {
  verified: boolean;
  line?: number;
  message?: string;
}

export class Debugging {
  /** @param bench as it will be when the first of these is used */
  constructor(
    private readonly bench: () => Workbench,
    private readonly source: string,
  ) {}

  private get page() {
    return this.bench().page;
  }

  lineOf(marker: string): number {
    return this.source.split('\n').findIndex((line) => line.includes(marker)) + 1;
  }

  /** Where the debugger rests and the editor shows it; undefined while it does not, when keys would be lost. */
  rest(): Promise<Rest | undefined> {
    return this.bench().api(async (vscode) => {
      const session = vscode.debug.activeDebugSession;
      const isShown = vscode.debug.activeStackItem instanceof vscode.DebugStackFrame;
      if (!session || !isShown) return undefined;
      try {
        const { stackFrames } = (await session.customRequest('stackTrace', { threadId: 1 })) as {
          stackFrames: Rest[];
        };
        // The cursor goes to each stop; where it is elsewhere, the editor has not heard of this one.
        const isReached = vscode.window.visibleTextEditors.some(
          ({ document, selection }) =>
            document.uri.scheme === 'file' && selection.active.line + 1 === stackFrames[0]?.line,
        );
        return isReached ? stackFrames[0] : undefined;
      } catch {
        // The session is being started, or its run is under way.
        return undefined;
      }
    });
  }

  restsAt(marker: string): Promise<unknown> {
    return until(async () => (await this.rest())?.line === this.lineOf(marker), `the stop at ${marker}`);
  }

  restsAtEnd(): Promise<unknown> {
    return until(async () => / = XDP_/.test((await this.rest())?.name ?? ''), 'the end of the run');
  }

  /**
   * Presses a key that steps until the debugger rests at a wanted place. Each press waits for the step before; one that
   * the editor was too busy to take is made again.
   */
  async stepUntil(key: string, isWanted: (at: Rest) => boolean, what: string): Promise<void> {
    await until(async () => {
      const at = await this.rest();
      if (!at) return false;
      if (isWanted(at)) return true;
      await this.page.keyboard.press(key);
      const hasMoved = async () => {
        const now = await this.rest();
        return (
          now && (now.name !== at.name || now.instructionPointerReference !== at.instructionPointerReference)
        );
      };
      await until(hasMoved, 'the step', 3000).catch(() => undefined);
      return false;
    }, what);
  }

  /** Presses a button of the debug toolbar. */
  button(name: string): Promise<void> {
    return this.page.locator(`.debug-toolbar .action-label[aria-label^="${name}"]`).first().click();
  }

  /** Ends the session, and waits until the editor shows none. */
  async stop(): Promise<void> {
    await this.bench().api((vscode) => vscode.debug.stopDebugging());
    await this.page.locator('.debug-toolbar').waitFor({ state: 'hidden' });
  }

  /** Puts the cursor into a line of the source, in sight, and waits until keys that are pressed go there. */
  async goTo(marker: string, text = ''): Promise<void> {
    const line = this.lineOf(marker);
    await this.bench().api(
      async (vscode, { at, word }) => {
        const editor = vscode.window.visibleTextEditors.find(
          ({ document }) => document.uri.scheme === 'file',
        )!;
        await vscode.window.showTextDocument(editor.document, editor.viewColumn);
        const column = Math.max(0, editor.document.lineAt(at - 1).text.indexOf(word));
        const position = new vscode.Position(at - 1, column + (word === '' ? 0 : 1));
        editor.selection = new vscode.Selection(position, position);
        const range = new vscode.Range(position, position);
        editor.revealRange(range, vscode.TextEditorRevealType.InCenterIfOutsideViewport);
      },
      { at: line, word: text },
    );
    const cursor = this.page.locator('.statusbar-item').filter({ hasText: new RegExp(`Ln ${line},`) });
    await cursor.first().waitFor();
    await this.page.locator('.part.editor .monaco-editor.focused').first().waitFor();
  }

  /** Types into the field that opens below a line for a breakpoint's condition or message. */
  async typeBelow(command: string, text: string, shot?: string): Promise<void> {
    await this.bench().command(command);
    await this.page.locator('.breakpoint-widget .monaco-editor.focused').first().waitFor();
    await this.page.keyboard.type(text);
    if (shot !== undefined) await this.bench().screenshot(shot);
    await this.page.keyboard.press('Enter');
    await this.page.locator('.breakpoint-widget').waitFor({ state: 'detached' });
  }

  variable(pattern: RegExp): Locator {
    return this.page.locator('.debug-variables .monaco-list-row').filter({ hasText: pattern }).first();
  }

  /**
   * Waits for a row of a scope, in a layer of the packet if one is named. Each stop draws the rows anew, be it in the
   * middle of this, so that it is begun again until all is as wanted.
   */
  see(scope: string, pattern: RegExp, layer?: RegExp): Promise<unknown> {
    const top = this.page.locator('.debug-variables .monaco-list-row[aria-level="1"]');
    const isSeen = async () => {
      await unfold(top.filter({ hasText: scope }).first());
      if (layer) await unfold(this.variable(layer));
      return (await variableRows(this.bench())).some((row) => pattern.test(row));
    };
    return until(() => isSeen().catch(() => false), `a row ${pattern} of ${scope}`);
  }

  /** Opens the menu of a row of the Variables view and picks from it. */
  async pickFromMenu(row: RegExp, item: string, shot: string): Promise<void> {
    const action = this.page.locator('.monaco-menu .action-label').filter({ hasText: item }).first();
    await this.variable(row).click({ button: 'right' });
    await action.waitFor();
    await this.bench().screenshot(shot);
    await action.click();
  }

  removeBreakpoints(): Promise<void> {
    return this.bench().api((vscode) => vscode.debug.removeBreakpoints(vscode.debug.breakpoints));
  }

  /** What the adapter has said of the breakpoints. */
  breakpoints(): Promise<AdaptedBreakpoint[]> {
    return this.bench().api(async (vscode) => {
      const session = vscode.debug.activeDebugSession;
      const all = await Promise.all(
        vscode.debug.breakpoints.map((breakpoint) => session?.getDebugProtocolBreakpoint(breakpoint)),
      );
      return all.flatMap((one) => (one ? [one as AdaptedBreakpoint] : []));
    });
  }
}

/** Opens a row of the Variables view that is there and closed. */
async function unfold(row: Locator): Promise<void> {
  if ((await row.count()) === 0 || (await row.getAttribute('aria-expanded', { timeout: 2000 })) !== 'false')
    return;
  await row.locator('.monaco-tl-twistie').click({ timeout: 2000 });
}
