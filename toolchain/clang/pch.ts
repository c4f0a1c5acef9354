/**
 * A precompiled vmlinux.h: the header has some 130,000 lines, and reading it is half of a compilation. Object code,
 * line information and BTF are the same, byte for byte, with and without it (a test compares them), but for the case
 * of {@link lacksTypeOfExtern}.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { readBpfObject } from '../elf/object';
import { run } from './run';
import type { Clang } from './discover';

/** How many precompiled headers of some 16 MB are kept; the least recently used go. */
const KEEP = 6;

export interface PrecompiledRequest {
  clang: Clang;
  args: readonly string[];
  /** The source that includes it; its first include decides. */
  text: string;
  sourceDirectory: string;
  cache: string;
  log(line: string): void;
}

/** Builds under way, so that two compilations do not make the same file. */
const building = new Map<string, Promise<string | undefined>>();
/** Requests whose build failed; not tried again in this process. */
const failed = new Set<string>();

/**
 * The path of a precompiled vmlinux.h for these flags, built when there is none; undefined when the source's first
 * include is not vmlinux.h, or when it cannot be built (logged). The name is a digest of everything it depends on:
 * clang, flags, and the header's place, size and time.
 */
export async function precompiledVmlinux(request: PrecompiledRequest): Promise<string | undefined> {
  if (!startsWithVmlinux(request.text)) return undefined;
  const header = findHeader(request.args, request.sourceDirectory, request.text);
  if (!header) return undefined;
  const file = path.join(request.cache, 'pch', `${digest(request, header)}.pch`);
  if (failed.has(file)) return undefined;
  if (existsSync(file)) {
    touch(file);
    return file;
  }
  let build = building.get(file);
  if (!build) {
    build = buildPrecompiled(request, header, file).finally(() => building.delete(file));
    building.set(file, build);
  }
  return build;
}

/**
 * Whether an object names a kernel function or variable without a type for it, which libbpf refuses. For a function
 * that the header declares and that is used only by `__attribute__((cleanup(…)))`, as `bpf_for()` does, clang 19 leaves
 * its type out when the header was precompiled.
 */
export function lacksTypeOfExtern(object: Uint8Array): boolean {
  const read = readBpfObject(new Uint8Array(object));
  if (!read.ok || !read.value.btf) return false;
  const { elf, btf } = read.value;
  return elf.symbols.some(
    ({ section, name, binding }) =>
      section === 0 && name !== '' && binding !== 'local' && btf.findAll(name).length === 0,
  );
}

/** Nothing but comments and blank lines may come before: a macro defined earlier could change the header. */
function startsWithVmlinux(text: string): boolean {
  const code = text.replace(/^\uFEFF/, '').replace(/^(?:\s+|\/\/[^\n]*\n|\/\*[\s\S]*?\*\/)*/, '');
  return /^#\s*include\s*[<"]vmlinux\.h[>"]/.test(code);
}

function findHeader(args: readonly string[], sourceDirectory: string, text: string): string | undefined {
  const quoted = /#\s*include\s*"vmlinux\.h"/.test(text);
  const directories = quoted ? [sourceDirectory] : [];
  const later: string[] = [];
  for (let index = 0; index < args.length; index++) {
    const arg = args[index]!;
    if (arg === '-iquote' || arg === '-include' || arg === '-imacros') return undefined;
    if (arg === '-I' || arg === '-isystem') directories.push(args[index + 1] ?? '.');
    else if (arg.startsWith('-I')) directories.push(arg.slice(2));
    else if (arg === '-idirafter') later.push(args[index + 1] ?? '.');
  }
  for (const directory of [...directories, ...later]) {
    const file = path.resolve(sourceDirectory, directory, 'vmlinux.h');
    if (existsSync(file)) return file;
  }
  return undefined;
}

function digest({ clang, args }: PrecompiledRequest, header: string): string {
  const { size, mtimeMs } = statSync(header);
  const inputs = [clang.path, clang.version, ...args, header, size, mtimeMs];
  return createHash('sha256').update(inputs.join('\0')).digest('hex').slice(0, 32);
}

async function buildPrecompiled(
  { clang, args, sourceDirectory, log }: PrecompiledRequest,
  header: string,
  file: string,
): Promise<string | undefined> {
  const partial = `${file}.${process.pid}.part`;
  try {
    mkdirSync(path.dirname(file), { recursive: true });
  } catch (error) {
    failed.add(file);
    log(`no precompiled vmlinux.h: ${(error as Error).message}`);
    return undefined;
  }
  const result = await run(clang.path, [...args, '-w', '-x', 'c-header', header, '-o', partial], {
    cwd: sourceDirectory,
    timeoutMilliseconds: 60_000,
    maxOutputBytes: 1 << 20,
  });
  if (result.ended !== 'exit' || result.status !== 0) {
    failed.add(file);
    rmSync(partial, { force: true });
    const detail = result.ended === 'failed' ? result.message : result.stderr.split('\n')[0];
    log(`no precompiled vmlinux.h: clang ${result.ended}: ${detail}`);
    return undefined;
  }
  renameSync(partial, file);
  removeOldest(path.dirname(file), log);
  return file;
}

function touch(file: string): void {
  try {
    utimesSync(file, new Date(), new Date());
  } catch {
    // Another process removed it just now, or owns it: its age only decides what is removed first.
  }
}

function removeOldest(directory: string, log: (line: string) => void): void {
  const files = readdirSync(directory)
    .filter((name) => name.endsWith('.pch'))
    .flatMap((name) => {
      const file = path.join(directory, name);
      const time = statSync(file, { throwIfNoEntry: false })?.mtimeMs;
      return time === undefined ? [] : [{ file, time }];
    })
    .sort((a, b) => b.time - a.time);
  for (const { file } of files.slice(KEEP)) {
    rmSync(file, { force: true });
    log(`removed the precompiled header ${file}, not used lately`);
  }
}
