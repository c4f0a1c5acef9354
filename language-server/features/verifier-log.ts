import type { KernelClient } from '../../kernel/client/client';
import { logDocument } from '../../toolchain/verifier/logDocument';
import { sourcePositions } from '../../toolchain/verifier/position';
import type { VerifierLogParams, VerifierLogResult } from '../protocol';
import { pathsOf, type Verification } from '../model/verify';
import { failure, requireDocument, type Session } from '../session';

/** The whole log of one program; the document is verified first when it was not yet. */
export async function verifierLog(session: Session, params: VerifierLogParams): Promise<VerifierLogResult> {
  const bpf = requireDocument(session, params);
  if (!bpf.verification) {
    await bpf.start(true);
    await bpf.settled();
  }
  const client = await session.kernel.client();
  if (!('request' in client)) throw failure(client.message);
  const { verification } = bpf;
  const result = verification && (await logOf(client, verification, bpf.path, params.program));
  if (!result)
    throw failure(bpf.status.problem?.message ?? `There is no verdict on "${params.program}" yet.`);
  return result;
}

/** A rejected program's log is at hand; an accepted one's is asked for, since a log is dear and mostly not read. */
async function logOf(
  client: KernelClient,
  verification: Verification,
  path: string,
  program: string,
): Promise<VerifierLogResult | undefined> {
  const known = verification.programs.find(({ name }) => name === program);
  if (!known) return undefined;
  let verdict = known;
  if (known.log === undefined || known.logIsTail) {
    // At level 1 the kernel forgets each path that ended well; level 2 keeps them.
    const log = known.logIsTail ? 'all' : 'states';
    const again = await client.request('verify', { object: verification.object, programs: [program], log });
    verdict = again.programs.find(({ name }) => name === program) ?? known;
  }
  const positions = sourcePositions(verdict.lineInfo, verification.btf, pathsOf(path));
  const words = [verdict.log, verdict.libbpfLog, verdict.message].find((text) => text);
  const { text, links } = logDocument(words ?? '', positions);
  return { text, links, kernel: verification.kernel };
}
