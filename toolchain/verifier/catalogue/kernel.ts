import type { Entry } from './kinds';

/** What says nothing of the program: the verifier's own faults, and who may load what. */
export const kernelEntries: Entry[] = [
  {
    id: 'bpf/verifier-bug',
    title: 'The verifier reports a fault of its own',
    wants: 'This should not happen: the kernel says that its verifier is in a state it never expected.',
    help: 'Try another kernel, and report it to bpf@vger.kernel.org with the log.',
    rules: [
      {
        pattern:
          /^verifier (internal error|bug)|^BUG |REG INVARIANTS VIOLATION|internal bug|^kernel subsystem misconfigured/i,
      },
      {
        pattern:
          /^(adding tail call poke descriptor|tracking tail call prog|failed to push state for) ?\S* ?failed/,
      },
      { pattern: /^(unknown|invalid) return type \d+ of func /i },
    ],
  },
  {
    id: 'bpf/signature',
    title: 'Signed program that is not what was signed',
    wants:
      'A signed program may use only what its signature covers, and the signature must be valid for a key the kernel trusts.',
    help: 'Sign the program again with the maps it uses, and load it with the keyring that has the key.',
    scope: 'program',
    rules: [
      { pattern: /^signed (program|payload)|^signature verification failed|^cannot resolve signing keyring/ },
      { pattern: /^failed to read signed metadata map|doesn't match map's excl_prog_hash/ },
    ],
  },
];
