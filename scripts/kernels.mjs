// `node scripts/kernels.mjs 5.10 6.1 6.12 7.3`: brings kernels for the vm target into the user's cache, as
// “BPF: Download Kernel for VM” does. Prints the image of each; exit status 1 if one could not be had.
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const scratch = mkdtempSync(path.join(os.tmpdir(), 'bpf-studio-kernels-'));
try {
  const outfile = path.join(scratch, 'fetch.cjs');
  const entry = path.join(root, 'kernel/targets/vm/fetch.ts');
  await esbuild.build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    logLevel: 'error',
  });
  const { fetchKernel } = createRequire(import.meta.url)(outfile);
  const versions = process.argv.slice(2);
  for (const version of versions.length > 0 ? versions : [undefined]) {
    const result = await fetchKernel(version, { log: (line) => console.error(`kernels: ${line}`) });
    if (!('message' in result) && result.usable.ok) {
      console.log(result.image);
      continue;
    }
    const { message, hint } =
      'message' in result ? result : { message: result.usable.reason, hint: result.usable.fix };
    console.error(`kernels: ${message} ${hint}`);
    process.exitCode = 1;
  }
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
