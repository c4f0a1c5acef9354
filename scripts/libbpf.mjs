// Finds or builds a static libbpf that is new enough for the addon, from the distribution's own source package.
//
// The addon needs bpf_program__line_info() and bpf_object__prepare(), which came with libbpf 1.6; the releases people
// run ship older ones. The source package of a newer suite of the same distribution is fetched with a private apt
// configuration (own lists, own cache, the system's keys), so nothing about the system's packages changes.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const required = { major: 1, minor: 6 };

export const cacheDirectory = path.join(
  process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'),
  'bpf-studio',
);

/** Suites to try after the system's own, by distribution id: the first with a new enough libbpf wins. */
const newerSuites = {
  debian: ['sid', 'testing', 'stable-backports'],
  ubuntu: ['devel', 'resolute', 'questing'],
};

/**
 * A libbpf of at least 1.6: `{version, archive, include}` with the static library, and the directory that holds
 * `bpf/libbpf.h`. `BPF_STUDIO_LIBBPF_SOURCE` names a libbpf source tarball to use instead of apt.
 * Throws an Error whose message says what is missing and how to get it.
 */
export async function provideLibbpf() {
  const installed = await installedLibbpf();
  if (installed) return installed;
  const given = process.env.BPF_STUDIO_LIBBPF_SOURCE;
  const cached = given ? undefined : await cachedBuild();
  if (cached) return cached;
  await mkdir(cacheDirectory, { recursive: true });
  const tarball = given ?? (await fetchSource());
  return buildFrom(tarball);
}

function newEnough(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > required.major || (major === required.major && minor >= required.minor);
}

/** The distribution's libbpf-dev, when it is new enough and has the static library. */
async function installedLibbpf() {
  try {
    const { stdout } = await run('pkg-config', [
      '--print-variables',
      '--modversion',
      '--variable=libdir',
      'libbpf',
    ]);
    const version = /^\d+\.\d+\S*$/m.exec(stdout)?.[0];
    if (!version || !newEnough(version)) return undefined;
    const libdir = (await run('pkg-config', ['--variable=libdir', 'libbpf'])).stdout.trim();
    const include = (await run('pkg-config', ['--variable=includedir', 'libbpf'])).stdout.trim();
    const archive = path.join(libdir, 'libbpf.a');
    return existsSync(archive) ? { version, archive, include } : undefined;
  } catch {
    // No pkg-config, or it does not know libbpf: then there is none to use.
    return undefined;
  }
}

async function describe(directory) {
  const archive = path.join(directory, 'lib/libbpf.a');
  const include = path.join(directory, 'include');
  if (!existsSync(archive)) return undefined;
  return { version: path.basename(directory).replace('libbpf-', ''), archive, include };
}

/** The newest libbpf built here before. */
async function cachedBuild() {
  const names = existsSync(cacheDirectory) ? await readdir(cacheDirectory) : [];
  const builds = names
    .filter((name) => /^libbpf-\d+\.\d+\.\d+$/.test(name) && newEnough(name.slice('libbpf-'.length)))
    .sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
  for (const name of builds) {
    const found = await describe(path.join(cacheDirectory, name));
    if (found) return found;
  }
  return undefined;
}

/** `URI` and signing key of the distribution's main archive, from the system's apt configuration. */
async function systemArchive() {
  const release = await readFile('/etc/os-release', 'utf8');
  const field = (key) => new RegExp(`^${key}="?([^"\\n]*)"?$`, 'm').exec(release)?.[1] ?? '';
  const ids = [field('ID'), ...field('ID_LIKE').split(' ')];
  const id = ids.find((candidate) => candidate in newerSuites);
  if (!id) {
    throw new Error(
      `No libbpf ${required.major}.${required.minor} or newer is installed, and this script can fetch its source only on Debian and Ubuntu. ` +
        'Install libbpf-dev 1.6 or newer with its static library, or set BPF_STUDIO_LIBBPF_SOURCE to a libbpf source tarball.',
    );
  }
  const files = ['/etc/apt/sources.list'];
  const parts = '/etc/apt/sources.list.d';
  if (existsSync(parts)) files.push(...(await readdir(parts)).map((name) => path.join(parts, name)));
  const codename = field('VERSION_CODENAME');
  for (const file of files.filter(existsSync)) {
    for (const source of parseSources(await readFile(file, 'utf8'), file.endsWith('.sources'))) {
      if (source.suites.includes(codename) && source.components.includes('main')) return { id, ...source };
    }
  }
  throw new Error(
    `apt's sources (/etc/apt/sources.list, /etc/apt/sources.list.d) name no archive for ${codename} main. ` +
      'Add one, install libbpf-dev 1.6 or newer, or set BPF_STUDIO_LIBBPF_SOURCE to a libbpf source tarball.',
  );
}

/** Reads both of apt's formats, see sources.list(5). */
function parseSources(text, deb822) {
  const withoutComments = text.replace(/^#.*\n?/gm, '');
  if (!deb822) {
    return [...withoutComments.matchAll(/^deb(?:-src)?\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)$/gm)].map(
      ([, options = '', uri, suite, components]) => ({
        uri,
        suites: [suite],
        components: components.trim().split(/\s+/),
        signedBy: /signed-by=(\S+)/.exec(options)?.[1],
      }),
    );
  }
  return withoutComments.split(/\n\s*\n/).map((stanza) => {
    const words = (key) =>
      (new RegExp(`^${key}:\\s*(.*)$`, 'mi').exec(stanza)?.[1] ?? '').split(/\s+/).filter(Boolean);
    return {
      uri: words('URIs')[0],
      suites: words('Suites'),
      components: words('Components'),
      signedBy: words('Signed-By')[0],
    };
  });
}

