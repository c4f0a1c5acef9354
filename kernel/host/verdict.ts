/** From how a load ended to the verdict on a program. */
import os from 'node:os';
import type { Addon, AddonProgram } from '../addon/addon';
import type { ProgramVerdict, ProtocolError } from '../protocol';
import { KERNEL_FAULT } from './errors';
import { hintFor } from './hints';
import { parseStats, terminalMessage } from './log';
import { cleanLog, describeProgram } from './open-object';

/** Which logs are wanted, see the protocol's `verify`. */
export type WantedLog = 'none' | 'rejected' | 'all' | 'states';

/** V8's strings end at 512 MiB. */
export const MAX_LOG_BYTES = 500 * 1024 * 1024;

/** A program that the kernel or libbpf did not load, and how it ended. */
export interface Refused {
  program: AddonProgram;
  errno: string;
  message: string;
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

/** What libbpf says of a program beyond that it was not loaded. */
function reasonOf(name: string, log: string): string | undefined {
  return linesAbout(name, log)
    .split('\n')
    .find((line) => line !== '' && !/failed to load: |BPF program load failed: /.test(line));
}

export function accepted(program: AddonProgram, wanted: WantedLog, libbpfLog: string): ProgramVerdict {
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
export function judge(
  { program, errno, message }: Refused,
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
  // Whatever the log holds was written before the kernel faulted: no reason for anything.
  if (errno === KERNEL_FAULT) {
    return { ...facts(program), verdict: 'error', message, errno, libbpfLog: lines };
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
  const reason = unknown ?? reasonOf(program.name, libbpfLog);
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

/** EINVAL without a word, of the kernel or of libbpf, is what a kernel says to a program type it does not have. */
export async function unknownType(
  addon: Addon,
  refused: Refused,
  libbpfLog: string,
): Promise<string | undefined> {
  const { program, errno } = refused;
  if (errno !== 'EINVAL' || program.log !== '' || reasonOf(program.name, libbpfLog)) return undefined;
  const { programTypes } = await addon.probeFeatures(null);
  if (programTypes[program.type] !== false) return undefined;
  return `Linux ${os.release()} has no program type ${program.type}, or it was built without it`;
}

export function notAsked(program: AddonProgram, error: ProtocolError): ProgramVerdict {
  return {
    ...facts(program),
    verdict: 'error',
    message: error.message,
    ...(error.errno ? { errno: error.errno } : {}),
    libbpfLog: error.libbpfLog ?? '',
  };
}
