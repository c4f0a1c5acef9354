/**
 * Opening and loading an object, and the verdict on each of its programs.
 *
 * libbpf loads an object as a whole and stops at the first program that the kernel refuses. So the object is opened
 * again for the programs that have no verdict yet: N refusals cost at most N + 1 loads, and every verdict is the
 * kernel's, with relocations and maps as they are in the real load.
 */
import type { Addon, AddonError, AddonObject, AddonProgram, Operation } from '../addon/addon';
import { isAddonError } from '../addon/addon';
import type { MapDescription, ProgramVerdict, ProtocolError } from '../protocol';
import { KERNEL_FAULT, kernelFault, toProtocolError } from './errors';
import { notAskedAgain } from './faults';
import { LogLevel, parseStats } from './log';
import type { OpenParams } from './open-object';
import { cleanLog, describeMaps, openObject } from './open-object';
import type { Host } from './session';
import type { Refused, WantedLog } from './verdict';
import { MAX_LOG_BYTES, accepted, judge, notAsked, unknownType } from './verdict';

const STATS_LOG_BYTES = 64 * 1024;
/** What explains a rejection stands at a log's end, and a log of 100 MiB takes longer to read than to make. */
const TAIL_LOG_BYTES = 4 * 1024 * 1024;
/** Memory that the verifier does not write to is never taken, so the first buffer holds most logs. */
const WHOLE_LOG_BYTES = 16 * 1024 * 1024;

/** How one attempt to load ended. */
interface Attempt {
  object: AddonObject;
  programs: AddonProgram[];
  libbpfLog: string;
  /** The program that the kernel or libbpf refused, and how; absent when all loaded. */
  refused?: Refused;
}

export interface LoadOutcome {
  verdicts: ProgramVerdict[];
  /** Set when the object as a whole could not be prepared, so that no program was tried. */
  error?: ProtocolError;
  maps: MapDescription[];
  /** The loaded object, when all programs were accepted and `keep` was asked for. */
  object?: AddonObject;
}

export interface LoadOptions {
  log: WantedLog;
  /** The first refusal ends it, and a loaded object is returned to the caller, who closes it. */
  keep: boolean;
  /** Programs whose log is wanted at the first load. */
  likelyRejected?: readonly string[] | undefined;
  /** Also what this kernel faulted on before. */
  despiteFault?: boolean | undefined;
}

