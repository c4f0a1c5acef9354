/** The frame of the extension's webview pages: nothing is loaded, and only what carries the nonce is run. */

const escapes: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => escapes[character] ?? character);
}

export interface PageFrame {
  title: string;
  /** Of the button that sends `{kind: 'again'}`. */
  again: string;
  style: string;
  script: string;
  nonce: string;
}

/** A whole page; `body` is HTML, everything else text. */
export function webviewPage({ title, again, style, script, nonce }: PageFrame, body: string): string {
  const csp = `default-src 'none'; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}';`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${csp}">
<title>${escapeHtml(title)}</title>
<style nonce="${nonce}">${style}</style>
</head>
<body>
<header><h1>${escapeHtml(title)}</h1><button class="secondary" data-kind="again">${escapeHtml(again)}</button></header>
${body}
<script nonce="${nonce}">${script}</script>
</body>
</html>`;
}
