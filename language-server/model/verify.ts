/** Asks the kernel about an object and turns its verdicts into findings and figures. */
import path from 'node:path';
import type { KernelClient } from '../../kernel/client/client';
import { KernelError } from '../../kernel/client/errors';
import type { Params, ProgramVerdict, ProtocolError } from '../../kernel/protocol';
import type { Diagnostic, Range } from '../../toolchain/diagnostic';
import type { Btf } from '../../toolchain/btf/btf';
import { elseLineOf } from '../../toolchain/c/branches';
import { placeInSource } from '../../toolchain/c/places';
import type { SourceFile } from '../../toolchain/c/source';
import { readBpfObject } from '../../toolchain/elf/object';
import type { NamedPlace } from '../../toolchain/load-failure/finding';
import type { TargetFacts } from '../../toolchain/load-failure/target';
import { assumptionsOf } from '../../toolchain/load-failure/assumptions';
import { toDiagnostics } from '../../toolchain/verifier/diagnostics';
import type { SourceSpan } from '../../toolchain/verifier/position';
import { explain, type Report } from '../../toolchain/verifier/report';
import { factsForFailure } from './target-facts';

export interface Verification {
  /** `uname -r` of the kernel that spoke. */
  kernel: string;
  programs: ProgramVerdict[];
  diagnostics: Diagnostic[];
  /** What was verified. */
  object: Uint8Array<ArrayBuffer>;
  /** Types and strings of the object, for the log document. */
  btf: Btf | undefined;
  /** The whole report on a program, made when somebody asks for more than its diagnostics. */
  reportOn(program: string): Report | undefined;
}

/** Above so many instructions a log that turns out not to be needed would cost more than it spares. */
const SMALL_INSNS = 10_000;

/** Programs whose log is wanted at once, because it was wanted a moment ago. */
function likelyRejected(before: Verification | undefined): string[] {
  return (before?.programs ?? [])
    .filter(({ verdict, stats }) => verdict === 'rejected' && (stats?.insns ?? Infinity) < SMALL_INSNS)
    .map(({ name }) => name);
}

export interface VerifyOptions {
  /** The verdicts on an earlier text of the same document. */
  before?: Verification | undefined;
  /** Somebody asked for it, knowing that the kernel faulted on it before. */
  despiteFault?: boolean;
}

/** Rejects with a KernelError when the kernel cannot be asked or the work was cancelled. */
export async function verifyObject(
  client: KernelClient,
  object: Uint8Array<ArrayBuffer>,
  source: SourceFile,
  file: string,
  signal: AbortSignal,
  { before, despiteFault = false }: VerifyOptions = {},
): Promise<Verification> {
  const kernel = client.hello.kernel.release;
  const answer = await verdictsOf(client, object, signal, {
    likelyRejected: likelyRejected(before),
    despiteFault,
  });
  const { programs, error } = answer;
  const failures = failuresOf(answer);
  const target = await factsForFailure(client, failures);
  const { btf, report, explainProgram, assumed } = explainer(object, file, source, target);
  // What fails for the whole object is said of each of its programs; once is enough.
  const found = error && programs[0] ? programs.slice(0, 1) : failures;
  const reportOn = (program: string): Report | undefined => {
    const verdict = programs.find(({ name }) => name === program);
    return verdict && report(verdict);
  };
  // Of an object that could not be loaded nothing was assumed.
  const diagnostics = withoutRepeats([...found.flatMap(explainProgram), ...(error ? [] : assumed(programs))]);
  return { kernel, programs, diagnostics, object, btf, reportOn };
}

/**
 * The kernel's answer; an object that libbpf cannot even open is one too, since what is wrong with it stands in its
 * source. Rejects with a KernelError when there is no answer.
 */
export async function verdictsOf(
  client: KernelClient,
  object: Uint8Array,
  signal: AbortSignal,
  options: Pick<Params<'verify'>, 'likelyRejected' | 'despiteFault'> = {},
): Promise<{ programs: ProgramVerdict[]; error?: ProtocolError }> {
  try {
    return await client.request('verify', { object, log: 'rejected', ...options }, { signal });
  } catch (error) {
    if (error instanceof KernelError && error.code === 'badObject') return { programs: [], error };
    throw error;
  }
}

/** What there is to explain: the programs' verdicts, or the one on the object as a whole. */
export function failuresOf(answer: { programs: ProgramVerdict[]; error?: ProtocolError }): ProgramVerdict[] {
  return answer.error ? [objectVerdict(answer.error)] : answer.programs;
}

/** What keeps the whole object from being loaded, in the shape of a verdict, for whoever explains it. */
function objectVerdict(error: ProtocolError): ProgramVerdict {
  return {
    name: '',
    section: '',
    type: '',
    typeNumber: 0,
    verdict: 'error',
    message: error.message,
    ...(error.errno !== undefined && { errno: error.errno }),
    libbpfLog: error.libbpfLog ?? '',
    insnCount: 0,
    lineInfo: new Uint8Array(),
  };
}

/**
 * What turns the verdict on one of an object's programs into findings. Without its source, as for an object file,
 * a finding stands where the line information says, or at the file's beginning.
 */
export function explainer(
  object: Uint8Array<ArrayBuffer>,
  file: string,
  source: SourceFile | undefined,
  target: TargetFacts,
): {
  btf: Btf | undefined;
  report(verdict: ProgramVerdict): Report;
  explainProgram(verdict: ProgramVerdict): Diagnostic[];
  /** What had to be assumed for these verdicts, at its places in the source. */
  assumed(verdicts: readonly ProgramVerdict[]): Diagnostic[];
} {
  const read = readBpfObject(object);
  const btf = read.ok ? read.value.btf : undefined;
  const context = {
    btf,
    mapPath: pathsOf(file),
    kernel: target.release,
    target,
    ...(read.ok && { object: read.value }),
    ...(source && {
      elseLine: (at: SourceSpan) => (at.path === file ? elseLineOf(source, at.range.start.line) : undefined),
    }),
  };
  const find = (place: NamedPlace): Range | undefined => source && placeInSource(source, place);
  const report = (verdict: ProgramVerdict): Report => explain(verdict, context);
  return {
    btf,
    report,
    assumed(verdicts) {
      const assumptions = read.ok ? assumptionsOf(read.value, verdicts) : [];
      return assumptions.flatMap(({ id, severity, message, help, places }): Diagnostic[] => {
        const range = places.map(find).find((one) => one !== undefined);
        if (!range) return [];
        const data = { help, kernel: target.release };
        return [{ path: file, range, severity, code: id, source: 'bpf-studio', message, related: [], data }];
      });
    },
    explainProgram(verdict) {
      const diagnostics = toDiagnostics(report(verdict), { path: file, find });
      // Lines of a log's tail are not those of the whole log that a reader is shown.
      if (verdict.logIsTail) for (const { data } of diagnostics) delete data?.logLine;
      return diagnostics;
    },
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
