/**
 * Every error of the debug adapter: a number that stays the same, words for the user (what happened, why, what to do
 * next), and whether the user is shown it or only the log.
 */
import { KernelError } from '../kernel/client/errors';
import type { ProtocolError } from '../kernel/protocol';

export class AdapterError extends Error {
  constructor(
    /** DAP's `ErrorMessage.id`. */
    readonly id: number,
    message: string,
    /** True for what the user asked for and did not get; false for a client's mistakes. */
    readonly showUser: boolean,
  ) {
    super(message);
  }
}

const forUser = (id: number, message: string) => new AdapterError(id, message, true);
const forClient = (id: number, message: string) => new AdapterError(id, message, false);

/** The client sent something that is not DAP, or not now. */
export const badArguments = (command: string, problem: string) => forClient(1001, `${command}: ${problem}`);
export const unknownCommand = (command: string) =>
  forClient(1002, `The BPF debug adapter has no request "${command}".`);
export const notInitialized = (command: string) =>
  forClient(1003, `${command} came before initialize; the first request of a session is initialize.`);
export const alreadyInitialized = () => forClient(1004, 'initialize came a second time.');
export const alreadyStarted = () =>
  forClient(1005, 'This session has been launched or attached already; start another one, or restart it.');
export const notStarted = (command: string) =>
  forClient(1006, `${command}: nothing has been launched or attached in this session.`);
export const sessionEnded = (command: string) => forClient(1007, `${command}: the session has ended.`);
export const unknownReference = (what: string, reference: number) =>
  forClient(
    1008,
    `There is no ${what} ${reference}; it belonged to an earlier stop. Ask for the scopes again.`,
  );
export const pathFormat = () =>
  forClient(1009, 'initialize: pathFormat must be "path"; other formats are not supported.');
export const steppingUnsupported = (command: string) =>
  forUser(
    1010,
    `${command} is not supported here: the kernel runs a BPF program as a whole, and no run was recorded to go through. Continue runs it again, Restart loads it afresh.`,
  );

/** What the launch or attach configuration says cannot be done. */
export const badConfiguration = (problem: string) => forUser(1101, problem);
export const programFileUnreadable = (path: string, reason: string) =>
  forUser(1102, `The program file ${path} cannot be read: ${reason}. Name a .bpf.c source or a .o object.`);
export const compilationFailed = (path: string, output: string) =>
  forUser(1103, `${path} does not compile:\n${output}`);
export const badObject = (message: string, hint: string) => forUser(1104, `${message} ${hint}`);
export const noSuchProgram = (entry: string, names: string[]) =>
  forUser(
    1105,
    names.length === 0
      ? `There is no program "${entry}": the file has no function with SEC().`
      : `There is no program "${entry}" in the file. Choose one of: ${names.join(', ')}.`,
  );
export const severalPrograms = (names: string[]) =>
  forUser(1106, `The file has ${names.length} programs. Choose one with "entry": ${names.join(', ')}.`);
export const badInput = (problem: string) => forUser(1107, problem);
export const cannotTestRun = (reason: string) => forUser(1108, reason);

/** The kernel said no. */
export const rejected = (program: string, message: string) =>
  forUser(1201, `The kernel rejected ${program}: ${message}. The verifier's log is in the output.`);
export const runFailed = (message: string) => forUser(1202, message);
export const attachFailed = (message: string) => forUser(1203, message);
export const kernelRefused = (error: Parameters<typeof describeKernelError>[0]) =>
  forUser(1204, describeKernelError(error));
export const cannotSet = (reason: string) => forUser(1205, reason);
export const cannotEvaluate = (reason: string) => forClient(1206, reason);

/** The way to the kernel is gone. */
export const hostGone = (reason: string) =>
  forUser(
    1301,
    `The kernel host ended (${reason}). Everything this session loaded is out of the kernel; start the session again.`,
  );
export const noTarget = (message: string, hint: string) => forUser(1302, `${message} ${hint}`);
export const cancelled = () => forClient(1303, 'Cancelled.');
export const internal = (thrown: unknown) =>
  forUser(1999, `Internal error: ${thrown instanceof Error ? thrown.message : String(thrown)}`);

/** Whatever was thrown, as what the client is told. */
export function asAdapterError(thrown: unknown): AdapterError {
  if (thrown instanceof AdapterError) return thrown;
  if (!(thrown instanceof KernelError)) return internal(thrown);
  if (thrown.code === 'hostGone') return hostGone(thrown.message);
  return thrown.code === 'cancelled' ? cancelled() : kernelRefused(thrown);
}

/** A kernel host's error in a line: what failed, how, and what helps. */
export function describeKernelError(
  error: Pick<ProtocolError, 'message'> & { errno?: string | undefined; hint?: string | undefined },
): string {
  const errno = error.errno && !error.message.includes(error.errno) ? ` (${error.errno})` : '';
  const hint = error.hint === undefined ? '' : ` ${error.hint}`;
  return `${error.message}${errno}${/[.!?]$/.test(error.message + errno) ? '' : '.'}${hint}`;
}
