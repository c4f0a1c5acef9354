import type { KernelClient } from '../../kernel/client/client';
import { logDocument } from '../../toolchain/verifier/logDocument';
import { sourcePositions } from '../../toolchain/verifier/position';
import type { VerifierLogResult } from '../protocol';
import { pathsOf, type Verification } from '../model/verify';

/**
 * The whole log of one program. A rejected program's is at hand; for an accepted one the kernel is asked again, since
 * a log is dear and mostly not read.
 */
export async function verifierLog(
  client: KernelClient,
  verification: Verification,
  object: Uint8Array<ArrayBuffer>,
  path: string,
  program: string,
): Promise<VerifierLogResult | undefined> {
  const known = verification.programs.find(({ name }) => name === program);
  if (!known) return undefined;
  let verdict = known;
  if (known.log === undefined || known.logIsTail) {
    // At level 1 the kernel forgets each path that ended well; level 2 keeps them.
    const log = known.logIsTail ? 'all' : 'states';
    const again = await client.request('verify', { object, programs: [program], log });
    verdict = again.programs.find(({ name }) => name === program) ?? known;
  }
  const positions = sourcePositions(verdict.lineInfo, verification.btf, pathsOf(path));
  const words = [verdict.log, verdict.libbpfLog, verdict.message].find((text) => text);
  const { text, links } = logDocument(words ?? '', positions);
  return { text, links, kernel: verification.kernel };
}
