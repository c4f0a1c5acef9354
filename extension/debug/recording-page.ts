/** What the editor shows of a file with a recorded run: what it is, and the button that goes through it. Knows no vscode. */
import { escapeHtml } from '../webview-page';

/** Words of the page, translated by the caller. */
export interface RecordingPageText {
  title: string;
  summary: string;
  open: string;
}

export function renderRecordingPage({ title, summary, open }: RecordingPageText, nonce: string): string {
  const csp = `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}';`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${csp}">
<title>${escapeHtml(title)}</title>
<style nonce="${nonce}">${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<p>${escapeHtml(summary)}</p>
<button autofocus>${escapeHtml(open)}</button>
<script nonce="${nonce}">${SCRIPT}</script>
</body>
</html>`;
}

const STYLE = `
body { padding: 0 2em; max-width: 50em; line-height: 1.5; }
h1 { font-size: 1.5em; font-weight: 600; overflow-wrap: anywhere; }
button { color: var(--vscode-button-foreground); background: var(--vscode-button-background); border: 1px solid var(--vscode-button-border, transparent); padding: 0.35em 1em; cursor: pointer; font: inherit; }
button:hover { background: var(--vscode-button-hoverBackground); }
button:focus-visible { outline: 1px solid var(--vscode-focusBorder); outline-offset: 2px; }
`;

const SCRIPT = `
const vscode = acquireVsCodeApi();
document.querySelector('button').addEventListener('click', () => vscode.postMessage('open'));
`;
