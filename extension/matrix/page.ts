/** The page of *BPF: Verify on Kernels…*: HTML from values, and the messages its buttons send. Knows no vscode. */
import type { Diagnostic } from '../../toolchain/diagnostic';
import type { ObjectRow } from '../../kernel-matrix/matrix';
import { isGuarded, missingFor, missingText, programsOf, verdictOf } from '../../kernel-matrix/words';
import { escapeHtml, webviewPage } from '../webview-page';

/** What a button of the page asks for. */
export type PageMessage =
  { kind: 'cell'; program: string; release: string } | { kind: 'place'; index: string } | { kind: 'again' };

/** Words of the page, translated by the caller. */
export interface PageText {
  title: string;
  /** With which types it was compiled. */
  compiled: string;
  program: string;
  missing: string;
  findings: string;
  again: string;
  noAnswer: string;
  accepted: string;
  rejected: string;
  notVerified: string;
  on: string;
}

export interface PageFinding {
  diagnostic: Diagnostic;
  /** Releases of the kernels that said so. */
  kernels: string[];
}

export function renderPage(row: ObjectRow, findings: PageFinding[], text: PageText, nonce: string): string {
  const { title, again } = text;
  const parts = [
    `<p class="quiet">${escapeHtml(text.compiled)}</p>`,
    renderTable(row, text),
    renderProblems(row),
    renderMissing(row, text),
    renderFindings(findings, text),
  ];
  return webviewPage({ title, again, style: STYLE, script: SCRIPT, nonce }, parts.join('\n'));
}

function renderTable(row: ObjectRow, text: PageText): string {
  const heads = row.cells.map(({ kernel }) => `<th scope="col">${escapeHtml(kernel.release)}</th>`);
  const lines = programsOf(row).map(({ name, section }) => {
    const cells = row.cells.map((cell) => renderCell(row, cell, name, text));
    const head = `<th scope="row">${escapeHtml(name)} <span class="quiet">${escapeHtml(section)}</span></th>`;
    return `<tr>${head}${cells.join('')}</tr>`;
  });
  return `<table><thead><tr><th scope="col">${escapeHtml(text.program)}</th>${heads.join('')}</tr></thead><tbody>
${lines.join('\n')}
</tbody></table>`;
}

function renderCell(
  row: ObjectRow,
  cell: ObjectRow['cells'][number],
  program: string,
  text: PageText,
): string {
  const verdict = verdictOf(cell, program);
  if (!verdict) return `<td class="unknown">${escapeHtml(text.noAnswer)}</td>`;
  const { stats } = verdict;
  const [lacks, ...more] = missingFor(row, program, cell.kernel.release);
  const detail =
    verdict.verdict === 'accepted'
      ? stats
        ? `${stats.insns.toLocaleString('en-US')} insns`
        : ''
      : lacks === undefined
        ? verdict.verdict === 'rejected'
          ? text.rejected
          : text.notVerified
        : `no ${lacks}${more.length > 0 ? ` +${more.length}` : ''}`;
  const marks = { accepted: '✓', rejected: '✗', error: '!' } as const;
  const words = { accepted: text.accepted, rejected: text.rejected, error: text.notVerified };
  const costs = stats ? `${stats.insns} insns, ${stats.states} states, ${stats.microseconds} µs` : '';
  const title = [words[verdict.verdict], costs, verdict.message].filter(Boolean).join('\n');
  return (
    `<td class="${verdict.verdict}"><button class="cell" data-kind="cell" data-program="${escapeHtml(program)}" ` +
    `data-release="${escapeHtml(cell.kernel.release)}" title="${escapeHtml(title)}">` +
    `<span class="mark" role="img" aria-label="${escapeHtml(words[verdict.verdict])}">${marks[verdict.verdict]}</span> ` +
    `${escapeHtml(detail)}</button></td>`
  );
}

