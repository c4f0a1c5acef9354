// Third-party notices of the VSIX: every npm package that a bundle contains, and the C libraries linked into the addon,
// each with its license text, taken from what is installed on the machine that packages.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';

/**
 * The text of THIRD-PARTY-NOTICES.txt. `metafile` is esbuild's, `libbpf` what scripts/libbpf.mjs found. Throws when a
 * license text is missing: better no package than one without its notices.
 */
export function thirdPartyNotices({ root, metafile, libbpf }) {
  const sections = [...npmPackages(root, metafile), ...systemLibraries(libbpf)];
  return [
    'Third-party software in this package, and the licenses it comes under.',
    '',
    ...sections.flatMap(({ name, text }) => ['='.repeat(78), name, '='.repeat(78), '', text.trim(), '']),
  ].join('\n');
}

function npmPackages(root, metafile) {
  // Copied beside the bundles rather than into them.
  const names = new Set(['web-tree-sitter', 'tree-sitter-c', 'node-addon-api', 'node-api-headers']);
  for (const output of Object.values(metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
      if (name && bytesInOutput > 0) names.add(name);
    }
  }
  return [...names].sort().map((name) => {
    const directory = path.join(root, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8'));
    const file = readdirSync(directory).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
    if (!file)
      throw new Error(`${name} ${version} is bundled and has no license file in node_modules/${name}.`);
    return {
      name: `${name} ${version} (${license})`,
      text: readFileSync(path.join(directory, file), 'utf8'),
    };
  });
}

/** Statically linked into bpf-studio.node, see scripts/build-addon.mjs. */
function systemLibraries(libbpf) {
  const relink =
    'Linked statically into dist/bpf-studio.node. To use a changed copy, install it and run `npm run build` in the source ' +
    'repository of this extension: scripts/build-addon.mjs links the addon anew.';
  return [
    { name: `libbpf ${libbpf.version} (LGPL-2.1-only OR BSD-2-Clause)`, text: libbpfLicense(libbpf) },
    {
      name: `elfutils libelf ${packageVersion('libelf-dev')} (LGPL-3.0-or-later OR GPL-2.0-or-later)`,
      text: [relink, copyright('libelf-dev'), common('LGPL-3'), common('GPL-3'), common('GPL-2')].join(
        '\n\n',
      ),
    },
    { name: `zlib ${packageVersion('zlib1g-dev')} (Zlib)`, text: copyright('zlib1g-dev') },
    ...(packageVersion('libzstd-dev', { optional: true })
      ? [{ name: `zstd ${packageVersion('libzstd-dev')} (BSD-3-Clause)`, text: copyright('libzstd-dev') }]
      : []),
    {
      name: `GCC runtime libraries ${packageVersion(gccPackage())} (GPL-3.0-or-later WITH GCC-exception-3.1)`,
      text: copyright(gccPackage()),
    },
  ];
}

/** A libbpf built from source keeps its licenses beside it; the distribution's has a copyright file. */
function libbpfLicense({ archive }) {
  const directory = path.resolve(path.dirname(archive), '..');
  const files = existsSync(directory)
    ? readdirSync(directory).filter((name) => /^LICENSE(\..*)?$/.test(name))
    : [];
  if (files.length === 0) return copyright('libbpf-dev');
  return files
    .sort()
    .map((name) => readFileSync(path.join(directory, name), 'utf8').trim())
    .join('\n\n');
}

function gccPackage() {
  const { stdout } = spawnSync('g++', ['-dumpversion'], { encoding: 'utf8' });
  return `libstdc++-${(stdout ?? '').trim().split('.')[0]}-dev`;
}

function packageVersion(name, { optional = false } = {}) {
  const { stdout, status } = spawnSync('dpkg-query', ['-W', '-f=${Version}', name], { encoding: 'utf8' });
  if (status === 0 && stdout !== '') return stdout;
  if (optional) return null;
  throw new Error(
    `${name} is not an installed package, so its license text cannot be found. Run npm run setup.`,
  );
}

function copyright(name) {
  const file = `/usr/share/doc/${name}/copyright`;
  if (!existsSync(file)) throw new Error(`${file} is missing; reinstall ${name}.`);
  return readFileSync(file, 'utf8');
}

function common(name) {
  return readFileSync(`/usr/share/common-licenses/${name}`, 'utf8');
}
