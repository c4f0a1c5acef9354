/** The findings of one document from its three sources, and which of them are shown together. */
import { Severity, type Diagnostic, type Range } from '../../toolchain/diagnostic';
import type { SyntaxFinding } from '../../toolchain/c/finding';
import { positionAt, type SourceFile } from '../../toolchain/c/source';
import type { Edit } from './track';

/** Syntax findings in the common shape. */
export function syntaxDiagnostics(source: SourceFile, path: string): Diagnostic[] {
  const range = ({ start, end }: { start: number; end: number }): Range => ({
    start: positionAt(source, start),
    end: positionAt(source, end),
  });
  return source.findings.map((finding: SyntaxFinding) => ({
    path,
    range: range(finding),
    severity: Severity.Error,
    code: 'syntax',
    source: 'syntax',
    message: finding.message,
    related: finding.related
      ? [{ path, range: range(finding.related), message: finding.related.message }]
      : [],
  }));
}

/**
 * Syntax findings beside clang's. When clang has read this very text, it is the judge and ours are not shown; only
 * where a missing header made it give up, those away from its errors are what it did not get to. While it has read
 * an older text, its errors stand at their places and ours are shown away from them: what both see is said once, by
 * whoever said it first, so that a keystroke elsewhere changes nothing.
 * @param clang what clang said last; undefined when it has read nothing yet.
 */
export function besideClang(
  syntax: Diagnostic[],
  clang: { isOfThisText: boolean; findings: Diagnostic[] } | undefined,
): Diagnostic[] {
  if (!clang) return syntax;
  const errors = clang.findings.filter(({ severity }) => severity === Severity.Error);
  const gaveUp = errors.some(({ message }) => message.includes('file not found'));
  if (clang.isOfThisText && !gaveUp) return [];
  const near = (a: Diagnostic, b: Diagnostic): boolean =>
    a.path === b.path && Math.abs(a.range.start.line - b.range.start.line) <= 1;
  return syntax.filter((finding) => !errors.some((error) => near(finding, error)));
}

/** How a finding's range goes through an edit; undefined when the finding goes. */
export type Mover = (range: Range, edit: Edit) => Range | undefined;

/** Findings of an older text at their places in the newer one; those that `move` has no place for go. */
export function moveDiagnostics(
  diagnostics: Diagnostic[],
  path: string,
  edit: Edit,
  move: Mover,
): Diagnostic[] {
  return diagnostics.flatMap((diagnostic) => {
    const related = diagnostic.related.flatMap((item) => {
      const range = item.path === path ? move(item.range, edit) : item.range;
      return range ? [{ ...item, range }] : [];
    });
    if (diagnostic.path !== path) return [{ ...diagnostic, related }];
    const range = move(diagnostic.range, edit);
    return range ? [{ ...diagnostic, range, related }] : [];
  });
}
