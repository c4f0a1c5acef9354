/** The page of *BPF: Check Environment*: HTML from values, and the messages its buttons send. Knows no vscode. */
import type { CheckId, EnvironmentCheck } from '../../toolchain/environment/environment';
import { escapeHtml, webviewPage } from '../webview-page';

/** What a button of the page asks for. */
export type PageMessage =
  | { kind: 'copy'; text: string }
  | { kind: 'terminal'; text: string }
  | { kind: 'command'; id: CheckId }
  | { kind: 'again' };

/** Words of the page, translated by the caller. */
export interface PageText {
  title: string;
  summary: string;
  states: Record<EnvironmentCheck['state'], string>;
  without: string;
  copy: string;
  terminal: string;
  again: string;
  /** What the editor itself can do about a check, by its id. */
  actions: Partial<Record<CheckId, string>>;
}

/** `apt-get install clang` is a command; `Choose a kernel built with CONFIG_FTRACE=y.` is advice. */
export function isCommand(fix: string): boolean {
  return !/[.:]$/.test(fix.trim());
}

/** Commands of the terminal tool are left out: in the editor its buttons do the same. */
function usefulFixes(check: EnvironmentCheck): string[] {
  return check.fix.filter((fix) => !/^(sudo )?bpf-studio /.test(fix));
}

export function renderPage(checks: EnvironmentCheck[], text: PageText, nonce: string): string {
  const { title, again } = text;
  return webviewPage(
    { title, again, style: STYLE, script: SCRIPT, nonce },
    `<p role="status">${escapeHtml(text.summary)}</p>
<ul>
${checks.map((check) => renderCheck(check, text)).join('\n')}
</ul>`,
  );
}

function renderCheck(check: EnvironmentCheck, text: PageText): string {
  const { id, state } = check;
  const marks = { ok: '✓', degraded: '!', missing: '✗' };
  const action = text.actions[id];
  const parts = [
    `<li class="${state}" data-id="${id}">`,
    `<span class="mark" role="img" aria-label="${escapeHtml(text.states[state])}">${marks[state]}</span>`,
    `<div><h2>${escapeHtml(check.title)}</h2>`,
    `<p class="found">${escapeHtml(check.found)}</p>`,
  ];
  if (state !== 'ok') {
    if (check.withoutIt) {
      parts.push(`<p><strong>${escapeHtml(text.without)}</strong> ${escapeHtml(check.withoutIt)}</p>`);
    }
    parts.push(...usefulFixes(check).map((fix) => renderFix(fix, text)));
    if (action) parts.push(`<button data-kind="command" data-id="${id}">${escapeHtml(action)}</button>`);
  }
  return [...parts, '</div></li>'].join('');
}

function renderFix(fix: string, text: PageText): string {
  if (!isCommand(fix)) return `<p>${escapeHtml(fix)}</p>`;
  const value = escapeHtml(fix);
  return (
    `<div class="fix"><code>${value}</code>` +
    `<button class="secondary" data-kind="copy" data-text="${value}">${escapeHtml(text.copy)}</button>` +
    `<button class="secondary" data-kind="terminal" data-text="${value}">${escapeHtml(text.terminal)}</button></div>`
  );
}

const STYLE = `
body { padding: 0 2em 2em; max-width: 60em; line-height: 1.5; }
header { display: flex; align-items: baseline; gap: 1em; }
h1 { font-size: 1.5em; font-weight: 600; flex: 1; margin-bottom: 0.2em; }
h2 { font-size: 1em; font-weight: 600; margin: 0; display: inline; }
ul { list-style: none; padding: 0; }
li { display: flex; gap: 0.8em; padding: 0.6em 0; border-top: 1px solid var(--vscode-widget-border, var(--vscode-editorWidget-border)); }
li > div { flex: 1; min-width: 0; }
li p { margin: 0.2em 0; overflow-wrap: anywhere; }
.found { color: var(--vscode-descriptionForeground); }
.mark { font-weight: 700; width: 1.2em; text-align: center; }
.ok .mark { color: var(--vscode-testing-iconPassed); }
.degraded .mark { color: var(--vscode-editorWarning-foreground); }
.missing .mark { color: var(--vscode-errorForeground); }
.fix { display: flex; flex-wrap: wrap; align-items: center; gap: 0.5em; margin: 0.4em 0; }
code { font-family: var(--vscode-editor-font-family); background: var(--vscode-textCodeBlock-background); padding: 0.2em 0.5em; }
button { color: var(--vscode-button-foreground); background: var(--vscode-button-background); border: 1px solid var(--vscode-button-border, transparent); padding: 0.25em 0.8em; cursor: pointer; font: inherit; }
button:hover { background: var(--vscode-button-hoverBackground); }
button.secondary { color: var(--vscode-button-secondaryForeground); background: var(--vscode-button-secondaryBackground); }
button.secondary:hover { background: var(--vscode-button-secondaryHoverBackground); }
button:focus-visible { outline: 1px solid var(--vscode-focusBorder); outline-offset: 2px; }
`;

const SCRIPT = `
const vscode = acquireVsCodeApi();
document.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-kind]');
  if (button) vscode.postMessage({ ...button.dataset });
});
`;
