/**
 * `verify --github`: findings as workflow commands, which GitHub shows beside the changed lines. The syntax and its
 * escapes are those of GitHub's "Workflow commands for GitHub Actions" and of actions/toolkit's command.ts.
 */
import path from 'node:path';
import { Severity, type Diagnostic } from '../../toolchain/diagnostic';
import type { Io } from '../io';
import { isAboutRun, type FileResult } from '../verify-file';
import type { Output } from './output';

const commands: Record<Severity, 'error' | 'warning' | 'notice'> = {
  [Severity.Error]: 'error',
  [Severity.Warning]: 'warning',
  [Severity.Information]: 'notice',
  [Severity.Hint]: 'notice',
};

/** Paths are relative to the checkout, which is where GitHub looks for them. */
export function githubOutput(io: Io, root = process.env.GITHUB_WORKSPACE ?? process.cwd()): Output {
  return {
    file(result) {
      const findings = [...result.diagnostics, ...result.programs.flatMap((program) => program.diagnostics)];
      for (const finding of findings) io.out(`${workflowCommand(finding, result, root)}\n`);
    },
    end: () => {},
  };
}

function workflowCommand(finding: Diagnostic, { json }: FileResult, root: string): string {
  const { start, end } = finding.range;
  const name = (file: string): string => {
    const relative = path.relative(root, file);
    return relative.startsWith('..') ? file : relative;
  };
  // What keeps a file as a whole from being verified has no place in it.
  const placed = !isAboutRun(finding);
  const properties: [string, string | number][] = [['file', name(finding.path)]];
  if (placed) {
    properties.push(['line', start.line + 1], ['endLine', end.line + 1], ['col', start.character + 1]);
    // GitHub wants endColumn only within one line; it counts from one and includes the column.
    if (start.line === end.line) properties.push(['endColumn', Math.max(end.character, start.character + 1)]);
  }
  properties.push(['title', finding.code]);
  const { kernelMessage, help } = finding.data ?? {};
  const kernel = finding.data?.kernel ?? json.kernel;
  const asked = finding.source === 'verifier' && kernel !== '' ? ` (Linux ${kernel})` : '';
  const message = [
    `${finding.message}${asked}`,
    ...finding.related.map(
      (place, index) => `${index + 1}. ${name(place.path)}:${place.range.start.line + 1}: ${place.message}`,
    ),
    kernelMessage && `${finding.source === 'libbpf' ? 'libbpf' : 'kernel'}: ${kernelMessage}`,
    help && `help: ${help}`,
  ].filter(Boolean);
  const list = properties.map(([key, value]) => `${key}=${escapeProperty(String(value))}`).join(',');
  return `::${commands[finding.severity]} ${list}::${escapeData(message.join('\n'))}`;
}

function escapeData(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
