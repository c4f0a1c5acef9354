/** Records the run of a launched program and opens it for stepping. */
import type { LoadedProgram, Results } from '../../kernel/protocol';
import { readDwarf } from '../../toolchain/dwarf/dwarf';
import { openRun } from '../recorder/open-run';
import { openRecorder } from '../recorder/record';
import type { RecordedRun, RunInput, RunTooLong } from '../recorder/record';
import type { CannotRecord } from '../recorder/instrument/instrument';
import type { PacketInput } from '../recorder/replay/machine';
import { isFollowed, snapshotMaps } from '../recorder/snapshot';
import { SourceMap } from '../recorder/source-map';
import type { LoadedObject } from '../runner/load';
import { replayedKernel } from './replayed-kernel';
import { Stepper } from './stepper';
import { VariableContext } from '../variables/context';

/** Room for some twenty million instructions. */
const CAPACITY = 64 * 1024 * 1024;

/** A run that can be gone through, or why it cannot; either way it has happened, and this is what came of it. */
export type Recorded = { result: Results['testRun'] } & (
  { stepper: Stepper; context: VariableContext; close(): Promise<void> } | { reason: string }
);

/**
 * Runs the program once in the kernel. When it cannot be recorded it is run as it is; that is decided before it runs, so
 * that it runs once in any case.
 */
export async function recordedTestRun(
  loaded: LoadedObject,
  program: LoadedProgram,
  input: RunInput,
  signal: AbortSignal,
): Promise<Recorded> {
  const { kernel, file } = loaded;
  const { object } = file;
  const plainly = async (reason: string) => ({
    result: await kernel.request('testRun', { program: program.handle, ...input }, { signal }),
    reason,
  });
  if (program.type === 'ext') return plainly('it replaces a function of another program');
  const prepared = await kernel.request('programPrepared', { program: program.handle }, { signal });
  const snapshots = await snapshotMaps(kernel, loaded.maps, signal);
  const license = object.license ?? '';
  const recorder = await openRecorder(kernel, program, { license, capacity: CAPACITY, signal });
  let run: RecordedRun | CannotRecord | RunTooLong;
  try {
    const stackDepth = program.verdict.stats?.stackDepth ?? [];
    run = await recorder.run(prepared, stackDepth, input, 'lean', object.btf);
  } finally {
    await recorder.close();
  }
  if ('reason' in run) return 'result' in run ? run : plainly(run.reason);
  const dwarf = readDwarf(object.elf);
  const source = new SourceMap(prepared, program.name, object, dwarf, file.path);
  const opened = openRun(run, source, snapshots, packetOf(program.type, input.data));
  const followed = new Set(loaded.maps.filter(isFollowed).map(({ handle }) => handle));
  const past = replayedKernel(kernel, opened.maps, (map) => followed.has(map));
  return {
    result: run.result,
    close: () => run.close(),
    stepper: new Stepper(opened, source, dwarf),
    context: new VariableContext({ file, maps: loaded.maps, kernel: past }),
  };
}

/** `struct xdp_md` and `struct __sk_buff`: offsets of data and data_end. Other types begin the packet elsewhere. */
function packetOf(type: string, bytes: Uint8Array | undefined): PacketInput | undefined {
  if (!bytes) return undefined;
  if (type === 'xdp') return { dataOffset: 0, endOffset: 4, bytes };
  if (type === 'sched_cls' || type === 'sched_act') return { dataOffset: 76, endOffset: 80, bytes };
  return undefined;
}
