/** Compiles a buffer, saved or not, to a BPF object. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Severity, type Diagnostic } from '../diagnostic';
import { DIAGNOSTIC_FLAGS, parseDiagnostics } from './diagnostics';
import type { Clang } from './discover';
import { withLinesOf } from './line-text';
import { lacksTypeOfExtern, precompiledVmlinux } from './pch';
import { run } from './run';

const TIMEOUT_MILLISECONDS = 60_000;
const MAX_OBJECT_BYTES = 256 << 20;
/** Larger sources are not compiled: nobody wrote them by hand, and clang would need gigabytes. */
export const MAX_SOURCE_BYTES = 8 << 20;

export interface CompileRequest {
  clang: Clang;
  /** Absolute path under which the text is known; it need not be on disk. */
  path: string;
  text: string;
  /** See {@link chooseFlags}. */
  args: readonly string[];
  /** Directory for precompiled headers; see `cacheDirectory`. */
  cache: string;
  signal?: AbortSignal;
  log(line: string): void;
}

export type CompileResult =
  /** `object` is there unless `diagnostics` holds an error. */
  | { outcome: 'compiled'; object: Uint8Array<ArrayBuffer>; diagnostics: Diagnostic[]; milliseconds: number }
  | { outcome: 'errors'; diagnostics: Diagnostic[]; milliseconds: number }
  | { outcome: 'cancelled' }
  /** clang could not do its work, for a reason that is not in the source. */
  | { outcome: 'problem'; code: string; message: string; hint: string };

/**
 * Compiles. The text goes to clang's standard input under its real name, so that quoted includes, diagnostics, BTF
 * line information and DWARF are those of the file. Never rejects; when cancelled, clang is gone before it resolves.
 */
export async function compile(request: CompileRequest): Promise<CompileResult> {
  const unfit = unfitText(request.text);
  if (unfit) return unfit;
  const started = performance.now();
  const directory = path.dirname(request.path);
  const sourceDirectory = existsSync(directory) ? directory : '/';
  const pch = await precompiledVmlinux({ ...request, sourceDirectory });
  if (request.signal?.aborted) return { outcome: 'cancelled' };
  let result = await runClang(request, sourceDirectory, pch);
  if (pch && result.ended === 'exit' && result.status !== 0 && blamesPrecompiled(result.stderr)) {
    request.log(`the precompiled header was refused, compiling without: ${result.stderr.split('\n')[0]}`);
    result = await runClang(request, sourceDirectory, undefined);
  }
  if (pch && result.ended === 'exit' && result.status === 0 && lacksTypeOfExtern(result.stdout)) {
    request.log('the precompiled header lost the type of a kernel function, compiling without');
    result = await runClang(request, sourceDirectory, undefined);
  }
  const milliseconds = performance.now() - started;
  switch (result.ended) {
    case 'cancelled':
      return { outcome: 'cancelled' };
    case 'failed':
      return problem('clangBroken', `${request.clang.path} could not be started: ${result.message}`);
    case 'timeout':
      return problem(
        'clangTimeout',
        `clang did not finish within ${TIMEOUT_MILLISECONDS / 1000} s and was ended.`,
      );
    case 'tooMuchOutput':
      return problem('clangOutput', 'clang wrote more than 256 MB and was ended.');
    case 'signal':
      return problem(
        'clangCrashed',
        `clang was killed or crashed. ${result.stderr.split('\n')[0] ?? ''}`.trim(),
      );
  }
  const diagnostics = parseDiagnostics(result.stderr, request.path, request.text);
  if (result.status === 0) {
    const { path: file, text } = request;
    const compiled = new Uint8Array(result.stdout);
    const object = isOnDisk(file, text) ? compiled : withLinesOf(compiled, file, text);
    return { outcome: 'compiled', object, diagnostics, milliseconds };
  }
  if (diagnostics.some(({ severity }) => severity === Severity.Error)) {
    return { outcome: 'errors', diagnostics, milliseconds };
  }
  // Wrong flags and the like: clang failed without a word on the source.
  const words = result.stderr.trim().split('\n').slice(0, 3).join(' ');
  return problem('clangFailed', `clang failed with status ${result.status}: ${words}`);
}

function runClang(request: CompileRequest, cwd: string, pch: string | undefined): ReturnType<typeof run> {
  const args = [...request.args, ...DIAGNOSTIC_FLAGS];
  if (pch) args.push('-include-pch', pch);
  args.push('-Xclang', '-main-file-name', '-Xclang', request.path);
  args.push('-iquote', path.dirname(request.path), '-x', 'c', '-c', '-o', '-', '-');
  const name = request.path.replace(/[\\"]/g, '\\$&');
  // A byte order mark is allowed only at the very beginning of a file, which the line marker takes.
  const stdin = `# 1 "${name}"\n${request.text.replace(/^\uFEFF/, '')}`;
  return run(request.clang.path, args, {
    cwd,
    stdin,
    ...(request.signal && { signal: request.signal }),
    timeoutMilliseconds: TIMEOUT_MILLISECONDS,
    maxOutputBytes: MAX_OBJECT_BYTES,
  });
}

/** Whether the file holds this very text. */
function isOnDisk(file: string, text: string): boolean {
  try {
    return readFileSync(file, 'utf8') === text;
  } catch {
    // Never saved, or gone.
    return false;
  }
}

function blamesPrecompiled(stderr: string): boolean {
  return /\b(PCH|AST|precompiled)\b/.test(stderr);
}

function unfitText(text: string): CompileResult | undefined {
  if (text.length > MAX_SOURCE_BYTES) {
    const size = (text.length / (1 << 20)).toFixed(0);
    return {
      outcome: 'problem',
      code: 'sourceTooLarge',
      message: `The file has ${size} MB; files of more than ${MAX_SOURCE_BYTES >> 20} MB are not compiled.`,
      hint: 'Is it a C source? Move large tables to a header that the BPF program includes.',
    };
  }
  if (text.slice(0, 65_536).includes('\0')) {
    return {
      outcome: 'problem',
      code: 'binaryFile',
      message: 'The file holds binary data (a NUL byte), not C source.',
      hint: 'To look at a compiled object, use: bpf-studio verify FILE.o',
    };
  }
  return undefined;
}

function problem(code: string, message: string): CompileResult {
  return {
    outcome: 'problem',
    code,
    message,
    hint: 'See the log "BPF Studio Language Server" for the command.',
  };
}
