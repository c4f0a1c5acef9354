/** The documentation page of each class of findings, as files beside the bundle. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** URI of the page on a finding's code, e.g. of `bpf/null-deref`; undefined for a code without one. */
export type Pages = (code: string) => string | undefined;

/** Pages as they are installed: `docs/verifier/ID.md` in the folder that holds the bundles' folder. */
export function installedPages(distDirectory: string, log: (line: string) => void): Pages {
  const directory = path.resolve(distDirectory, '../docs/verifier');
  const files = new Set<string>();
  try {
    for (const file of readdirSync(directory)) files.add(file);
  } catch (error) {
    log(`findings have no documentation pages: ${(error as Error).message}`);
  }
  return (code) => {
    const file = `${code.replace(/^bpf\//, '')}.md`;
    return code.startsWith('bpf/') && files.has(file)
      ? pathToFileURL(path.join(directory, file)).href
      : undefined;
  };
}
