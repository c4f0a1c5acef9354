// Compiles the N-API addon: every kernel/addon/*.cc with libbpf, libelf and zlib linked in statically, so that
// dist/bpf-studio.node needs nothing but the C library of the machine it runs on.
//
// Node's headers come from npm (node-api-headers), so neither node-gyp nor a download of Node's sources is needed;
// N-API's stable interface makes the same file load in every Node from 20 on and in Electron.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { provideLibbpf } from './libbpf.mjs';

const run = promisify(execFile);
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const sources = path.join(root, 'kernel/addon');
const dist = path.join(root, 'dist');
const addon = path.join(dist, 'bpf-studio.node');
const infoFile = path.join(dist, 'addon-info.json');

const flags = [
  '-std=c++17',
  '-O2',
  '-fPIC',
  '-fvisibility=hidden',
  '-Wall',
  '-Wextra',
  '-Wno-missing-field-initializers',
];
const defines = [
  '-DNAPI_VERSION=8',
  '-DNAPI_CPP_EXCEPTIONS',
  '-DNODE_GYP_MODULE_NAME=bpf_studio',
  '-D_GNU_SOURCE',
];

/** Builds dist/bpf-studio.node unless it is up to date, and dist/include/bpf (libbpf's headers for BPF programs). */
export async function buildAddon() {
  await requireTools();
  const libbpf = await provideLibbpf();
  await mkdir(dist, { recursive: true });
  await copyHeaders(libbpf);
  const fingerprint = await fingerprintOf(libbpf);
  if (await isBuilt(fingerprint)) return;
  const objects = await mkdtemp(path.join(os.tmpdir(), 'bpf-studio-addon-'));
  try {
    const files = (await readdir(sources)).filter((name) => name.endsWith('.cc'));
    const compiled = await compileAll(files, objects, libbpf);
    // Renamed into place, so that a process that has the old file mapped keeps it.
    const linked = path.join(objects, 'bpf-studio.node');
    await link(compiled, linked, libbpf);
    const fresh = `${addon}.${process.pid}`;
    await cp(linked, fresh);
    await rename(fresh, addon);
  } finally {
    await rm(objects, { recursive: true, force: true });
  }
  const glibc = await newestGlibcSymbol(addon);
  await writeFile(infoFile, JSON.stringify({ glibc, libbpf: libbpf.version, fingerprint }, null, 2) + '\n');
  console.log(`addon: dist/bpf-studio.node with libbpf ${libbpf.version}; needs glibc ${glibc} or newer`);
}

async function requireTools() {
  const missing = [];
  const dumpable = async (command, args) =>
    run(command, args).then(
      () => true,
      () => false,
    );
  if (!(await dumpable('g++', ['--version']))) missing.push('g++');
  if (!(await dumpable('make', ['--version']))) missing.push('make');
  if (!existsSync('/usr/include/libelf.h')) missing.push('libelf-dev');
  if (!existsSync('/usr/include/zlib.h')) missing.push('zlib1g-dev');
  if (missing.length > 0) {
    throw new Error(
      `The addon cannot be built: ${missing.join(', ')} ${missing.length > 1 ? 'are' : 'is'} missing. ` +
        `Install with: sudo apt-get install ${missing.join(' ')}`,
    );
  }
}

/** `#include <bpf/bpf_helpers.h>` of programs compiled here finds these when the system has no libbpf-dev. */
async function copyHeaders(libbpf) {
  const target = path.join(dist, 'include/bpf');
  await mkdir(target, { recursive: true });
  for (const name of [
    'bpf_helpers.h',
    'bpf_helper_defs.h',
    'bpf_tracing.h',
    'bpf_endian.h',
    'bpf_core_read.h',
    'usdt.bpf.h',
  ]) {
    await cp(path.join(libbpf.include, 'bpf', name), path.join(target, name));
  }
}

/** A hash over everything the result depends on. */
async function fingerprintOf(libbpf) {
  const hash = createHash('sha256').update(libbpf.version).update(process.arch);
  hash.update(await readFile(fileURLToPath(import.meta.url)));
  for (const name of (await readdir(sources)).sort()) {
    if (/\.(cc|h)$/.test(name)) hash.update(name).update(await readFile(path.join(sources, name)));
  }
  return hash.digest('hex');
}

async function isBuilt(fingerprint) {
  if (!existsSync(addon) || !existsSync(infoFile)) return false;
  return JSON.parse(await readFile(infoFile, 'utf8')).fingerprint === fingerprint;
}

async function compileAll(files, objects, libbpf) {
  const include = [
    libbpf.include,
    path.join(path.dirname(require.resolve('node-api-headers')), 'include'),
    path.dirname(require.resolve('node-addon-api')),
  ].flatMap((directory) => ['-isystem', directory]);
  const queue = [...files];
  const compiled = [];
  const work = async () => {
    for (let name = queue.shift(); name; name = queue.shift()) {
      const object = path.join(objects, name.replace(/\.cc$/, '.o'));
      await compiler([...flags, ...defines, ...include, '-c', path.join(sources, name), '-o', object]);
      compiled.push(object);
    }
  };
  await Promise.all([work(), work()]);
  return compiled;
}

async function link(objects, target, libbpf) {
  // Since 0.189 Debian's libelf.a decompresses zstd sections too.
  const libelf = (await run('g++', ['-print-file-name=libelf.a'])).stdout.trim();
  const { stdout } = await run('nm', ['-u', libelf], { maxBuffer: 1 << 26 });
  const zstd = /\bZSTD_/.test(stdout) ? ['-l:libzstd.a'] : [];
  await compiler([
    '-shared',
    '-o',
    target,
    ...objects,
    libbpf.archive,
    '-l:libelf.a',
    '-l:libz.a',
    ...zstd,
    '-static-libstdc++',
    '-static-libgcc',
    '-pthread',
    '-s',
    '-Wl,--exclude-libs,ALL',
    '-Wl,--gc-sections',
    // kernel/addon/object.cc sees what libbpf passes to the kernel.
    '-Wl,--wrap=bpf_prog_load',
    '-Wl,-z,relro,-z,now',
  ]);
}

async function compiler(args) {
  try {
    const { stderr } = await run('g++', args, { maxBuffer: 1 << 26 });
    if (stderr) console.error(stderr.trimEnd());
  } catch (error) {
    throw new Error(`g++ failed:\n${error.stderr}`, { cause: error });
  }
}

/** The oldest glibc the file can be loaded with: the newest version among the symbols it asks for. */
async function newestGlibcSymbol(file) {
  const { stdout } = await run('objdump', ['-T', file], { maxBuffer: 1 << 26 });
  const versions = [...stdout.matchAll(/GLIBC_(\d+(?:\.\d+)+)/g)].map((match) => match[1]);
  return versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1) ?? 'any';
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await buildAddon().catch((error) => {
    console.error(error.message);
    process.exitCode = 2;
  });
}