/** Kernels that could not be asked, and what failed for the object as a whole. */
function renderProblems({ cells }: ObjectRow): string {
  const items = cells.flatMap(({ kernel, problem, error }) => {
    const said = problem ?? error;
    if (!said) return [];
    const words = [said.message, said.hint].filter(Boolean).join(' ');
    return [
      `<li class="error"><strong>Linux ${escapeHtml(kernel.release)}</strong>: ${escapeHtml(words)}</li>`,
    ];
  });
  return items.length > 0 ? `<ul>${items.join('')}</ul>` : '';
}

function renderMissing(row: ObjectRow, text: PageText): string {
  if (row.missing.length === 0) return '';
  const sorted = [...row.missing].sort((a, b) => Number(isGuarded(a, row)) - Number(isGuarded(b, row)));
  const items = sorted.map((missing) => {
    const quiet = isGuarded(missing, row) ? ' class="quiet"' : '';
    return `<li${quiet}>${escapeHtml(missingText(missing, row))}</li>`;
  });
  return `<h2>${escapeHtml(text.missing)}</h2><ul>${items.join('\n')}</ul>`;
}

function renderFindings(findings: PageFinding[], text: PageText): string {
  if (findings.length === 0) return '';
  const items = findings.map(({ diagnostic, kernels }, index) => {
    const { message, code, range, data } = diagnostic;
    return (
      `<li class="rejected"><button class="link" data-kind="place" data-index="${index}">${range.start.line + 1}:` +
      `${range.start.character + 1}</button> ${escapeHtml(message)} <span class="quiet">${escapeHtml(code)}, ` +
      `${escapeHtml(text.on)} ${escapeHtml(kernels.join(', '))}</span>` +
      `${data?.kernelMessage ? `<br><code>${escapeHtml(data.kernelMessage)}</code>` : ''}</li>`
    );
  });
  return `<h2>${escapeHtml(text.findings)}</h2><ul>${items.join('\n')}</ul>`;
}

const STYLE = `
body { padding: 0 2em 2em; line-height: 1.5; }
header { display: flex; align-items: baseline; gap: 1em; }
h1 { font-size: 1.3em; font-weight: 600; flex: 1; margin-bottom: 0; }
h2 { font-size: 1em; font-weight: 600; margin: 1.5em 0 0.3em; }
table { border-collapse: collapse; font-family: var(--vscode-editor-font-family); font-size: var(--vscode-editor-font-size); }
th, td { text-align: left; padding: 0.15em 1em 0.15em 0; border-bottom: 1px solid var(--vscode-widget-border, var(--vscode-editorWidget-border)); white-space: nowrap; }
th { font-weight: 600; }
ul { list-style: none; padding: 0; margin: 0; }
li { padding: 0.15em 0; overflow-wrap: anywhere; }
code { font-family: var(--vscode-editor-font-family); color: var(--vscode-descriptionForeground); }
.quiet { color: var(--vscode-descriptionForeground); font-weight: 400; }
.accepted .mark { color: var(--vscode-testing-iconPassed); }
.rejected .mark { color: var(--vscode-testing-iconFailed, var(--vscode-errorForeground)); }
.error .mark, td.unknown { color: var(--vscode-editorWarning-foreground); }
button { color: var(--vscode-button-secondaryForeground); background: var(--vscode-button-secondaryBackground); border: 1px solid var(--vscode-button-border, transparent); padding: 0.25em 0.8em; cursor: pointer; font: inherit; }
button.cell, button.link { background: none; border: none; color: inherit; padding: 0; }
button.cell:hover, button.link { color: var(--vscode-textLink-foreground); }
button.cell:hover, button.link:hover { text-decoration: underline; }
button:focus-visible { outline: 1px solid var(--vscode-focusBorder); outline-offset: 2px; }
`;

const SCRIPT = `
const vscode = acquireVsCodeApi();
document.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-kind]');
  if (button) vscode.postMessage({ ...button.dataset });
});
`;
