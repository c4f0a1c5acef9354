/** Who decides about fixes: the compiler with a source's own flags, and a kernel. */
import type { KernelClient } from '../../kernel/client/client';
import { KernelError } from '../../kernel/client/errors';
import { parseLineInfo } from '../../toolchain/btf/ext';
import { compile } from '../../toolchain/clang/compile';
import type { Clang } from '../../toolchain/clang/discover';
import { readBpfObject } from '../../toolchain/elf/object';
import { explainer } from '../model/verify';
import type { Judge } from './engine';

export interface Jurisdiction {
  clang: Clang;
  /** clang's flags for the source. */
  args: string[];
  /** Absolute path of the source. */
  path: string;
  /** Directory for precompiled headers. */
  cache: string;
  client: KernelClient;
  log(line: string): void;
}

export function kernelJudge({ clang, args, path, cache, client, log }: Jurisdiction): Judge {
  const target = { release: client.hello.kernel.release };
  return {
    compile: (text, signal) => compile({ clang, path, text, args, cache, signal, log }),
    async verify(object, options, signal) {
      try {
        return (await client.request('verify', { object, ...options }, { signal })).programs;
      } catch (error) {
        // An object that libbpf cannot read has no verdicts; without a kernel there is nobody to ask.
        const isVerdict = error instanceof KernelError && error.code !== 'hostGone';
        if (signal.aborted || !isVerdict) throw error;
        return [];
      }
    },
    explain: (object, verdict) => explainer(object, path, undefined, target).report(verdict).failure,
    lines(object, verdict) {
      const read = readBpfObject(object);
      const btf = read.ok ? read.value.btf : undefined;
      return new Set(
        parseLineInfo(verdict.lineInfo).map(({ textOffset }) => btf?.string(textOffset).trim() ?? ''),
      );
    },
  };
}
