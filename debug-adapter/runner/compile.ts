/** Sources to objects, with the flags that the editor uses too. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { KernelClient } from '../../kernel/client/client';
import { vmlinuxDirectory } from '../../kernel/client/vmlinux-header';
import { compile } from '../../toolchain/clang/compile';
import { findClang } from '../../toolchain/clang/discover';
import { cacheDirectory, flagsForText } from '../../toolchain/clang/flags';
import { Severity, type Diagnostic } from '../../toolchain/diagnostic';
import { badObject, cancelled, compilationFailed, programFileUnreadable } from '../errors';
import type { Compile, RecordTypes } from './object';
import { keepTypes, keptTypes, recordTypesInSource } from './record-sources';

export interface CompilerSettings {
  /** Empty or absent: the newest on PATH. */
  clangPath?: string;
  /** Replace all found or default flags. */
  clangArgs?: string[];
}

/** A compiler for one session; `onDiagnostics` is told what clang said of sources that compiled. */
export function compilerFor(
  kernel: KernelClient,
  settings: CompilerSettings,
  log: (line: string) => void,
  onDiagnostics: (diagnostics: Diagnostic[]) => void,
): Compile {
  return async (source, signal) => {
    const text = await readFile(source, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw programFileUnreadable(source, error.code === 'ENOENT' ? 'there is no such file' : error.message);
    });
    const search = await findClang(settings.clangPath ?? '');
    if ('problem' in search) throw badObject(search.problem.message, search.problem.hint);
    const cache = cacheDirectory();
    const given = {
      args: settings.clangArgs ?? null,
      // Expressions speak of macros by their names.
      extraArgs: ['-fdebug-macro'],
      path: source,
      cache,
      machine: kernel.hello.kernel.machine,
      bundledHeaders: path.join(__dirname, 'include'),
    };
    const { args } = await flagsForText(given, text, () => vmlinuxDirectory(kernel, cache));
    const request = { clang: search.clang, path: source, args, cache, signal, log };
    const result = await compile({ ...request, text });
    switch (result.outcome) {
      case 'compiled':
        onDiagnostics(result.diagnostics);
        return {
          object: result.object,
          records: await recordTypes(text, (kept) => compile({ ...request, text: kept })),
        };
      case 'errors':
        throw compilationFailed(source, result.diagnostics.map(describeDiagnostic).join('\n'));
      case 'cancelled':
        throw cancelled();
      case 'problem':
        throw badObject(result.message, result.hint);
    }
  };
}

/** A source that writes records is compiled once more, for the layouts of their types. */
async function recordTypes(
  text: string,
  compileText: (text: string) => ReturnType<typeof compile>,
): Promise<RecordTypes> {
  const written = recordTypesInSource(text);
  if (written.size === 0) return new Map();
  const names = new Set([...written.values()].flatMap((types) => [...types]));
  const result = await compileText(keepTypes(text, names));
  if (result.outcome === 'cancelled') throw cancelled();
  // A guess at a type that does not exist fails to compile; records are shown as bytes then.
  if (result.outcome !== 'compiled') return new Map();
  const kept = keptTypes(result.object, names);
  return new Map(
    [...written]
      .filter(([, types]) => [...types].every((type) => kept.has(type)))
      .map(([map, types]) => [map, [...types].map((type) => kept.get(type)!)]),
  );
}

/** `drop.bpf.c:12:5: error: …`, as compilers write it, so that consoles link it. */
export function describeDiagnostic({
  path: file,
  range,
  severity,
  message,
}: Pick<Diagnostic, 'path' | 'range' | 'severity' | 'message'>): string {
  const word = severity === Severity.Error ? 'error' : severity === Severity.Warning ? 'warning' : 'note';
  return `${file}:${range.start.line + 1}:${range.start.character + 1}: ${word}: ${message}`;
}
