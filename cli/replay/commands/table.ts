/** All commands of an interactive replay, and how what somebody types is understood. */
import { nearestNames } from '../../../toolchain/load-failure/nearest';
import { Refusal } from '../adapter';
import type { Debugger } from '../debugger';
import { asking } from './asking';
import { stopping } from './breakpoints';
import type { ReplayCommand } from './command';
import { looking } from './looking';
import { moving } from './moving';

/** Ends the conversation. */
export class Quit extends Error {}

const others: ReplayCommand[] = [
  {
    names: ['help', 'h', '?'],
    arguments: '[COMMAND]',
    summary: 'this list, or more about a command',
    complete: () => commands.map(({ names: [name] }) => name),
    run: help,
  },
  {
    names: ['quit', 'q', 'exit'],
    summary: 'leave; so does Ctrl-D',
    run() {
      throw new Quit();
    },
  },
];

const groups: [title: string, commands: ReplayCommand[]][] = [
  ['Going on and back', moving],
  ['Stopping', stopping],
  ['Looking', looking],
  ['Asking', asking],
  ['', others],
];

export const commands: readonly ReplayCommand[] = groups.flatMap(([, list]) => list);

/** `step 3`, `x/32 data`, `p/x key` → the command and what stands behind it. */
export function readCommand(line: string): { command: ReplayCommand; argument: string } {
  const [, word = '', argument = ''] = /^\s*([a-z][a-z-]*|\?)?\s*(.*?)\s*$/is.exec(line) ?? [];
  return { command: commandNamed(word === '' ? line.trim() : word), argument };
}

export function commandNamed(word: string): ReplayCommand {
  const exact = commands.find(({ names }) => names.includes(word));
  if (exact) return exact;
  const meant = commands.filter(({ names }) => names.some((name) => name.startsWith(word)));
  if (meant.length === 1) return meant[0]!;
  if (meant.length > 1) {
    const names = meant.map(({ names: [name] }) => name).join(', ');
    throw new Refusal(`${word} may be any of ${names}; write more of it.`);
  }
  const [near] = nearestNames(
    word,
    commands.flatMap(({ names }) => names),
    1,
  );
  throw new Refusal(
    `There is no command ${word}${near === undefined ? '; help lists them.' : `; did you mean ${near}?`}`,
  );
}

function help(replay: Debugger, argument: string): void {
  if (argument !== '') {
    const { names, arguments: given = '', summary, details } = commandNamed(argument);
    replay.print(`${names.join(', ')} ${given}`.trimEnd(), 'strong');
    replay.print(`  ${summary}`);
    if (details !== undefined) replay.print(`  ${details}`);
    return;
  }
  for (const [title, list] of groups) {
    replay.print(title, 'strong');
    for (const { names, summary } of list)
      replay.print(`  ${names.slice(0, 2).join(', ').padEnd(22)}  ${summary}`);
  }
  replay.print('');
  replay.print('An empty line repeats the last step. help COMMAND tells what stands behind a command.');
}
