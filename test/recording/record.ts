/** For tests: programs recorded in a kernel and opened for going through. */
import { recordProgram } from '../../debug-adapter/recorder/record-program';
import { openRun } from '../../debug-adapter/recorder/open-run';
import type { OpenedRun } from '../../debug-adapter/recorder/open-run';
import { decodeRecording, encodeRecording } from '../../debug-adapter/recorder/recording';
import type { RunInput } from '../../debug-adapter/recorder/record';
import { loadObject } from '../../debug-adapter/runner/load';
import type { KernelClient } from '../../kernel/client/client';
import { readBpfObject } from '../../toolchain/elf/object';

/** 46 bytes: Ethernet, IPv4 without options, UDP, "hell". */
export const UDP = Uint8Array.from(
  Buffer.from(
    '020000000002020000000001080045000020000100004011f96c0a0000010a00000230390035000c000068656c6c',
    'hex',
  ),
);

/** Records one run of a program of an object and opens it as a saved file would be; throws why it cannot be recorded. */
export async function recordObject(
  kernel: KernelClient,
  bytes: Uint8Array,
  program = 'prog',
  input: Partial<RunInput> = {},
): Promise<OpenedRun> {
  const object = readBpfObject(bytes);
  if (!object.ok) throw new Error(object.problem.message);
  const file = { path: '/nowhere/prog.bpf.c', bytes, object: object.value };
  const loaded = await loadObject(kernel, file, { programs: [program] });
  try {
    const found = loaded.programs.find(({ name }) => name === program)!;
    const wanted = { data: UDP, dataOutSize: 4096, contextOutSize: 0, ...input };
    const recorded = await recordProgram(loaded, found, wanted, new AbortController().signal);
    if ('reason' in recorded) throw new Error(`${recorded.reason} (insn ${recorded.insn})`);
    await recorded.close();
    const read = decodeRecording(encodeRecording(recorded.recording));
    if (!read.ok) throw new Error(read.problem.message);
    const opened = openRun(read.value);
    if (!opened.ok) throw new Error(opened.problem.message);
    return opened.value;
  } finally {
    await loaded.close();
  }
}

/** A map's entries at the run's present step: `01000000=05000000`, sorted; `?` behind a value that is not all known. */
export function entriesOf({ maps, recording }: OpenedRun, name: string): string[] {
  const map = recording.maps.find((one) => one.name === name);
  if (!map) throw new Error(`no map ${name}`);
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return maps
    .entries(map.handle)
    .map(({ key, value, known }) => `${hex(key)}=${hex(value)}${known.includes(0) ? '?' : ''}`)
    .sort();
}

/** Goes to the step before the nth call of a helper, or with `after` to the one behind it. */
export function toCall({ calls, timeline }: OpenedRun, helper: string, nth = 0, after = 0): void {
  const call = calls.calls.filter(({ name }) => name === helper)[nth];
  if (!call) throw new Error(`no ${helper} among ${calls.calls.map(({ name }) => name).join(', ')}`);
  // A call's step is counted when it has been executed.
  timeline.seek(call.step - 1 + after);
}

/** Whether a kernel is too old for what a test is about, `since` being `major * 100 + minor`; says so. */
export function isTooOld({ hello }: KernelClient, since: number, what: string): boolean {
  const { major, minor } = hello.kernel.version;
  const tooOld = major * 100 + minor < since;
  if (tooOld) console.log(`not run on Linux ${major}.${minor}: ${what}`);
  return tooOld;
}
