/** Which fixes are tried for which failure: a class of fixes is a file here and its lines in this table. */
import type { Candidate, Fix, Situation } from './fix';
import { addLicense } from './license';
import { boundIndex } from './index-bounds';
import { boundLoop } from './loop';
import { checkNull, checkNullOfResult } from './null-check';
import { checkPacketBounds } from './packet-bounds';
import { clampSize } from './size';
import { initialise } from './initialise';
import { makeUnsigned } from './unsigned';
import { moveToMap } from './scratch-map';
import { readKernelMemory } from './core-read';
import { releaseReference } from './release';
import { nameSection } from './section';
import { rereadPacket } from './reread-packet';
import { replaceHelper } from './helper';

/** By id of the catalogue, and clang's diagnostics by {@link clangTroubles}. */
const fixes: Record<string, Fix[]> = {
  'bpf/null-deref': [checkNull],
  'bpf/null-argument': [checkNull],
  'bpf/packet-bounds': [checkNullOfResult, checkPacketBounds],
  // A pointer that is NULL on this path is the number 0 to the kernel.
  'bpf/scalar-pointer': [rereadPacket, checkNull, readKernelMemory],
  'bpf/wrong-pointer': [rereadPacket],
  'bpf/index-unbounded': [boundIndex],
  'bpf/index-negative': [makeUnsigned, boundIndex],
  'bpf/map-bounds': [boundIndex],
  'bpf/memory-bounds': [boundIndex],
  'bpf/stack-bounds': [boundIndex],
  'bpf/size-unbounded': [clampSize],
  'bpf/size-negative': [clampSize, makeUnsigned],
  'bpf/size-zero': [clampSize],
  'bpf/stack-size': [moveToMap],
  'bpf/uninitialised': [initialise],
  'bpf/stack-uninitialised': [initialise],
  'bpf/unreleased-reference': [releaseReference],
  'bpf/lock': [releaseReference],
  'bpf/rcu': [releaseReference],
  'bpf/preempt': [releaseReference],
  'bpf/infinite-loop': [boundLoop],
  'bpf/complexity': [boundLoop],
  'bpf/license': [addLicense],
  'bpf/helper-not-allowed': [replaceHelper],
  'bpf/unknown-helper': [replaceHelper],
  'bpf/sleepable': [replaceHelper],
  'bpf/section': [nameSection],
  'bpf/attach-target': [nameSection],
  'bpf/attach-point': [nameSection],
};

/** Whether there is a fix to try for a diagnostic of this code and message at all. */
export function hasFixes(code: string, message: string): boolean {
  return idOf(code, message) in fixes;
}

/** The catalogue's id of what clang refuses instead of the kernel. */
function idOf(code: string, message: string): string {
  return code.startsWith('clang/') && /BPF stack limit/.test(message) ? 'bpf/stack-size' : code;
}

/** All candidates for a situation, the best first. */
export function candidatesFor(situation: Situation): Candidate[] {
  const { trouble } = situation;
  const id =
    trouble.by === 'verifier'
      ? trouble.failure.id
      : idOf(trouble.diagnostic.code, trouble.diagnostic.message);
  const seen = new Set<string>();
  const byClass = (fixes[id] ?? []).map((fix) => fix(situation)).filter((found) => found.length > 0);
  // Another class of fix than the first that applies is another opinion of what was meant.
  return byClass
    .flatMap((found, order) =>
      order === 0 ? found : found.map((one) => ({ ...one, isAlternative: !one.isLastResort })),
    )
    .filter((candidate) => {
      const key = JSON.stringify(candidate.edits);
      return candidate.edits.length > 0 && !seen.has(key) && seen.add(key);
    });
}
