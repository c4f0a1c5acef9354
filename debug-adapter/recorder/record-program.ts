/** Records one run of a loaded program into a value that can be gone through, and saved. */
import { KernelError } from '../../kernel/client/errors';
import { readFile, stat } from 'node:fs/promises';
import type { LoadedMap, LoadedProgram, Results } from '../../kernel/protocol';
import { parseLineInfo } from '../../toolchain/btf/ext';
import path from 'node:path';
import type { LoadedObject } from '../runner/load';
import type { CannotRecord, PreparedProgram } from './instrument/instrument';
import { openRecorder } from './record';
import type { RecordedRun, Recorder, RunInput, RunTooLong } from './record';
import type { Recording } from './recording';
import { isPerCpuType } from './replay/map-shape';
import { REFUSALS, compareSnapshots, snapshotMaps } from './snapshot';
import type { Snapshots } from './snapshot';

/** Room for some twenty million instructions. */
const CAPACITY = 64 * 1024 * 1024;
/** A source file larger than this is not kept with a recording. */
const MAX_SOURCE = 4 * 1024 * 1024;

/**
 * What came of a run: its recording, to be closed when the program's addresses need no names any more; or why there is
 * none. The program has run once in either case.
 */
export type Recorded = { result: Results['testRun'] } & (
  { recording: Recording; close(): Promise<void> } | { reason: string; insn?: number }
);

/** Runs the program once. Whether it can be recorded is known before it runs; if not, it runs as it is. */
export async function recordProgram(
  loaded: LoadedObject,
  program: LoadedProgram,
  input: RunInput,
  signal: AbortSignal,
): Promise<Recorded> {
  const { kernel, file, maps } = loaded;
  const { object } = file;
  const asItIs = async (why: CannotRecord) => ({
    ...why,
    result: await kernel.request('testRun', { program: program.handle, ...input }, { signal }),
  });
  if (program.type === 'ext') return asItIs({ reason: 'it replaces a function of another program' });
  const ready = await prepare(loaded, program, signal);
  if ('reason' in ready) return asItIs(ready);
  const { prepared, before, recorder } = ready;
  let run: RecordedRun | CannotRecord | RunTooLong;
  let snapshots: Recording['snapshots'];
  try {
    const stackDepth = program.verdict.stats?.stackDepth ?? [];
    run = await recorder.run(prepared, stackDepth, input, 'lean', object.btf);
    snapshots = 'reason' in run ? [] : await compareSnapshots(kernel, before, signal);
  } finally {
    await recorder.close();
    await before.close();
  }
  if ('reason' in run) return 'result' in run ? run : asItIs(run);
  const { hello } = kernel;
  const recording: Recording = {
    kernel: hello.kernel.release,
    possibleCpus: hello.kernel.possibleCpus,
    recordedAt: Date.now(),
    program: { name: program.name, section: program.section, type: program.type },
    file: file.path,
    sources: await sourcesOf(prepared, loaded),
    object: file.bytes,
    prepared,
    stackDepth: [...run.stackDepth],
    records: run.records,
    addresses: [...run.addresses],
    trace: run.trace,
    input: {
      ...(input.data ? { data: input.data } : {}),
      ...(input.context ? { context: input.context } : {}),
    },
    result: run.result,
    maps,
    innerMaps: before.innerMaps.map((inner) => withTypesOf(maps, inner)),
    snapshots,
  };
  return { result: run.result, recording, close: () => run.close() };
}

interface Ready {
  prepared: PreparedProgram;
  before: Snapshots;
  recorder: Recorder;
}

/** All that recording needs of the kernel before the run. What a kernel refuses here does not keep it from running. */
async function prepare(
  { kernel, file, maps }: LoadedObject,
  program: LoadedProgram,
  signal: AbortSignal,
): Promise<Ready | CannotRecord> {
  try {
    const prepared = await kernel.request('programPrepared', { program: program.handle }, { signal });
    const license = file.object.license ?? '';
    const withCpu = maps.some(({ type }) => isPerCpuType(type));
    const recorder = await openRecorder(kernel, program, { license, capacity: CAPACITY, withCpu, signal });
    try {
      return { prepared, before: await snapshotMaps(kernel, maps, signal), recorder };
    } catch (error) {
      await recorder.close();
      throw error;
    }
  } catch (error) {
    if (!(error instanceof KernelError) || !REFUSALS.has(error.code)) throw error;
    return { reason: `${error.message}${error.errno ? ` (${error.operation}: ${error.errno})` : ''}` };
  }
}

/** An inner map, with types only if they are the object's, which is all the BTF that a recording has. */
function withTypesOf(maps: readonly LoadedMap[], { btfId, ...inner }: LoadedMap): LoadedMap {
  if (maps.some((map) => map.btfId === btfId)) return inner;
  return { ...inner, keyTypeId: 0, valueTypeId: 0 };
}

/** The files that the program's lines are in, as far as they can be read. */
export async function sourcesOf(
  prepared: PreparedProgram,
  { file }: LoadedObject,
): Promise<Recording['sources']> {
  const { btf } = file.object;
  const names = new Set(
    parseLineInfo(prepared.lineInfo).map(({ fileOffset }) => btf?.string(fileOffset) ?? ''),
  );
  const paths = [...names]
    .filter((name) => name !== '')
    .map((name) => path.resolve(path.dirname(file.path), name));
  const texts = await Promise.all(
    paths.map(async (name) => {
      try {
        return (await stat(name)).size > MAX_SOURCE
          ? []
          : [{ path: name, text: await readFile(name, 'utf8') }];
      } catch {
        // An object may come from another machine; its lines are then shown by number.
        return [];
      }
    }),
  );
  return texts.flat();
}
