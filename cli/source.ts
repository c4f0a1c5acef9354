/** What a FILE argument stands for: an object's bytes, read or compiled, and what was found on the way. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Clang } from '../toolchain/clang/discover';
import type { Diagnostic } from '../toolchain/diagnostic';
import type { Problem } from '../toolchain/problem';
import type { Arguments } from './command';
import type { HeaderSource } from './headers';

export interface Input {
  /** As the user wrote it. */
  file: string;
  /** Absolute. */
  path: string;
  /** Of a source file that could be read. */
  text?: string;
  /** What a source file was compiled with. */
  compiler?: { clang: Clang; args: string[] };
  /** Whose vmlinux.h a source was compiled with, `Linux 6.12.1` or `the project`; absent when it includes none. */
  typesOf?: string;
  /** Absent when there is none: the file cannot be read, or does not compile. */
  object?: Uint8Array;
  /** clang's and the syntax checks'. */
  diagnostics: Diagnostic[];
  /** What kept the file from being verified and is no finding in the source. */
  problems: Problem[];
}

/** Reads an object, compiles anything else. Never rejects. */
export async function inputOf(
  file: string,
  args: Arguments,
  headers: Promise<HeaderSource>,
  signal: AbortSignal,
): Promise<Input> {
  const input: Input = { file, path: path.resolve(file), diagnostics: [], problems: [] };
  if (/\.[ch]$/.test(file)) return (await import('./compile')).compiled(input, args, headers, signal);
  try {
    input.object = await readFile(input.path);
  } catch (error) {
    input.problems.push(unreadable(file, error));
  }
  return input;
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a directory',
  EACCES: 'this user may not',
};

/** Why a FILE could not be read, from what Node threw. */
export function unreadable(file: string, error: unknown): Problem {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return {
    code: 'cli/read',
    message: `${file} cannot be read: ${reasons[code] ?? message}.`,
    hint: 'Name a .bpf.c source or a BPF object file.',
  };
}
