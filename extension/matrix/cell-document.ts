/** What one kernel said of one program, as the text of a read-only document: the explanation, then its log. */
import type { ObjectRow } from '../../kernel-matrix/matrix';
import { missingText, verdictOf } from '../../kernel-matrix/words';
import type { Diagnostic } from '../../toolchain/diagnostic';

export function cellText(row: ObjectRow, program: string, release: string, findings: Diagnostic[]): string {
  const cell = row.cells.find(({ kernel }) => kernel.release === release);
  const verdict = cell && verdictOf(cell, program);
  if (!verdict) return `; Linux ${release} gave no verdict on ${program}.\n`;
  const word = verdict.verdict === 'error' ? 'not verified' : verdict.verdict;
  const lines = [`; Linux ${release}: ${program} (SEC("${verdict.section}")) ${word}`];
  const { stats } = verdict;
  if (stats) lines.push(`; ${stats.insns} insns, ${stats.states} states, ${stats.microseconds} us`);
  for (const missing of row.missing) {
    if (missing.missingIn.includes(release) && missing.programs.includes(program)) {
      lines.push(`; missing: ${missingText(missing, row)}`);
    }
  }
  for (const { range, code, message, data } of findings) {
    lines.push(`; ${code}, line ${range.start.line + 1}: ${message}`);
    if (data?.help) lines.push(...data.help.split('\n').map((line) => `;   ${line}`));
  }
  const log = verdict.log ?? [verdict.message, verdict.libbpfLog].filter(Boolean).join('\n');
  return `${lines.join('\n')}\n${log ? `\n${log.trimEnd()}\n` : ''}`;
}
