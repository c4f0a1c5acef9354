/** `verify --second-opinion`: rejections by a kernel before 7.3, put before one that explains itself. */
import { openKernel } from '../kernel/client/open';
import { KernelError } from '../kernel/client/errors';
import {
  givesReports,
  opinionText,
  reportingKernel,
  REPORTS_SINCE,
  secondOpinions,
  type SecondOpinion,
} from '../kernel-matrix/second-opinion';
import type { Problem } from '../toolchain/problem';
import type { Io } from './io';
import { problemOf } from './kernel';
import type { FileResult } from './verify-file';
import { asLsp } from './verify-file';

/** The results with the opinion on each rejection. That there is none is told, and takes nothing from the results. */
export async function withSecondOpinions(results: FileResult[], io: Io): Promise<FileResult[]> {
  const wanted = results.filter(
    ({ json, object, programs }) =>
      object !== undefined &&
      !givesReports(json.kernel) &&
      programs.some(({ verdict }) => verdict.verdict !== 'accepted'),
  );
  if (wanted.length === 0 || io.interrupted.aborted) return results;
  const kernel = reportingKernel();
  if (!kernel) {
    const hint = `Fetch one: bpf-studio kernels fetch ${REPORTS_SINCE}`;
    io.problem({
      code: 'cli/second-opinion',
      message: `No Linux ${REPORTS_SINCE} or newer is at hand for a second opinion.`,
      hint,
    });
    return results;
  }
  if (process.stderr.isTTY) io.err(`bpf-studio: asking Linux ${kernel.release} for a second opinion …\n`);
  const opened = await openKernel({
    target: kernel.target,
    name: 'bpf-studio',
    distDirectory: __dirname,
    elevate: 'never',
    log: () => {},
    signal: io.interrupted,
  }).catch((error: unknown): Problem => problemOf(error));
  if (!('client' in opened)) {
    io.problem({ ...opened, message: `There is no second opinion: ${opened.message}` });
    return results;
  }
  try {
    const answered = new Map<FileResult, Map<string, SecondOpinion>>();
    for (const result of wanted) {
      const names = result.programs
        .filter(({ verdict }) => verdict.verdict !== 'accepted')
        .map(({ verdict }) => verdict.name);
      answered.set(result, await secondOpinions(opened.client, result.object!, names, io.interrupted));
    }
    return results.map((result) => withOpinions(result, answered.get(result)));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    io.problem({ ...problemOf(error), message: `There is no second opinion: ${error.message}` });
    return results;
  } finally {
    await opened.dispose();
  }
}

function withOpinions(result: FileResult, opinions: Map<string, SecondOpinion> | undefined): FileResult {
  if (!opinions) return result;
  const programs = result.programs.map(({ verdict, diagnostics }) => {
    const opinion = opinions.get(verdict.name);
    if (!opinion) return { verdict, diagnostics };
    const secondOpinion = opinionText(opinion);
    return {
      verdict,
      diagnostics: diagnostics.map((one) => ({ ...one, data: { ...one.data, secondOpinion } })),
    };
  });
  const json = {
    ...result.json,
    programs: result.json.programs.map((program, index) => {
      const diagnostics = (programs[index]?.diagnostics ?? []).map((one) => asLsp(one, result.path));
      const opinion = opinions.get(program.name);
      return { ...program, diagnostics, ...(opinion ? { secondOpinion: opinion } : {}) };
    }),
  };
  return { ...result, programs, json };
}
