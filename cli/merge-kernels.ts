/** One file's results on several kernels as one: each finding once, with the kernels that had it. */
import type { Diagnostic } from '../toolchain/diagnostic';
import type { FileResult } from './verify-file';

export interface SharedFinding {
  finding: Diagnostic;
  /** Releases; what is not a kernel's word has all of them. */
  kernels: string[];
}

/** Findings of all results in order, each once. */
export function sharedFindings(results: readonly FileResult[]): SharedFinding[] {
  const found = new Map<string, SharedFinding>();
  for (const { diagnostics, programs, json } of results) {
    for (const finding of [...diagnostics, ...programs.flatMap((program) => program.diagnostics)]) {
      const { path, range, code, message, data } = finding;
      const key = JSON.stringify([path, range, code, message, data?.kernelMessage]);
      const known = found.get(key) ?? { finding, kernels: [] };
      if (!known.kernels.includes(json.kernel)) known.kernels.push(json.kernel);
      // Only older kernels' rejections come with a second opinion.
      if (data?.secondOpinion && !known.finding.data?.secondOpinion) known.finding = finding;
      found.set(key, known);
    }
  }
  return [...found.values()];
}

/** For forms that list findings: a result whose findings name their kernels in `data.kernel`. */
export function merged(results: readonly FileResult[]): FileResult | undefined {
  const [first] = results;
  if (!first) return undefined;
  const diagnostics = sharedFindings(results).map(({ finding, kernels }) => ({
    ...finding,
    data: { ...finding.data, kernel: kernels.join(', ') },
  }));
  return { ...first, diagnostics, programs: [] };
}
