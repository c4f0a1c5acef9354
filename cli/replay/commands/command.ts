/** What a command of an interactive replay is. */
import { Refusal } from '../adapter';
import type { Debugger } from '../debugger';

export interface ReplayCommand {
  /** The name to be listed by, then others. The beginning of a name is enough where it is clear. */
  names: [string, ...string[]];
  /** Behind the name: `[COUNT]`. */
  arguments?: string;
  /** One line. */
  summary: string;
  /** More lines, for `help NAME`. */
  details?: string;
  /** An empty line does it again, as in gdb. */
  repeats?: boolean;
  /** Words that may stand where the last one is being typed. */
  complete?(replay: Debugger, argument: string): Promise<string[]> | string[];
  run(replay: Debugger, argument: string): Promise<void> | void;
}

/** An optional count of at least 1. */
export function countOf(argument: string, name: string): number {
  if (argument === '') return 1;
  if (/^[1-9]\d{0,8}$/.test(argument)) return Number(argument);
  throw new Refusal(`${name} takes a number of at least 1, not ${argument}.`);
}

export function needed(argument: string, what: string): string {
  if (argument === '') throw new Refusal(what);
  return argument;
}

export function numbersOf(argument: string): number[] {
  const words = argument.split(/[\s,]+/).filter(Boolean);
  const wrong = words.find((word) => !/^\d{1,9}$/.test(word));
  if (wrong !== undefined)
    throw new Refusal(`${wrong} is not the number of a breakpoint; info breakpoints lists them.`);
  return words.map(Number);
}
