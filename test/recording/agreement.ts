/** For tests: whether a program does the same with the recording in it as without, and whether its replay agrees. */
import { openRun } from '../../debug-adapter/recorder/open-run';
import { recordProgram } from '../../debug-adapter/recorder/record-program';
import { decodeRecording, encodeRecording } from '../../debug-adapter/recorder/recording';
import type { Recording } from '../../debug-adapter/recorder/recording';
import { snapshotMaps } from '../../debug-adapter/recorder/snapshot';
import { shapeOf } from '../../debug-adapter/recorder/replay/map-shape';
import { loadObject } from '../../debug-adapter/runner/load';
import type { ProgramFile } from '../../debug-adapter/runner/object';
import { runProgram } from '../../debug-adapter/runner/run';
import type { RunInput } from '../../debug-adapter/runner/run';
import type { KernelClient } from '../../kernel/client/client';
import type { LoadedProgram, Results } from '../../kernel/protocol';
import { testRunSupport } from '../../toolchain/program/test-run';

/** What can be seen of a run from outside; texts, for comparing. */
type Effects = Record<string, string>;

type Replayed =
  /** `lost`: maps that the replay shows as after the run only; `left`: by a tail call. */
  | { outcome: 'agrees'; steps: number; left: boolean; followed: number; lost: string[] }
  | { outcome: 'differs'; what: string };

export type Agreement = { program: string; type: string } &
  /** `lost`: maps that the replay shows as after the run only. */
  (
    | { outcome: 'agrees'; steps: number; left: boolean; followed: number; lost: string[] }
    | { outcome: 'differs'; what: string }
    /** The kernel does not run programs of this type, or not this one on this input. */
    | { outcome: 'not run'; why: string }
    | { outcome: 'not recorded'; why: string }
  );

/** Packets that take different ways through most programs. */
export const PACKETS: NonNullable<RunInput['packet']>[] = [
  [{ type: 'ethernet' }, { type: 'ipv4' }, { type: 'udp' }, { type: 'payload', length: 40 }],
  [{ type: 'ethernet' }, { type: 'ipv4' }, { type: 'tcp' }, { type: 'payload', length: 10 }],
  [{ type: 'ethernet' }, { type: 'ipv6' }, { type: 'icmpv6' }, { type: 'payload', length: 20 }],
];

/** As many arguments as a tracepoint can have, none of which is an address of anything. */
const TRACEPOINT: RunInput = { context: { args: Array.from({ length: 12 }, (_, index) => index + 1) } };

/**
 * Plain runs that have to agree before a recorded one that does not counts as different: two throws of a coin that
 * the program takes from the kernel agree once in two times, these once in 2^15.
 */
const PLAIN_RUNS = 16;

/** Runs a program of an object plainly and recorded, each time freshly loaded. */
export async function compareRuns(
  kernel: KernelClient,
  file: ProgramFile,
  name: string,
  packet: RunInput['packet'],
): Promise<Agreement> {
  const signal = new AbortController().signal;
  const { result: plain, program } = await runLoaded(kernel, file, name, packet, 'plain', signal);
  const common = { program: name, type: program?.type ?? '?' };
  if (typeof plain === 'string') return { ...common, outcome: 'not run', why: plain };
  const { result: recorded, recording } = await runLoaded(kernel, file, name, packet, 'recorded', signal);
  if (typeof recorded === 'string') return { ...common, outcome: 'differs', what: `recorded: ${recorded}` };
  if (!recording) return { ...common, outcome: 'not recorded', why: recorded.reason ?? '' };
  let differing = Object.entries(plain).filter(([what, value]) => recorded[what] !== value);
  // What plain runs do not agree on (times, addresses, random numbers) says nothing.
  for (let runs = 1; differing.length > 0 && runs < PLAIN_RUNS; runs++) {
    const { result: again } = await runLoaded(kernel, file, name, packet, 'plain', signal);
    if (typeof again === 'string') return { ...common, outcome: 'differs', what: `run again: ${again}` };
    differing = differing.filter(([what, value]) => again[what] === value);
  }
  if (differing.length > 0)
    return {
      ...common,
      outcome: 'differs',
      what: differing
        .map(([what, value]) => `${what}: ${value} plainly, ${recorded[what]} recorded`)
        .join('; '),
    };
  return { ...common, ...replayed(recording) };
}

