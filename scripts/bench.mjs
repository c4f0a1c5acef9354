// `npm run bench`: builds what is missing and measures, see test/bench/main.ts for the lines and their bounds.
//   npm run bench -- --veristat PATH   measures against veristat too
//   npm run bench -- --bpfvv DIRECTORY  measures the reading of logs against a clone of bpfvv too
//   npm run bench -- --only map,vm     some lines; test/bench/main.ts has their names
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { setup } from './setup.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

async function bench() {
  setup({ only: ['build', 'use', 'test'] });
  const built = spawnSync(process.execPath, ['scripts/build.mjs', '--production'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (built.status !== 0) throw new Error('The build failed; see above.');
  const { build } = await import('esbuild');
  const directory = path.join(root, '.cache/bench');
  mkdirSync(directory, { recursive: true });
  const outfile = path.join(directory, 'test/bench/main.cjs');
  await build({
    absWorkingDir: root,
    entryPoints: ['test/bench/main.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    // Finds its own binary beside it.
    external: ['esbuild'],
    logLevel: 'error',
    // The tests' helpers find dist/ from where their source lies, and the parser its grammar.
    define: {
      __dirname: JSON.stringify(path.join(root, 'test/bench')),
      'import.meta.dirname': JSON.stringify(path.join(root, 'test/bench')),
      'import.meta.url': JSON.stringify(pathToFileURL(path.join(root, 'test/bench/main.ts')).href),
    },
  });
  const { status } = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], {
    cwd: root,
    stdio: 'inherit',
  });
  return status ?? 2;
}

try {
  process.exitCode = await bench();
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 2;
}
