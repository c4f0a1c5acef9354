/** Which flags a file is compiled with, and why. */
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { readDatabaseFor, type CompileCommand } from './compile-commands';

export interface FlagSettings {
  /** Flags that replace all others; null: search. */
  args: string[] | null;
  extraArgs: string[];
}

export interface FlagRequest extends FlagSettings {
  /** Absolute path of the source file. */
  path: string;
  /** Directory for what is generated; see {@link cacheDirectory}. */
  cache: string;
  /** `uname -m` of the target, for `__TARGET_ARCH_…`. */
  machine: string;
  /** A directory with libbpf's headers under `bpf/`, searched after the project's and before the system's. */
  bundledHeaders?: string;
  /** A directory with the `vmlinux.h` made from the target's BTF, used when the project has none. */
  generatedVmlinux?: string;
}

export interface Flags {
  args: string[];
  /** Where they come from, for logs: `bpf.clang.args`, the path of compile_commands.json, `defaults`. */
  origin: string;
  /** Whether a vmlinux.h of the project is on the include path. */
  hasVmlinux: boolean;
  /** What was wrong with a compile_commands.json, in words for the user. */
  problem?: string;
}

/** Where generated headers and precompiled headers are kept; made on first use. */
export function cacheDirectory(): string {
  const base = process.env.XDG_CACHE_HOME || path.join(process.env.HOME ?? '/tmp', '.cache');
  return path.join(base, 'bpf-studio');
}

/** Chooses the flags: the setting, else the file's entry in a compile_commands.json found upward, else defaults. */
export function chooseFlags(request: FlagRequest): Flags {
  const found = request.args ? undefined : readDatabaseFor(request.path);
  const [own, origin] = request.args
    ? [request.args, 'bpf.clang.args']
    : found?.command
      ? [forBpf(found.command), found.file]
      : [defaults(request), 'defaults'];
  const hasVmlinux = own.some((arg) => existsSync(path.join(arg.replace(/^-I/, ''), 'vmlinux.h')));
  const ownDirectory = existsSync(path.join(path.dirname(request.path), 'vmlinux.h'));
  const args = [...own];
  // A build may make its vmlinux.h only later; until then the kernel's serves.
  if (!request.args && !hasVmlinux && !ownDirectory && request.generatedVmlinux) {
    args.push('-idirafter', request.generatedVmlinux);
  }
  args.push(...request.extraArgs);
  const problem = found?.problem;
  return { args, origin, hasVmlinux: hasVmlinux || ownDirectory, ...(problem && { problem }) };
}

/**
 * Flags for a text. `makeVmlinux` is asked for a directory with the kernel's vmlinux.h only when the text includes
 * one and the project has none.
 */
export async function flagsForText(
  request: Omit<FlagRequest, 'generatedVmlinux'>,
  text: string,
  makeVmlinux: () => Promise<string | undefined>,
): Promise<Flags> {
  const flags = chooseFlags(request);
  if (request.args || flags.hasVmlinux || !/#\s*include\s*[<"]vmlinux\.h[>"]/.test(text)) return flags;
  const generatedVmlinux = await makeVmlinux();
  return generatedVmlinux ? chooseFlags({ ...request, generatedVmlinux }) : flags;
}

/** A command of the build is taken as it is, but for a target and debug information, without which nothing works. */
function forBpf(command: CompileCommand): string[] {
  const args = [...command.args];
  const hasTarget = args.some((arg) => /^(--target=|-target$)/.test(arg));
  if (!hasTarget) args.unshift('-target', 'bpf');
  if (!args.some((arg) => /^-g(\d|dwarf.*)?$/.test(arg))) args.push('-g');
  if (!args.some((arg) => /^-O/.test(arg))) args.push('-O2');
  return args;
}

const architectures: Record<string, string> = {
  x86_64: 'x86',
  aarch64: 'arm64',
  s390x: 's390',
  ppc64le: 'powerpc',
  riscv64: 'riscv',
  loongarch64: 'loongarch',
};

/**
 * `-mcpu=v3` has 32-bit arithmetic and jumps, which every kernel since 5.1 verifies; v4 needs 6.6. So v3 compiles
 * for all kernels that can be targets, and gives the verifier better bounds than v2.
 */
function defaults(request: FlagRequest): string[] {
  const architecture = architectures[request.machine] ?? request.machine;
  const args = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', `-D__TARGET_ARCH_${architecture}`];
  args.push(
    '-Wall',
    '-Wno-unused-function',
    '-Wno-missing-declarations',
    '-Wno-compare-distinct-pointer-types',
    // Headers made from kernels of 2026 and later have unnamed members of named structs.
    '-fms-extensions',
    '-Wno-microsoft-anon-tag',
  );
  for (const directory of projectDirectories(request.path)) args.push('-I', directory);
  // The headers of the libbpf that will load the object. A distribution's are often older and lack newer macros;
  // the project's own, if it has any, come first.
  if (request.bundledHeaders) args.push('-isystem', request.bundledHeaders);
  // With `-target bpf` clang does not search the directory of the host's <asm/types.h>.
  const multiarch = `/usr/include/${request.machine}-linux-gnu`;
  if (existsSync(multiarch)) args.push('-idirafter', multiarch);
  const stubs = stubDirectory(request.cache);
  if (stubs) args.push('-idirafter', stubs);
  return args;
}

/** Places below a project's directories where vmlinux.h and libbpf's headers usually are. */
const headerPlaces = [
  '',
  'include',
  'headers',
  '.output',
  'vmlinux',
  'bpf',
  'src',
  'vmlinux/x86',
  'vmlinux.h/include/x86_64',
  'vmlinux.h/include/x86',
  'libbpf/include',
  'third_party',
];

/** Directories for `-I`: those near the file, up to the project's root, that hold vmlinux.h or libbpf's headers. */
function projectDirectories(file: string): string[] {
  const found: string[] = [];
  let directory = path.dirname(file);
  for (let level = 0; level < 8; level++) {
    for (const place of headerPlaces) {
      const candidate = path.join(directory, place);
      const vmlinux = path.join(candidate, 'vmlinux.h');
      const holds =
        (existsSync(vmlinux) && statSync(vmlinux).isFile()) ||
        existsSync(path.join(candidate, 'bpf/bpf_helpers.h'));
      if (holds && candidate !== '/usr/include' && !found.includes(candidate)) found.push(candidate);
    }
    const parent = path.dirname(directory);
    if (parent === directory || existsSync(path.join(directory, '.git'))) break;
    directory = parent;
  }
  return found;
}

/**
 * glibc's headers ask for <gnu/stubs-32.h> unless the compiler says it is x86-64, and that file exists only where
 * 32-bit development files are installed. An empty one lets <stdint.h> and its like work without them.
 */
function stubDirectory(cache: string): string | undefined {
  const directory = path.join(cache, 'include');
  const file = path.join(directory, 'gnu/stubs-32.h');
  try {
    if (!existsSync(file)) {
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, '');
    }
    return directory;
  } catch {
    return undefined;
  }
}