/** Loads the object's programs and tells the kernel's verdict on each. Without `keep` nothing remains loaded. */
export async function loadObject(
  { addon, faults }: Pick<Host, 'addon' | 'faults'>,
  params: OpenParams,
  { log: wanted, keep, likelyRejected = [], despiteFault = false }: LoadOptions,
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

  for (const program of despiteFault ? [] : present) {
    if (!program.autoload || !faults.has(params.object, program.name)) continue;
    const message = notAskedAgain(program.name);
    verdicts.set(program.name, judge({ program, errno: KERNEL_FAULT, message }, '', undefined));
  }
  if (verdicts.size > 0 && verdicts.size === order.length) {
    await addon.objectClose(null, first);
    return finish();
  }
  let next: AddonObject | undefined = first;
  let logBytes = wanted === 'all' || wanted === 'states' ? WHOLE_LOG_BYTES : STATS_LOG_BYTES;
  const level = levelFor(wanted);
  /** Programs whose log is written at the first load, as if they had been rejected already. */
  const logged = new Set(wanted === 'rejected' ? likelyRejected : []);
  for (;;) {
    const object: AddonObject = next ?? (await openObject(addon, params, operation));
    next = undefined;
    let attempt: Attempt | { error: ProtocolError };
    try {
      const names = order.filter((name) => !verdicts.has(name));
      attempt = await tryLoad(addon, object, names, level, logBytes, operation, logged);
    } catch (error) {
      await addon.objectClose(null, object);
      throw error;
    }
    if ('error' in attempt) {
      await addon.objectClose(null, object);
      const { error } = attempt;
      // What only an optional program needs must not keep the others from their verdicts.
      const optional = present.filter(
        (one) => one.optional && order.includes(one.name) && !verdicts.has(one.name),
      );
      const isWorthTrying = optional.length > 0 && order.length > verdicts.size + optional.length;
      if (isWorthTrying && error.errno !== KERNEL_FAULT) {
        for (const program of optional) verdicts.set(program.name, notAsked(program, error));
        continue;
      }
      for (const program of present.filter((one) => order.includes(one.name) && !verdicts.has(one.name))) {
        if (error.errno === KERNEL_FAULT) faults.add(params.object, program.name);
        verdicts.set(program.name, notAsked(program, error));
      }
      return finish({ error });
    }
    const { refused } = attempt;
    if (refused?.errno === KERNEL_FAULT) faults.add(params.object, refused.program.name);
    const isLogged = refused !== undefined && logged.delete(refused.program.name);
    if (!refused) {
      for (const program of attempt.programs.filter((one) => one.fd >= 0)) {
        const { jitedSize } = await addon.programInfo(null, program.fd);
        verdicts.set(program.name, { ...accepted(program, wanted, attempt.libbpfLog), jitedSize });
      }
      if (keep) return finish({ object });
      await addon.objectClose(null, object);
      return finish();
    }
    await addon.objectClose(null, object);
    // A log that does not fit is asked for again in the usual way, which knows how to keep its end.
    if (refused.errno === 'ENOSPC' && isLogged) continue;
    if (refused.errno === 'ENOSPC' && logBytes < MAX_LOG_BYTES) {
      logBytes = Math.min(logBytes * 4, MAX_LOG_BYTES);
      continue;
    }
    // libbpf loads in the order of the file, so what stands before the refused program has been accepted already.
    for (const program of attempt.programs.slice(0, attempt.programs.indexOf(refused.program))) {
      if (!program.autoload || verdicts.has(program.name)) continue;
      const verdict = accepted(program, wanted, attempt.libbpfLog);
      // Without statistics nothing shows that it was loaded at all; it gets a load of its own.
      if (verdict.stats) verdicts.set(program.name, verdict);
    }
    const verdict = judge(refused, attempt.libbpfLog, await unknownType(addon, refused, attempt.libbpfLog));
    if (verdict.verdict === 'rejected' && wanted === 'rejected') {
      // Statistics alone cost nothing; now somebody wants to read why.
      const log = isLogged
        ? { log: refused.program.log }
        : await explainingLog({ addon, faults }, params, refused.program.name, operation);
      Object.assign(verdict, log);
    } else if (verdict.verdict === 'rejected' && wanted !== 'none') {
      verdict.log = refused.program.log;
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
  logged: ReadonlySet<string> = new Set(),
): Promise<Attempt | { error: ProtocolError }> {
  for (const program of addon.objectPrograms(object)) {
    const load = names.includes(program.name);
    const how = logged.has(program.name)
      ? { logLevel: LogLevel.Paths | LogLevel.Stats, logSize: TAIL_LOG_BYTES }
      : { logLevel, logSize };
    addon.programSet(object, program.name, { autoload: load, ...(load ? how : {}) });
  }
  try {
    const libbpfLog = await addon.objectLoad(operation, object);
    return { object, programs: addon.objectPrograms(object), libbpfLog };
  } catch (error) {
    if (!isAddonError(error) || error.code === 'ECANCELED') throw error;
    if (error.code === KERNEL_FAULT) return faulted(addon, object, error);
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

/**
 * The kernel ended the thread that loaded the object. libbpf loads in the order of the file, so the first program
 * without a descriptor was being loaded, once all that is loaded had been prepared.
 */
function faulted(addon: Addon, object: AddonObject, error: AddonError): Attempt | { error: ProtocolError } {
  const programs = addon.objectPrograms(object);
  const program = programs.find(({ autoload, fd }) => autoload && fd < 0);
  if (!program || addon.programPrepared(object, program.name).instructions.length === 0) {
    return { error: kernelFault(error.operation, 'the preparation of the load') };
  }
  const { message } = kernelFault(error.operation, `the load of program ${program.name}`);
  return { object, programs, libbpfLog: error.libbpfLog, refused: { program, errno: error.code, message } };
}

/** The reason that libbpf gives for an object is better than the errno it ends with. */
function prepareError(log: string, error: ProtocolError): ProtocolError {
  const reason = cleanLog(log)
    .filter((line) => !/^failed to load object|Retrying without BTF/.test(line))
    .at(-1);
  return { ...error, message: reason ? `${reason} (${error.errno})` : error.message };
}

/** Loads one rejected program again, alone, for a log that explains the rejection: whole, or its end if that is long. */
async function explainingLog(
  { addon, faults }: Pick<Host, 'addon' | 'faults'>,
  params: OpenParams,
  name: string,
  operation: Operation,
): Promise<Pick<ProgramVerdict, 'log' | 'logIsTail'>> {
  for (let logBytes = TAIL_LOG_BYTES; ; logBytes = Math.min(logBytes * 4, MAX_LOG_BYTES)) {
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
      if ('error' in attempt) return {};
      if (attempt.refused?.errno === KERNEL_FAULT) faults.add(params.object, name);
      const log = attempt.programs.find((program) => program.name === name)?.log ?? '';
      if (attempt.refused?.errno !== 'ENOSPC') return { log };
      // Since 6.4 a log that is too long for its buffer loses its beginning; before, its end, where the reason is.
      if (parseStats(log)) return { log: log.slice(log.indexOf('\n') + 1), logIsTail: true };
      if (logBytes === MAX_LOG_BYTES) return { log };
    } finally {
      await addon.objectClose(null, object);
    }
  }
}