/** Downloads the upstream tarball of the newest source package at hand and returns its path. */
async function fetchSource() {
  const archive = await systemArchive();
  const work = await mkdtemp(path.join(cacheDirectory, 'apt-'));
  const problems = [];
  try {
    for (const suite of newerSuites[archive.id]) {
      try {
        return await downloadFrom(archive, suite, work);
      } catch (error) {
        problems.push(`${suite}: ${lastLine(error)}`);
      }
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  throw new Error(
    `libbpf's source (1.6 or newer) could not be fetched from ${archive.uri}:\n  ${problems.join('\n  ')}\n` +
      'Check the network, or set BPF_STUDIO_LIBBPF_SOURCE to a libbpf source tarball.',
  );
}

async function downloadFrom({ uri, signedBy }, suite, work) {
  const key = signedBy ? `[signed-by=${signedBy}] ` : '';
  const list = path.join(work, `${suite}.list`);
  await writeFile(list, `deb-src ${key}${uri} ${suite} main\n`);
  for (const name of ['lists/partial', 'cache/archives/partial']) {
    await mkdir(path.join(work, suite, name), { recursive: true });
  }
  const options = [
    `Dir::Etc::sourcelist=${list}`,
    'Dir::Etc::sourceparts=-',
    `Dir::State::lists=${path.join(work, suite, 'lists')}`,
    `Dir::Cache=${path.join(work, suite, 'cache')}`,
    // apt's own user could not enter a cache below a private home directory.
    `APT::Sandbox::User=${os.userInfo().username}`,
    'APT::Get::Assume-Yes=true',
  ].flatMap((option) => ['-o', option]);
  console.log(`libbpf: reading the source index of ${suite}`);
  await run('apt-get', ['update', '--error-on=any', ...options]);
  const { stdout } = await run('apt-cache', ['showsrc', ...options, 'libbpf']);
  const versions = [...stdout.matchAll(/^Version: (?:\d+:)?([\d.]+)/gm)].map((match) => match[1]);
  if (!versions.some(newEnough))
    throw new Error(`has libbpf ${versions.join(', ') || 'not at all'}, 1.6 is wanted`);
  await run('apt-get', ['source', '--download-only', '--tar-only', ...options, 'libbpf'], { cwd: work });
  const tarball = (await readdir(work)).find((name) => /^libbpf_[\d.]+\.orig\.tar\.\w+$/.test(name));
  if (!tarball) throw new Error('apt-get source brought no upstream tarball');
  const kept = path.join(cacheDirectory, tarball);
  await rename(path.join(work, tarball), kept);
  return kept;
}

function lastLine(error) {
  const text = String(error.stderr || error.message).trim();
  return text.split('\n').at(-1);
}

/** Unpacks, builds the static library, and installs it and the headers into the cache. */
async function buildFrom(tarball) {
  const work = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-libbpf-'));
  try {
    await run('tar', ['-xf', tarball, '-C', work, '--strip-components=1']);
    const map = await readFile(path.join(work, 'src/libbpf_version.h'), 'utf8');
    const number = (name) => new RegExp(`LIBBPF_${name}_VERSION (\\d+)`).exec(map)?.[1];
    const patch = /LIBBPF_PATCH_VERSION := (\d+)/.exec(
      await readFile(path.join(work, 'src/Makefile'), 'utf8'),
    )?.[1];
    const version = `${number('MAJOR')}.${number('MINOR')}.${patch ?? 0}`;
    if (!newEnough(version)) throw new Error(`${tarball} holds libbpf ${version}; 1.6 or newer is needed`);
    console.log(`libbpf: building ${version}`);
    const staged = path.join(work, 'staged');
    await run(
      'make',
      [
        '-C',
        path.join(work, 'src'),
        '-j2',
        'BUILD_STATIC_ONLY=1',
        `OBJDIR=${path.join(work, 'objects')}`,
        `PREFIX=${staged}`,
        `LIBDIR=${path.join(staged, 'lib')}`,
        `INCLUDEDIR=${path.join(staged, 'include')}`,
        // The archive ends up in a shared object; upstream's Makefile compiles static objects without -fPIC.
        'CFLAGS=-O2 -fPIC -fvisibility=hidden',
        'install',
      ],
      { maxBuffer: 1 << 26 },
    );
    const uapi = path.join(work, 'include/uapi/linux');
    await cp(uapi, path.join(staged, 'include/linux'), { recursive: true });
    const licenses = (await readdir(work)).filter((name) => /^LICENSE/.test(name));
    for (const name of licenses) await cp(path.join(work, name), path.join(staged, name));
    const target = path.join(cacheDirectory, `libbpf-${version}`);
    await rm(target, { recursive: true, force: true });
    await cp(staged, target, { recursive: true });
    return await describe(target);
  } catch (error) {
    throw new Error(
      `libbpf could not be built from ${tarball}: ${lastLine(error)}\n` +
        'It needs make, a C compiler, libelf and zlib: sudo apt-get install make gcc libelf-dev zlib1g-dev pkg-config',
      { cause: error },
    );
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
