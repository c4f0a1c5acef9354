/** How often the verifier came to each source line of a document. */
import { pathToFileURL } from 'node:url';
import type { ProgramVerdict } from '../../kernel/protocol';
import { countVisits, lineCosts } from '../../toolchain/verifier/costs';
import { sourcePositions } from '../../toolchain/verifier/position';
import { pathsOf, type Verification } from '../model/verify';
import type { BpfDocument } from '../model/document';
import type { VerifierCostsParams, VerifierCostsResult } from '../protocol';
import { failure, requireDocument, type Session } from '../session';

/**
 * A program that took more instructions is not asked for its log: with states and precision notes it has some 460
 * bytes an instruction, so this is 45 MB and two seconds of work, on every verdict while the map is shown.
 */
const MAX_INSTRUCTIONS = 100_000;

/** Answers by verdict: the log is asked for once, however often the editor asks. */
const answers = new WeakMap<Verification, Promise<VerifierCostsResult>>();

/** What is measured of a document now; a newer question ends it. */
const measuring = new WeakMap<BpfDocument, AbortController>();

/** Throws the answer that says why there are none. */
export async function verifierCosts(
  session: Session,
  params: VerifierCostsParams,
): Promise<VerifierCostsResult> {
  const bpf = requireDocument(session, params);
  if (!bpf.verification) {
    await bpf.start(true);
    await bpf.settled();
  }
  const { verification, verifiedVersion } = bpf;
  if (!verification || verifiedVersion === undefined) {
    throw failure(bpf.status.problem?.message ?? 'There is no verdict on this file yet.');
  }
  const known = answers.get(verification);
  if (known) return known;
  measuring.get(bpf)?.abort();
  const work = new AbortController();
  measuring.set(bpf, work);
  const answer = measure(session, bpf, verification, verifiedVersion, work.signal);
  answers.set(verification, answer);
  // What failed is tried again when the editor asks again.
  answer.catch(() => answers.delete(verification));
  return answer;
}

async function measure(
  session: Session,
  bpf: BpfDocument,
  verification: Verification,
  version: number,
  signal: AbortSignal,
): Promise<VerifierCostsResult> {
  const { programs, object, btf, kernel } = verification;
  // Taken before the kernel is asked: the text may change meanwhile.
  const places = bpf.status.programs;
  const client = await session.kernel.client();
  if (!('request' in client)) throw failure(client.message);
  const wanted = programs.filter((program) => notMeasured(program) === undefined).map(({ name }) => name);
  const logged = wanted.length
    ? (await client.request('verify', { object, programs: wanted, log: 'states' }, { signal })).programs
    : [];
  const uriOf = (path: string): string => (path === bpf.path ? bpf.uri : pathToFileURL(path).href);
  const lines = lineCosts(
    programs.map((program) => {
      const { insnCount, lineInfo, verdict, log } = logged.find(({ name }) => name === program.name) ?? {
        ...program,
        log: undefined,
      };
      return {
        visits: log === undefined ? undefined : countVisits(log, insnCount),
        positions: sourcePositions(lineInfo, btf, pathsOf(bpf.path)),
        isWhole: verdict === 'accepted',
        insnCount,
      };
    }),
  );
  return {
    kernel,
    version,
    lines: lines.map(({ path, ...cost }) => ({ uri: uriOf(path), ...cost })),
    programs: programs.map((program) => {
      const reason = notMeasured(program);
      return {
        name: program.name,
        line: places.find(({ name }) => name === program.name)?.line ?? 0,
        ...(program.stats && { insns: program.stats.insns }),
        ...(reason !== undefined && { notMeasured: reason }),
      };
    }),
  };
}

/** Why a program's instructions cannot be counted. */
function notMeasured({ verdict, stats }: ProgramVerdict): string | undefined {
  if (verdict === 'error' || !stats) return 'the verifier did not come to look at it';
  if (stats.insns <= MAX_INSTRUCTIONS) return undefined;
  const [insns, limit] = [stats.insns, MAX_INSTRUCTIONS].map((count) => count.toLocaleString('en-US'));
  return `the verifier processed ${insns} instructions of it, and only programs up to ${limit} are measured, because the log it takes would be too long`;
}
