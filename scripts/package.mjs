// `npm run package`: dist/bpf-studio-VERSION-linux-x64.vsix, which needs nothing on the user's machine but clang, and
// QEMU for kernels in a VM. What goes in is what .vscodeignore lists, and this checks that it is all there.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { setup } from './setup.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const dist = path.join(root, 'dist');
const largestBytes = 5_000_000;

/** What the package must contain; a path that ends in `/` stands for at least one file below it. */
const required = [
  'package.json',
  'package.nls.json',
  'README.md',
  'LICENSE',
  'dist/THIRD-PARTY-NOTICES.txt',
  'dist/extension.js',
  'dist/language-server.js',
  'dist/debug-adapter.js',
  'dist/kernel-host.js',
  'dist/cli.js',
  'dist/bpf-studio.node',
  'dist/addon-info.json',
  'dist/web-tree-sitter.wasm',
  'dist/tree-sitter-c.wasm',
  'dist/include/bpf/',
  'syntaxes/',
  ...templateFiles(),
];

/** What must never be in it. */
const forbidden = [
  /(^|\/)node_modules\//,
  /\.test\.ts$/,
  /\.map$/,
  /\.ts$/,
  /^(kernel|toolchain|cli|scripts|test)\//,
];

/** Builds and packages; returns the path of the VSIX. Throws an Error that says what is wrong with the package. */
export async function packageExtension({ log = console.log } = {}) {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const vsix = path.join(dist, `bpf-studio-${version}-linux-x64.vsix`);
  const built = spawnSync(process.execPath, ['scripts/build.mjs', '--production'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (built.status !== 0) throw new Error('The build failed; see above.');
  const { thirdPartyNotices } = await import('./notices.mjs');
  const { provideLibbpf } = await import('./libbpf.mjs');
  const metafile = JSON.parse(readFileSync(path.join(dist, 'meta.json'), 'utf8'));
  const notices = thirdPartyNotices({ root, metafile, libbpf: await provideLibbpf() });
  writeFileSync(path.join(dist, 'THIRD-PARTY-NOTICES.txt'), notices);

  const { createVSIX, listFiles, PackageManager } = await import('@vscode/vsce');
  const files = await listFiles({ cwd: root, packageManager: PackageManager.None });
  checkContents(files);
  rmSync(vsix, { force: true });
  await quietly(() =>
    createVSIX({
      cwd: root,
      packagePath: vsix,
      target: 'linux-x64',
      dependencies: false,
      allowMissingRepository: true,
      // The README's links lead into the source repository, whose address this one does not know.
      rewriteRelativeLinks: false,
    }),
  );
  const bytes = statSync(vsix).size;
  if (bytes > largestBytes) {
    throw new Error(
      `${vsix} has ${bytes} bytes, more than the ${largestBytes} that are allowed. Largest files:\n` +
        files
          .map((name) => ({ name, size: statSync(path.join(root, name)).size }))
          .sort((a, b) => b.size - a.size)
          .slice(0, 10)
          .map(({ name, size }) => `  ${size} ${name}`)
          .join('\n'),
    );
  }
  const { glibc } = JSON.parse(readFileSync(path.join(dist, 'addon-info.json'), 'utf8'));
  log(
    `package: ${path.relative(root, vsix)}, ${(bytes / 1e6).toFixed(2)} MB, ${files.length} files, runs with glibc ${glibc} or newer`,
  );
  return vsix;
}

/** vsce lists every file on the console, which says nothing that checkContents() has not looked at. */
async function quietly(work) {
  const { log } = console;
  console.log = () => {};
  try {
    return await work();
  } finally {
    console.log = log;
  }
}

function checkContents(files) {
  const has = (wanted) =>
    files.some((name) => (wanted.endsWith('/') ? name.startsWith(wanted) : name === wanted));
  const missing = required.filter((wanted) => !has(wanted));
  const stray = files.filter((name) => forbidden.some((pattern) => pattern.test(name)));
  if (missing.length > 0)
    throw new Error(
      `The package would lack ${missing.join(', ')}; see .vscodeignore and the build's output.`,
    );
  if (stray.length > 0)
    throw new Error(`The package would contain ${stray.join(', ')}; .vscodeignore must not let them in.`);
}

/** The files that each template's own manifest names, and the manifest. */
function templateFiles() {
  const templates = path.join(root, 'bpf-templates');
  return readdirSync(templates, { recursive: true })
    .filter((name) => path.basename(name) === 'template.json')
    .flatMap((name) => {
      const directory = path.posix.join('bpf-templates', path.dirname(name));
      const { files } = JSON.parse(readFileSync(path.join(templates, name), 'utf8'));
      for (const file of files) {
        if (!existsSync(path.join(root, directory, file)))
          throw new Error(`${directory}/template.json names ${file}, which does not exist.`);
      }
      return ['template.json', ...files].map((file) => path.posix.join(directory, file));
    });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    setup({ only: ['build'] });
    await packageExtension();
  } catch (error) {
    console.error(`package: ${error.message}`);
    process.exitCode = 1;
  }
}
