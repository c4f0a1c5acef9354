/** What the kernel of a session can tell about itself, asked once a session and only when something failed. */
import type { KernelClient } from '../../kernel/client/client';
import { askOnce } from '../../kernel/client/lists';
import type { ProgramVerdict } from '../../kernel/protocol';
import type { Btf } from '../../toolchain/btf/btf';
import { parseBtf } from '../../toolchain/btf/parse';
import type { TargetFacts } from '../../toolchain/load-failure/target';

function features(client: KernelClient) {
  return askOnce(client, 'features', () => client.request('features', {}));
}

/** The kernel's own types; undefined when it has none or they cannot be read. */
export function kernelBtf(client: KernelClient): Promise<Btf | undefined> {
  if (!client.hello.capabilities.btf.ok) return Promise.resolve(undefined);
  return askOnce(client, 'btf', async () => {
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
