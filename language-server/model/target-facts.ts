/** What the kernel of a session can tell about itself, asked once a session and only when something failed. */
import type { KernelClient } from '../../kernel/client/client';
import type { ProgramVerdict } from '../../kernel/protocol';
import type { Btf } from '../../toolchain/btf/btf';
import { parseBtf } from '../../toolchain/btf/parse';
import type { AttachLists } from '../../toolchain/load-failure/attach-point';
import type { TargetFacts } from '../../toolchain/load-failure/target';

/** Answers by session. What a kernel has changes with its modules; a session is short enough for that. */
const sessions = new WeakMap<KernelClient, Map<string, Promise<unknown>>>();

/** More names than any kernel has functions. */
const ALL = 1_000_000;

/** An answer of the session, asked for once. One that failed is undefined, and is asked for again next time. */
function once<T>(client: KernelClient, key: string, ask: () => Promise<T>): Promise<T | undefined> {
  const answers = sessions.get(client) ?? new Map<string, Promise<unknown>>();
  sessions.set(client, answers);
  let answer = answers.get(key) as Promise<T | undefined> | undefined;
  if (!answer) {
    // A kernel that will not tell makes an explanation shorter, not wrong.
    answer = ask().catch(() => void answers.delete(key));
    answers.set(key, answer);
  }
  return answer;
}

function features(client: KernelClient) {
  return once(client, 'features', () => client.request('features', {}));
}

/** The kernel's own types; undefined when it has none or they cannot be read. */
export function kernelBtf(client: KernelClient): Promise<Btf | undefined> {
  if (!client.hello.capabilities.btf.ok) return Promise.resolve(undefined);
  return once(client, 'btf', async () => {
    const { data } = await client.request('btf', { source: { module: 'vmlinux' } });
    const parsed = parseBtf(Uint8Array.from(data));
    return parsed.ok ? parsed.value : undefined;
  });
}

/** What the configuration says, and the kernel's types with `withBtf`. */
export async function targetFacts(
  client: KernelClient,
  want: { features: boolean; btf: boolean },
): Promise<TargetFacts> {
  const { kernel, capabilities } = client.hello;
  const [known, btf] = await Promise.all([
    want.features ? features(client) : undefined,
    want.btf ? kernelBtf(client) : undefined,
  ]);
  return {
    release: kernel.release,
    mayLoad: capabilities.load.ok,
    ...(known && { programTypes: known.programTypes, mapTypes: known.mapTypes }),
    ...(known?.configSource && { config: known.config }),
    ...(btf && { btf }),
  };
}

/** The facts that bear on how programs failed: nothing is asked for when all were accepted. */
export function factsForFailure(
  client: KernelClient,
  verdicts: readonly Pick<ProgramVerdict, 'verdict' | 'libbpfLog' | 'message' | 'log'>[],
): Promise<TargetFacts> {
  const failed = verdicts.filter(({ verdict }) => verdict !== 'accepted');
  // libbpf and the verifier say so when it was the kernel's types that something was looked up in.
  const about = /BTF|CO-RE|ksym|kfunc|#195896080/;
  const btf = failed.some(({ libbpfLog, message, log }) =>
    about.test(`${libbpfLog}\n${message ?? ''}\n${log?.slice(-4096) ?? ''}`),
  );
  return targetFacts(client, { features: failed.some(({ verdict }) => verdict === 'error'), btf });
}

/** The kernel's lists of what programs can be attached to. */
export function attachLists(client: KernelClient): AttachLists {
  const functions = (contains: string, limit: number) =>
    once(client, `functions:${contains}`, async () => {
      const listed = await client.request('listKernelFunctions', { contains, limit });
      return listed.functions;
    });
  return {
    functionsWith: (text) => functions(text, 10_000),
    allFunctions: () => functions('', ALL),
    tracepoints: () =>
      once(client, 'tracepoints', async () => {
        const { tracepoints } = await client.request('listTracepoints', { contains: '', limit: ALL });
        return tracepoints.map(({ category, name }) => `${category}/${name}`);
      }),
  };
}
