/** From a finding to what is wrong, as fixes take it. */
import { Severity, type Diagnostic } from '../../toolchain/diagnostic';
import type { Verification } from '../model/verify';
import type { Trouble } from './fix';

/** @returns undefined for findings that are no program's, and for verdicts that the verification does not have. */
export function troubleOf(
  diagnostic: Diagnostic,
  verification: Pick<Verification, 'programs' | 'reportOn'> | undefined,
): Trouble | undefined {
  if (diagnostic.source === 'clang') return { by: 'clang', diagnostic };
  const verdict = verification?.programs.find(({ name }) => name === diagnostic.data?.program);
  if (!verification || !verdict) return undefined;
  const { name, section, type } = verdict;
  const program = { name, section, type };
  if (diagnostic.severity === Severity.Hint) return { by: 'hint', diagnostic, program };
  const failure = verification.reportOn(name)?.failure;
  return failure && { by: 'verifier', failure, program };
}
