/** `verify --second-opinion`: rejections by a kernel before 7.3, put before one that explains itself. */
import { openKernel, type OpenedKernel } from '../kernel/client/open';
import { KernelError } from '../kernel/client/errors';
import {
  givesReports,
  opinionsOf,
  opinionText,
  reportingKernel,
  REPORTS_SINCE,
  secondOpinions,
  type SecondOpinion,
} from '../kernel-matrix/second-opinion';
import type { Problem } from '../toolchain/problem';
import type { Io } from './io';
import { problemOf } from './kernel';
import { mapFindings, type FileResult } from './verify-file';

/** The results with the opinion on each rejection. That there is none is told, and takes nothing from the results. */
export async function withSecondOpinions(results: FileResult[], io: Io): Promise<FileResult[]> {
  const wanted = results.filter(
    ({ json, object, programs }) =>
      object !== undefined &&
      !givesReports(json.kernel) &&
      programs.some(({ verdict }) => verdict.verdict !== 'accepted'),
  );
  if (wanted.length === 0 || io.interrupted.aborted) return results;
  const answered = new Map<string, Map<string, SecondOpinion>>();
  // With --kernels one of them may be new enough: what it said is the opinion.
  for (const { path, json, programs } of results) {
    if (!givesReports(json.kernel) || programs.length === 0) continue;
    answered.set(
      path,
      opinionsOf(
        programs.map(({ verdict }) => verdict),
        json.kernel,
      ),
    );
  }
  const open = wanted.filter(({ path }) => !answered.has(path));
  if (open.length > 0) await askAbout(open, answered, io);
  return results.map((result) =>
    wanted.includes(result) ? withOpinions(result, answered.get(result.path)) : result,
  );
}

/** Starts the kernel and asks it once about each object. What keeps it from answering is told. */
async function askAbout(
  open: readonly FileResult[],
  answered: Map<string, Map<string, SecondOpinion>>,
  io: Io,
): Promise<void> {
  const kernel = reportingKernel();
  if (!kernel) {
    const message = `No Linux ${REPORTS_SINCE} or newer is at hand for a second opinion.`;
    const hint = `Fetch one: bpf-studio kernels fetch ${REPORTS_SINCE}`;
    return io.problem({ code: 'cli/second-opinion', message, hint });
  }
  if (process.stderr.isTTY) io.err(`bpf-studio: asking Linux ${kernel.release} for a second opinion …\n`);
  const none = (problem: Problem) =>
    io.problem({ ...problem, message: `There is no second opinion: ${problem.message}` });
  let opened: OpenedKernel | undefined;
  try {
    const answer = await openKernel({
      target: kernel.target,
      name: 'bpf-studio',
      distDirectory: __dirname,
      elevate: 'never',
      log: () => {},
      signal: io.interrupted,
    });
    if (!('client' in answer)) return none({ ...answer, code: `kernel/${answer.code}` });
    opened = answer;
    for (const { path, object } of open) {
      if (answered.has(path)) continue;
      const names = open
        .filter((one) => one.path === path)
        .flatMap(({ programs }) => programs)
        .filter(({ verdict }) => verdict.verdict !== 'accepted')
        .map(({ verdict }) => verdict.name);
      const programs = [...new Set(names)];
      answered.set(path, await secondOpinions(opened.client, object!, programs, io.interrupted));
    }
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    none(problemOf(error));
  } finally {
    await opened?.dispose();
  }
}

function withOpinions(result: FileResult, opinions: Map<string, SecondOpinion> | undefined): FileResult {
  if (!opinions) return result;
  const found = mapFindings(result, (finding, verdict) => {
    const opinion = verdict && opinions.get(verdict.name);
    return opinion ? { ...finding, data: { ...finding.data, secondOpinion: opinionText(opinion) } } : finding;
  });
  const programs = found.json.programs.map((program) => {
    const opinion = opinions.get(program.name);
    return { ...program, ...(opinion ? { secondOpinion: opinion } : {}) };
  });
  return { ...found, json: { ...found.json, programs } };
}
