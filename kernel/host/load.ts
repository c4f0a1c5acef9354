/**
 * Opening and loading an object, and the verdict on each of its programs.
 *
 * libbpf loads an object as a whole and stops at the first program that the kernel refuses. So the object is opened
 * again for the programs that have no verdict yet: N refusals cost at most N + 1 loads, and every verdict is the
 * kernel's, with relocations and maps as they are in the real load.
 */
import os from 'node:os';
import type { Addon, AddonObject, AddonProgram, Operation } from '../addon/addon';
import { isAddonError } from '../addon/addon';
import type { MapDescription, ProgramDescription, ProgramVerdict, ProtocolError } from '../protocol';
import { failure, toProtocolError } from './errors';
import { hintFor } from './hints';
import { LogLevel, parseStats, terminalMessage } from './log';

export interface OpenParams {
  object: Uint8Array;
  programs?: string[] | undefined;
  attachTargets?: Record<string, string> | undefined;
  globals?: Record<string, Uint8Array> | undefined;
}

/** Name of objects for libbpf; the kernel shows its first letters before `.rodata` and the like. */
const OBJECT_NAME = 'bpf';
const STATS_LOG_BYTES = 64 * 1024;
/** Memory that the verifier does not write to is never taken, so the first buffer holds most logs. */
const WHOLE_LOG_BYTES = 16 * 1024 * 1024;
/** V8's strings end at 512 MiB. */
const MAX_LOG_BYTES = 500 * 1024 * 1024;

/** Opens the object and selects what to load of it. Throws a HostError with code `badObject` when it is no BPF ELF file. */
export async function openObject(
  addon: Addon,
  params: OpenParams,
  operation: Operation,
): Promise<AddonObject> {
  checkElf(params.object);
  let object: AddonObject;
  try {
    ({ object } = await addon.objectOpen(operation, params.object, OBJECT_NAME));
  } catch (error) {
    if (!isAddonError(error) || error.code === 'ECANCELED') throw error;
    throw failure('badObject', error.operation, openMessage(error.libbpfLog, error.message), {
      errno: error.code,
      libbpfLog: error.libbpfLog,
      hint: 'Compile the program with `clang -O2 -g -target bpf -c`.',
    });
  }
  try {
    await select(addon, object, params, operation);
    return object;
  } catch (error) {
    await addon.objectClose(null, object);
    throw error;
  }
}

