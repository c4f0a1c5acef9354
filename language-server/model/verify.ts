/** Asks the kernel about an object and turns its verdicts into findings and figures. */
import path from 'node:path';
import type { KernelClient } from '../../kernel/client/client';
import type { ProgramVerdict, ProtocolError } from '../../kernel/protocol';
import { Severity, type Diagnostic, type Range } from '../../toolchain/diagnostic';
import type { Btf } from '../../toolchain/btf/btf';
import { positionAt, type SourceFile } from '../../toolchain/c/source';
import { readBpfObject } from '../../toolchain/elf/object';
import { toDiagnostics } from '../../toolchain/verifier/diagnostics';
import { explain } from '../../toolchain/verifier/report';

export interface Verification {
  /** `uname -r` of the kernel that spoke. */
  kernel: string;
  programs: ProgramVerdict[];
  diagnostics: Diagnostic[];
  /** Types and strings of the object, for the log document. */
  btf: Btf | undefined;
}

/** Rejects with a KernelError when the kernel cannot be asked or the work was cancelled. */
export async function verifyObject(
  client: KernelClient,
  object: Uint8Array<ArrayBuffer>,
  source: SourceFile,
  file: string,
  signal: AbortSignal,
): Promise<Verification> {
  const result = await client.request('verify', { object, log: 'rejected' }, { signal });
  const kernel = client.hello.kernel.release;
  const { btf, explainProgram } = explainer(object, file, source, kernel);
  const diagnostics = result.programs.flatMap(explainProgram);
  // What fails for the whole object is said of each of its programs; once is enough.
  if (result.error && diagnostics.length === 0) diagnostics.push(objectError(result.error, source, file));
  return { kernel, programs: result.programs, diagnostics: withoutRepeats(diagnostics), btf };
}

/**
 * What turns the verdict on one of an object's programs into findings. Without its source, as for an object file,
 * a finding stands where the line information says, or at the file's beginning.
 */
export function explainer(
  object: Uint8Array<ArrayBuffer>,
  file: string,
  source: SourceFile | undefined,
  kernel: string,
): { btf: Btf | undefined; explainProgram(verdict: ProgramVerdict): Diagnostic[] } {
  const read = readBpfObject(object);
  const btf = read.ok ? read.value.btf : undefined;
  const mapPath = pathsOf(file);
  const find = (kind: 'program' | 'map' | 'include', name: string): Range | undefined =>
    source && placeOf(source, kind, name);
  return {
    btf,
    explainProgram: (verdict) =>
      toDiagnostics(explain(verdict, { btf, object: read.ok ? read.value : undefined, mapPath, kernel }), {
        path: file,
        find,
      }),
  };
}

function withoutRepeats(diagnostics: Diagnostic[]): Diagnostic[] {
  const seen = new Set<string>();
  return diagnostics.filter(({ path: file, range, code, message }) => {
    const key = JSON.stringify([file, range, code, message]);
    return !seen.has(key) && seen.add(key);
  });
}

/** File names in BTF are as clang was given them: absolute, or relative to the source's directory. */
export function pathsOf(file: string): (name: string) => string {
  const directory = path.dirname(file);
  return (name) => path.resolve(directory, name);
}

function placeOf(source: SourceFile, kind: 'program' | 'map' | 'include', name: string): Range | undefined {
  const spans = {
    program: source.programs.find((program) => program.name === name)?.nameSpan,
    map: source.maps.find((map) => map.name === name)?.nameSpan,
    include: source.includes.find((include) => include.path.endsWith(name))?.span,
  };
  const span = spans[kind];
  return span && { start: positionAt(source, span.start), end: positionAt(source, span.end) };
}

/** What keeps the whole object from being loaded has no place of its own: the first map or program stands for it. */
function objectError(error: ProtocolError, source: SourceFile, path: string): Diagnostic {
  const named = source.maps.find((map) => error.message.includes(`'${map.name}'`));
  const span = (named ?? source.maps[0] ?? source.programs[0])?.nameSpan ?? { start: 0, end: 0 };
  return {
    path,
    range: { start: positionAt(source, span.start), end: positionAt(source, span.end) },
    severity: Severity.Error,
    code: `bpf/${error.code}`,
    source: 'libbpf',
    message: error.hint ? `${error.message} ${error.hint}` : error.message,
    related: [],
    data: { kernelMessage: error.message },
  };
}
