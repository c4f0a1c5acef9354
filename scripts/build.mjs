// `npm run build`: fills dist/ with one bundle a process, the WebAssembly parsers and the addon.
import { chmod, cp, mkdir, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import * as esbuild from 'esbuild';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const dist = path.join(root, 'dist');
const require = createRequire(import.meta.url);
const production = process.argv.includes('--production');
const watch = process.argv.includes('--watch');
const skipAddon = process.argv.includes('--skip-addon');

/** Bundle → the file that starts the process. */
const entryPoints = {
  extension: 'extension/extension.ts',
  'language-server': 'language-server/main.ts',
  'debug-adapter': 'debug-adapter/main.ts',
  cli: 'cli/main.ts',
  'kernel-host': 'kernel/host/main.ts',
  vm: 'kernel/targets/vm/main.ts',
};

const options = {
  absWorkingDir: root,
  entryPoints: Object.fromEntries(
    Object.entries(entryPoints).filter(([, source]) => existsSync(path.join(root, source))),
  ),
  outdir: dist,
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  sourcemap: !production,
  minify: production,
  legalComments: 'none',
  external: ['vscode', '*.node'],
  // web-tree-sitter is an ES module that asks for import.meta.url; a CommonJS bundle has __filename instead.
  define: { 'import.meta.url': '__bundleUrl' },
  banner: { js: "const __bundleUrl = require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'info',
  // Tells package.mjs which npm packages are inside, for the third-party notices.
  metafile: true,
};

await mkdir(dist, { recursive: true });
for (const wasm of [
  require.resolve('web-tree-sitter/web-tree-sitter.wasm'),
  require.resolve('tree-sitter-c/tree-sitter-c.wasm'),
]) {
  await cp(wasm, path.join(dist, path.basename(wasm)));
}
if (!skipAddon && existsSync(path.join(root, 'scripts/build-addon.mjs'))) {
  const { buildAddon } = await import('./build-addon.mjs');
  await buildAddon();
}
if (existsSync(path.join(root, 'scripts/build-vm-init.mjs'))) {
  const { buildVmInit } = await import('./build-vm-init.mjs');
  buildVmInit();
}
if (watch) {
  const context = await esbuild.context(options);
  await context.watch();
} else {
  const { metafile } = await esbuild.build(options);
  // `npm link` makes it the command bpf-studio.
  await chmod(path.join(dist, 'cli.js'), 0o755);
  await writeFile(path.join(dist, 'meta.json'), JSON.stringify(metafile));
}
