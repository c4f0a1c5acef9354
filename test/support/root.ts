/** Tests that need root, as loading programs into this machine's kernel does. */
import { describe } from 'vitest';

export const isRoot = process.geteuid?.() === 0;

/** A suite; without root it is skipped, and its name says why. */
export function describeAsRoot(title: string, body: () => void): void {
  describe.skipIf(!isRoot)(`${title}${isRoot ? '' : ' (needs root)'}`, body);
}