/** ELF64, machine EM_BPF (247): what makes a file worth libbpf's attention, with words for what it is instead. */
function checkElf(bytes: Uint8Array): void {
  const bad = (message: string) =>
    failure('badObject', 'open', message, {
      hint: 'Give an object file written by `clang -O2 -g -target bpf -c FILE.bpf.c`.',
    });
  if (bytes.length < 64 || bytes[0] !== 0x7f || bytes[1] !== 0x45 || bytes[2] !== 0x4c || bytes[3] !== 0x46) {
    throw bad(`The object is not an ELF file (${bytes.length} bytes).`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const machine = view.getUint16(18, bytes[5] !== 2);
  if (machine !== 247) throw bad(`The object is compiled for ELF machine ${machine}, not for BPF (247).`);
}

function openMessage(log: string, message: string): string {
  const lines = cleanLog(log);
  return `libbpf cannot read the object: ${lines.at(-1) ?? message}`;
}

async function select(
  addon: Addon,
  object: AddonObject,
  params: OpenParams,
  operation: Operation,
): Promise<void> {
  const present = addon.objectPrograms(object);
  const unknown = [...(params.programs ?? []), ...Object.keys(params.attachTargets ?? {})].find(
    (name) => !present.some((program) => program.name === name),
  );
  if (unknown !== undefined) {
    throw failure('badRequest', 'open', `the object has no program "${unknown}"`, {
      hint: `It has: ${present.map((program) => program.name).join(', ') || 'none'}.`,
    });
  }
  for (const program of present) {
    if (params.programs) {
      addon.programSet(object, program.name, { autoload: params.programs.includes(program.name) });
    }
    const target = params.attachTargets?.[program.name];
    if (target) await addon.programSetAttachTarget(operation, object, program.name, target);
  }
  for (const [name, value] of Object.entries(params.globals ?? {})) {
    addon.mapSetInitialValue(object, name, value);
  }
}

/** libbpf's warnings without its `libbpf: ` prefix. */
export function cleanLog(log: string): string[] {
  return log
    .split('\n')
    .map((line) => line.replace(/^libbpf: /, ''))
    .filter((line) => line.trim() !== '');
}

export function describeProgram(program: AddonProgram): ProgramDescription {
  // Attach type 0 is a real one (cgroup_inet_ingress) and also what programs without any have.
  const attachType =
    program.attachTypeNumber !== 0 || /^cgroup/.test(program.section) ? program.attachType : '';
  return {
    name: program.name,
    section: program.section,
    type: program.type,
    typeNumber: program.typeNumber,
    ...(attachType ? { attachType } : {}),
  };
}

export function describeMaps(addon: Addon, object: AddonObject): (MapDescription & { fd: number })[] {
  return addon.objectMaps(object).map(({ pinnedAt, ...map }) => ({
    ...map,
    frozen: false,
    structOps: map.type === 'struct_ops',
    ...(pinnedAt ? { pinnedAt } : {}),
  }));
}

type WantedLog = 'none' | 'rejected' | 'all' | 'states';

/** How one attempt to load ended. */
interface Attempt {
  object: AddonObject;
  programs: AddonProgram[];
  libbpfLog: string;
  /** The program that the kernel or libbpf refused, and how; absent when all loaded. */
  refused?: { program: AddonProgram; errno: string; message: string };
}

export interface LoadOutcome {
  verdicts: ProgramVerdict[];
  /** Set when the object as a whole could not be prepared, so that no program was tried. */
  error?: ProtocolError;
  maps: MapDescription[];
  /** The loaded object, when all programs were accepted and `keep` was asked for. */
  object?: AddonObject;
}

/**
 * Loads the object's programs and tells the kernel's verdict on each. With `keep` the first refusal ends it and a
 * loaded object is returned to the caller, who closes it; otherwise nothing remains loaded.
 */
export async function loadObject(
  addon: Addon,
  params: OpenParams,
  wanted: WantedLog,
  keep: boolean,
  operation: Operation,
): Promise<LoadOutcome> {
  const first = await openObject(addon, params, operation);
  const maps = describeMaps(addon, first).map(({ fd: _fd, ...map }) => map);
  const present = addon.objectPrograms(first);
  const order = present.filter((program) => program.autoload).map((program) => program.name);
  const verdicts = new Map<string, ProgramVerdict>();
  const finish = (more: Partial<LoadOutcome> = {}): LoadOutcome => ({
    verdicts: order.flatMap((name) => verdicts.get(name) ?? []),
    maps,
    ...more,
  });

  let next: AddonObject | undefined = first;
  let logBytes = wanted === 'all' || wanted === 'states' ? WHOLE_LOG_BYTES : STATS_LOG_BYTES;
  const level = levelFor(wanted);
  for (;;) {
    const object: AddonObject = next ?? (await openObject(addon, params, operation));
    next = undefined;
    let attempt: Attempt | { error: ProtocolError };
    try {
      const names = order.filter((name) => !verdicts.has(name));
      attempt = await tryLoad(addon, object, names, level, logBytes, operation);
    } catch (error) {
      await addon.objectClose(null, object);
      throw error;
    }
    if ('error' in attempt) {
      await addon.objectClose(null, object);
      const { error } = attempt;
      for (const program of present.filter((one) => order.includes(one.name) && !verdicts.has(one.name))) {
        verdicts.set(program.name, notAsked(program, error));
      }
      return finish({ error });
    }
    const { refused } = attempt;
    if (!refused) {
      for (const program of attempt.programs.filter((one) => one.fd >= 0)) {
        verdicts.set(program.name, accepted(program, wanted, attempt.libbpfLog));
      }
      if (keep) return finish({ object });
      await addon.objectClose(null, object);
      return finish();
    }
    await addon.objectClose(null, object);
    if (refused.errno === 'ENOSPC' && logBytes < MAX_LOG_BYTES) {
      logBytes = Math.min(logBytes * 4, MAX_LOG_BYTES);
      continue;
    }
    // libbpf loads in the order of the file, so what stands before the refused program has been accepted already.
    for (const program of attempt.programs.slice(0, attempt.programs.indexOf(refused.program))) {
      if (!program.autoload || verdicts.has(program.name) || !parseStats(program.log)) continue;
      verdicts.set(program.name, accepted(program, wanted, attempt.libbpfLog));
    }
    const verdict = judge(refused, attempt.libbpfLog, await unknownType(addon, refused));
    if (verdict.verdict === 'rejected' && wanted !== 'none') {
      // Statistics alone cost nothing; now somebody wants to read why.
      verdict.log =
        wanted === 'rejected'
          ? await wholeLog(addon, params, refused.program.name, operation)
          : refused.program.log;
    }
    verdicts.set(refused.program.name, verdict);
    if (keep) return finish();
    if (verdicts.size === order.length) return finish();
  }
}

function levelFor(wanted: WantedLog): number {
  if (wanted === 'all') return LogLevel.Paths | LogLevel.Stats;
  if (wanted === 'states') return LogLevel.States | LogLevel.Stats;
  return LogLevel.Stats;
}

/** One load of the programs in `names`, the others switched off. Throws only what is no answer: a cancel, a defect. */
async function tryLoad(
  addon: Addon,
  object: AddonObject,
  names: string[],
  logLevel: number,
  logSize: number,
  operation: Operation,
): Promise<Attempt | { error: ProtocolError }> {
  for (const program of addon.objectPrograms(object)) {
    const load = names.includes(program.name);
    addon.programSet(object, program.name, { autoload: load, ...(load ? { logLevel, logSize } : {}) });
  }
  try {
    const libbpfLog = await addon.objectLoad(operation, object);
    return { object, programs: addon.objectPrograms(object), libbpfLog };
  } catch (error) {
    if (!isAddonError(error) || error.code === 'ECANCELED') throw error;
    const programs = addon.objectPrograms(object);
    // libbpf names the program that ended the load in its last warnings.
    const name = [...error.libbpfLog.matchAll(/prog '([^']+)': failed to load: /g)].at(-1)?.[1];
    const program = programs.find((candidate) => candidate.name === name);
    if (!program) return { error: prepareError(error.libbpfLog, toProtocolError(error, 'load')) };
    return {
      object,
      programs,
      libbpfLog: error.libbpfLog,
      refused: { program, errno: error.code, message: error.message },
    };
  }
}

/** The reason that libbpf gives for an object is better than the errno it ends with. */
function prepareError(log: string, error: ProtocolError): ProtocolError {
  const reason = cleanLog(log)
    .filter((line) => !/^failed to load object|Retrying without BTF/.test(line))
    .at(-1);
  return { ...error, message: reason ? `${reason} (${error.errno})` : error.message };
}

function facts(program: AddonProgram) {
  return {
    ...describeProgram(program),
    insnCount: program.insnCount,
    lineInfo: program.lineInfo,
  };
}

/** libbpf's lines about one program. */
function linesAbout(name: string, log: string): string {
  return cleanLog(log)
    .filter((line) => line.includes(`'${name}'`))
    .join('\n');
}

function accepted(program: AddonProgram, wanted: WantedLog, libbpfLog: string): ProgramVerdict {
  const stats = parseStats(program.log);
  return {
    ...facts(program),
    verdict: 'accepted',
    libbpfLog: linesAbout(program.name, libbpfLog),
    ...(stats ? { stats } : {}),
    ...(wanted === 'all' || wanted === 'states' ? { log: program.log } : {}),
  };
}

/** `rejected` when the verifier wrote why; otherwise the kernel never looked at the code. */
function judge(
  { program, errno, message }: NonNullable<Attempt['refused']>,
  libbpfLog: string,
  unknown: string | undefined,
): ProgramVerdict {
  const lines = linesAbout(program.name, libbpfLog);
  const said = terminalMessage(program.log);
  const stats = parseStats(program.log);
  if (errno === 'ENOSPC') {
    return {
      ...facts(program),
      verdict: 'error',
      message: `the verifier's log is longer than ${MAX_LOG_BYTES >> 20} MiB, so the load was abandoned; ask for less of it`,
      errno,
      libbpfLog: lines,
    };
  }
  if (said) {
    return {
      ...facts(program),
      verdict: 'rejected',
      message: said,
      errno,
      libbpfLog: lines,
      ...(stats ? { stats } : {}),
    };
  }
  const reason =
    unknown ?? lines.split('\n').find((line) => !/failed to load: |BPF program load failed: /.test(line));
  const hint = hintFor('BPF_PROG_LOAD', errno, libbpfLog);
  return {
    ...facts(program),
    verdict: 'error',
    message: [
      `${reason ? reason.replace(/^prog '[^']*': /, '') : `the kernel refused to load it: ${message}`} (${errno})`,
      hint,
    ]
      .filter(Boolean)
      .join('. '),
    errno,
    libbpfLog: lines,
  };
}

/** EINVAL without a word is what a kernel says to a program type it does not have. */
async function unknownType(
  addon: Addon,
  refused: NonNullable<Attempt['refused']>,
): Promise<string | undefined> {
  const { program, errno } = refused;
  if (errno !== 'EINVAL' || program.log !== '') return undefined;
  const { programTypes } = await addon.probeFeatures(null);
  if (programTypes[program.type] !== false) return undefined;
  return `Linux ${os.release()} has no program type ${program.type}, or it was built without it`;
}

function notAsked(program: AddonProgram, error: ProtocolError): ProgramVerdict {
  return {
    ...facts(program),
    verdict: 'error',
    message: error.message,
    ...(error.errno ? { errno: error.errno } : {}),
    libbpfLog: error.libbpfLog ?? '',
  };
}

/** Loads one rejected program again, alone, with a log buffer that grows until its whole log fits. */
async function wholeLog(
  addon: Addon,
  params: OpenParams,
  name: string,
  operation: Operation,
): Promise<string | undefined> {
  for (let logBytes = WHOLE_LOG_BYTES; ; logBytes = Math.min(logBytes * 4, MAX_LOG_BYTES)) {
    const object = await openObject(addon, params, operation);
    try {
      const attempt = await tryLoad(
        addon,
        object,
        [name],
        LogLevel.Paths | LogLevel.Stats,
        logBytes,
        operation,
      );
      if ('error' in attempt) return undefined;
      if (attempt.refused?.errno === 'ENOSPC' && logBytes < MAX_LOG_BYTES) continue;
      return attempt.programs.find((program) => program.name === name)?.log;
    } finally {
      await addon.objectClose(null, object);
    }
  }
}