function replayed(recording: Recording): Replayed {
  const read = decodeRecording(encodeRecording(recording));
  if (!read.ok) return { outcome: 'differs', what: read.problem.message };
  const opened = openRun(read.value);
  if (!opened.ok) return { outcome: 'differs', what: opened.problem.message };
  const { ending, timeline, maps } = opened.value;
  if (ending.kind === 'diverged')
    return { outcome: 'differs', what: `replay, instruction ${ending.insn}: ${ending.reason}` };
  // Going there another time has to lead to the same place.
  const { pc, step } = timeline.machine;
  timeline.seek(Math.floor(timeline.length / 2));
  timeline.seek(timeline.length);
  if (timeline.machine.pc !== pc || timeline.machine.step !== step)
    return { outcome: 'differs', what: 'going back and forth leads elsewhere' };
  return {
    outcome: 'agrees',
    steps: timeline.length,
    left: ending.kind === 'left',
    followed: recording.snapshots.length,
    lost: maps.lost.map(
      ({ map, reason }) => `${recording.maps.find(({ handle }) => handle === map)?.name}: ${reason}`,
    ),
  };
}

interface Ran {
  program?: LoadedProgram;
  /** Or why it did not run. */
  result: string | (Effects & { reason?: string });
  recording?: Recording;
}

async function runLoaded(
  kernel: KernelClient,
  file: ProgramFile,
  name: string,
  packet: RunInput['packet'],
  how: 'plain' | 'recorded',
  signal: AbortSignal,
): Promise<Ran> {
  let loaded: Awaited<ReturnType<typeof loadObject>>;
  try {
    loaded = await loadObject(kernel, file, { programs: [name] });
  } catch (error) {
    return { result: `not loaded: ${(error as Error).message}` };
  }
  let program: LoadedProgram | undefined;
  try {
    program = loaded.programs.find((one) => one.name === name);
    const support = program && testRunSupport(program.type);
    if (!program || !support)
      return { ...(program ? { program } : {}), result: 'not a type that can be test-run' };
    let raw: Results['testRun'] | undefined;
    let reason: string | undefined;
    let recording: Recording | undefined;
    const given = support.packet ? { packet } : program.type === 'raw_tracepoint' ? TRACEPOINT : {};
    const ran = program;
    await runProgram(loaded, ran, given, signal, async ({ repeat: _, ...input }) => {
      if (how === 'plain') {
        raw = await kernel.request('testRun', { program: ran.handle, ...input });
        return raw;
      }
      const recorded = await recordProgram(loaded, ran, input, signal);
      raw = recorded.result;
      if ('recording' in recorded) {
        ({ recording } = recorded);
        await recorded.close();
      } else ({ reason } = recorded);
      return raw;
    });
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
    const effects: Effects = {
      'return value': String(raw!.returnValue),
      packet: hex(raw!.data),
      context: hex(raw!.context),
    };
    const { taken, close } = await snapshotMaps(kernel, loaded.maps);
    for (const { map, entries } of taken) {
      const { slots, stride, valueSize } = shapeOf(map, kernel.hello.kernel.possibleCpus);
      // On which CPU a run is, is chance.
      const values = (value: Uint8Array) =>
        Array.from({ length: slots }, (_, slot) =>
          hex(value.subarray(slot * stride, slot * stride + valueSize)),
        )
          .sort()
          .join(' ');
      effects[`map ${map.name}`] = entries
        .map(({ key, value }) => `${hex(key)}=${values(value)}`)
        .sort()
        .join();
    }
    await close();
    const result = { ...effects, ...(reason === undefined ? {} : { reason }) };
    return { program, result, ...(recording ? { recording } : {}) };
  } catch (error) {
    return { ...(program ? { program } : {}), result: (error as Error).message };
  } finally {
    await loaded.close();
  }
}
