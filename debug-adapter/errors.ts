/**
 * Every error of the debug adapter: a number that stays the same, words for the user (what happened, why, what to do
 * next), and whether the user is shown it or only the log.
 */
import type { DebugProtocol } from '@vscode/debugprotocol';
import { KernelError } from '../kernel/client/errors';
import type { ProtocolError } from '../kernel/protocol';

/** A command of the editor that does the next step; the adapter's own process runs none. */
export interface NextStep {
  title: string;
  command: string;
}

const selectKernel: NextStep = { title: 'Select Kernel', command: 'bpf.selectKernel' };
const openRecording: NextStep = { title: 'Open Recording', command: 'bpf.openRecording' };
const showProblems: NextStep = { title: 'Show Problems', command: 'workbench.actions.view.problems' };
/** What helps when there is no launch.json to mend: a hook that is asked for again, or at least the log. */
const attachProgram: NextStep = { title: 'Attach Program', command: 'bpf.attachProgram' };
const attachAgain: NextStep = { title: 'Attach Again', command: 'bpf.attachProgram' };
const showLog: NextStep = { title: 'Show Log', command: 'bpf.showLog' };

export class AdapterError extends Error {
  constructor(
    /** DAP's `ErrorMessage.id`. */
    readonly id: number,
    message: string,
    /** True for what the user asked for and did not get; false for a client's mistakes. */
    readonly showUser: boolean,
    readonly next?: NextStep,
    /** Instead of `next`, when a command and no launch.json led here. */
    readonly again: NextStep = showLog,
  ) {
    super(message);
  }
}

/** What the buttons and commands are called that send these requests. */
const TITLES: Record<string, string> = {
  next: 'Step Over',
  stepIn: 'Step Into',
  stepOut: 'Step Out',
  stepBack: 'Step Back',
  reverseContinue: 'Reverse',
  disassemble: 'The Disassembly view',
  'bpf/coverage': 'Coverage',
  'bpf/lastWrite': 'Go to Last Write',
  'bpf/whenBecame': 'When Did This Become…',
  'bpf/decisions': 'The list of branch decisions',
};

const forUser = (id: number, message: string, next?: NextStep) => new AdapterError(id, message, true, next);
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
export const noException = () => forClient(1012, 'The run does not rest at an exception.');
export const cannotGo = (step: number, length: number) =>
  forClient(1013, `The run has no step ${step}: its steps are 0 to ${length}.`);
export const noSource = (what: string) =>
  forClient(
    1014,
    `The recording has no source ${what}; only the files that its lines are in are kept with it.`,
  );
export const nothingRecorded = () =>
  forUser(
    1011,
    'There is no recorded run here to be saved. Run a program with F5 (without "repeat"), or open one of the Recorded Runs of an attached program.',
  );
export const notCounted = (reason: string) =>
  forUser(
    1015,
    `The lines of this run are not counted, because replay and kernel disagree on it: ${reason}. Restart records it again.`,
  );
/** @param isLive programs are attached, and none of their runs is open. */
export const steppingUnsupported = (command: string, isLive: boolean) =>
  forUser(
    1010,
    `${TITLES[command] ?? command} needs a recorded run, and none is open. ${
      isLive
        ? 'Attached programs do not stop: Record Runs, in the view Recorded Runs, keeps their runs; open one of them there.'
        : 'The program has not run yet, or was run with "repeat", or its run could not be recorded, as the Debug Console says. Continue runs it.'
    }`,
  );
export const notAttached = (command: string) =>
  forUser(
    1016,
    `${command} needs programs that are attached: start a session with "request": "attach", or *BPF: Attach Program*.`,
  );

/** What the launch or attach configuration says cannot be done. */
export const badConfiguration = (problem: string) => forUser(1101, problem);
export const programFileUnreadable = (path: string, reason: string) =>
  forUser(1102, `The program file ${path} cannot be read: ${reason}. Name a .bpf.c source or a .o object.`);
export const recordingUnreadable = (path: string, reason: string) =>
  forUser(
    1109,
    `The recording ${path} cannot be read: ${reason}. Name a .bpfrec file, such as BPF: Save Recording or bpf-studio record write.`,
    openRecording,
  );
export const badRecording = (path: string, message: string, hint: string) =>
  forUser(1110, `${path}: ${message} ${hint}`, openRecording);
export const compilationFailed = (path: string, output: string) =>
  forUser(1103, `${path} does not compile:\n${output}`, showProblems);
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
export const cannotTestRun = (reason: string) =>
  new AdapterError(1108, reason, true, undefined, attachProgram);

/** The kernel said no. */
export const rejected = (program: string, message: string) =>
  forUser(
    1201,
    `The kernel rejected ${program}: ${message}. The verifier's log is in the output.`,
    showProblems,
  );
export const runFailed = (message: string) => forUser(1202, message);
/** `unsupported`: another kernel could. */
export const attachFailed = (message: string, { unsupported } = { unsupported: false }) =>
  new AdapterError(1203, message, true, unsupported ? selectKernel : undefined, attachAgain);
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
export const noTarget = (message: string, hint: string) => forUser(1302, `${message} ${hint}`, selectKernel);
export const cancelled = () => forClient(1303, 'Cancelled.');
export const isCancelled = (thrown: unknown) => thrown instanceof AdapterError && thrown.id === 1303;
export const internal = (thrown: unknown) =>
  forUser(1999, `Internal error: ${thrown instanceof Error ? thrown.message : String(thrown)}`);

/** Whatever was thrown, as what the client is told. */
export function asAdapterError(thrown: unknown): AdapterError {
  if (thrown instanceof AdapterError) return thrown;
  if (!(thrown instanceof KernelError)) return internal(thrown);
  if (thrown.code === 'hostGone') return hostGone(thrown.message);
  return thrown.code === 'cancelled' ? cancelled() : kernelRefused(thrown);
}

/**
 * DAP's body of a failed response. VS Code puts a button for `url` under the message; for one that is a command it
 * leaves its own, *Open launch.json*, away. Other clients would not know what to do with it. What our extension asks
 * for itself it also answers for; VS Code would say the same a second time. `command` and `given` are the request that
 * failed.
 */
export function describeError(
  { id, message, showUser, next, again }: AdapterError,
  clientId: string | undefined,
  command: string,
  given: unknown,
): DebugProtocol.Message {
  const isOurs = clientId === 'vscode' && command.startsWith('bpf/');
  const unlisted = (given as { unlisted?: unknown } | null | undefined)?.unlisted === true;
  const step = clientId === 'vscode' ? (next ?? (unlisted ? again : undefined)) : undefined;
  const button = step && { url: `command:${step.command}`, urlLabel: step.title };
  return { id, format: message, showUser: showUser && !isOurs, ...(isOurs ? {} : button) };
}

/** A kernel host's error in a line: what failed, how, and what helps. */
export function describeKernelError(
  error: Pick<ProtocolError, 'message'> & { errno?: string | undefined; hint?: string | undefined },
): string {
  const errno = error.errno && !error.message.includes(error.errno) ? ` (${error.errno})` : '';
  const hint = error.hint === undefined ? '' : ` ${error.hint}`;
  return `${error.message}${errno}${/[.!?]$/.test(error.message + errno) ? '' : '.'}${hint}`;
}
