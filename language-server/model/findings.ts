/** The findings of one document from its three sources, and which of them are shown together. */
import { Severity, type Diagnostic, type Range } from '../../toolchain/diagnostic';
import type { SyntaxFinding } from '../../toolchain/c/finding';
import { positionAt, type SourceFile } from '../../toolchain/c/source';
import { moveRange, type Edit } from './track';

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
 * Syntax findings beside clang's: when clang has read this very text, it is the judge and ours are not shown. Only
 * where a missing header made it give up, those away from its errors are what it did not get to.
 * @param clang what clang said of the same text; undefined when it has not read it.
 */
export function besideClang(syntax: Diagnostic[], clang: Diagnostic[] | undefined): Diagnostic[] {
  if (!clang) return syntax;
  const errors = clang.filter(({ severity }) => severity === Severity.Error);
  const gaveUp = errors.some(({ message }) => message.includes('file not found'));
  if (!gaveUp) return [];
  const near = (a: Diagnostic, b: Diagnostic): boolean =>
    a.path === b.path && Math.abs(a.range.start.line - b.range.start.line) <= 1;
  return syntax.filter((finding) => !errors.some((error) => near(finding, error)));
}

/** Findings of an older text at their places in the newer one; those whose text was edited are held back. */
export function moveDiagnostics(diagnostics: Diagnostic[], path: string, edit: Edit): Diagnostic[] {
  return diagnostics.flatMap((diagnostic) => {
    const related = diagnostic.related.flatMap((item) => {
      const range = item.path === path ? moveRange(item.range, edit) : item.range;
      return range ? [{ ...item, range }] : [];
    });
    if (diagnostic.path !== path) return [{ ...diagnostic, related }];
    const range = moveRange(diagnostic.range, edit);
    return range ? [{ ...diagnostic, range, related }] : [];
  });
}
