/** The conversation of an interactive replay: with a person at a terminal, or with lines from a pipe. */
import readline from 'node:readline';
import type { Recording } from '../../debug-adapter/recorder/recording';
import type { ExitStatus, Io } from '../io';
import { Refusal } from './adapter';
import { commands, Quit, readCommand } from './commands/table';
import { openDebugger, type Debugger } from './debugger';

const PROMPT = '(replay) ';

/**
 * Reads commands until `quit` or the end of standard input. From a pipe a command that fails makes the status 2, so that
 * a script notices; a person has read it.
 */
export async function converse(file: string, recording: Recording, io: Io): Promise<ExitStatus> {
  const isTerminal = process.stdin.isTTY === true && process.stdout.isTTY === true;
  const replay = await openDebugger(file, recording, io);
  const lines = readline.createInterface({
    input: process.stdin,
    ...(isTerminal ? { output: process.stdout, prompt: PROMPT, removeHistoryDuplicates: true } : {}),
    terminal: isTerminal,
    completer: (line: string, done: (error: null, found: [string[], string]) => void) => {
      complete(replay, line).then(
        (found) => done(null, found),
        () => done(null, [[], line]),
      );
    },
  });
  // Ctrl-C leaves the line that is being typed, or a move that takes long, and not the replay.
  lines.on('SIGINT', () => {
    void replay.adapter.pause();
    io.out('\n');
    lines.prompt();
  });
  io.interrupted.addEventListener('abort', () => lines.close(), { once: true });
  let status: ExitStatus = 0;
  let last = '';
  if (isTerminal) lines.prompt();
  for await (const line of lines) {
    const typed = line.trim();
    if (typed.startsWith('#')) continue;
    const result = await answer(replay, typed === '' && isTerminal ? last : typed);
    if (result === 'quit') break;
    if (result === 'failed' && !isTerminal) status = 2;
    last = typed === '' ? last : isRepeatable(typed) ? typed : '';
    if (isTerminal) lines.prompt();
    else if (io.interrupted.aborted) break;
  }
  lines.close();
  // Ctrl-D stands behind the prompt; the shell's own begins a line.
  if (isTerminal) io.out('\n');
  await replay.adapter.close();
  return status;
}

async function answer(replay: Debugger, line: string): Promise<'done' | 'failed' | 'quit'> {
  if (line === '') return 'done';
  try {
    const { command, argument } = readCommand(line);
    await command.run(replay, argument);
    return 'done';
  } catch (error) {
    if (error instanceof Quit) return 'quit';
    if (!(error instanceof Refusal)) throw error;
    replay.io.err(`${error.message}\n`);
    return 'failed';
  }
}

function isRepeatable(line: string): boolean {
  try {
    return readCommand(line).command.repeats === true;
  } catch {
    // What is no command was answered already.
    return false;
  }
}

/** Words for Tab: commands, then what the command itself offers, which begin with what is typed. */
async function complete(replay: Debugger, line: string): Promise<[string[], string]> {
  const [, first = '', blank = '', rest = ''] = /^\s*(\S*)(\s*)(.*)$/s.exec(line) ?? [];
  const begun = blank === '' ? first : (/[^\s(,]*$/.exec(rest)?.[0] ?? '');
  const words =
    blank === ''
      ? commands.map(({ names: [name] }) => `${name} `)
      : ((await readCommand(first).command.complete?.(replay, rest)) ?? []);
  return [[...new Set(words)].filter((word) => word.startsWith(begun)).sort(), begun];
}
