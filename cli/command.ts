/** What a subcommand is made of, and how its command line is read. */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import type { ExitStatus, Io } from './io';
import { nearestNames } from '../toolchain/load-failure/nearest';
import { fail, succeed, type Outcome, type Problem } from '../toolchain/problem';

export type Options = NonNullable<ParseArgsConfig['options']>;

/** Values of a command line: flags are booleans, options strings, repeatable options lists of strings. */
export interface Arguments {
  values: Record<string, string | boolean | (string | boolean)[] | undefined>;
  positionals: string[];
}

export interface Command {
  /** What `--help` prints. The first line is the synopsis. */
  help: string;
  /** Options beyond `--help` and `--json`, which every subcommand has. */
  options: Options;
  run(args: Arguments, io: Io): Promise<ExitStatus>;
}

const common: Options = {
  help: { type: 'boolean', short: 'h', default: false },
  json: { type: 'boolean', default: false },
};

/** `--target` of every subcommand that meets a kernel. */
export const targetOption: Options = { target: { type: 'string', short: 't' } };
/** How a source becomes an object; for every subcommand that takes a FILE. */
export const compileOptions: Options = {
  clang: { type: 'string' },
  'clang-args': { type: 'string' },
};

export function readArguments(name: string, command: Command, argv: string[]): Outcome<Arguments> {
  const options = { ...common, ...command.options };
  try {
    const { values, positionals } = parseArgs({
      args: joinValues(argv, options),
      options,
      allowPositionals: true,
      strict: true,
    });
    return succeed({ values: values as Arguments['values'], positionals });
  } catch (error) {
    // What follows the first sentence explains parseArgs, not this command.
    const [first = ''] = (error as Error).message.split(/\.? (?:To specify|Did you)|\n|\.$/);
    const unknown = /^Unknown option '--([\w-]+)'/.exec(first)?.[1];
    const [meant] = unknown === undefined ? [] : nearestNames(unknown, Object.keys(options), 1);
    return usage(name, meant === undefined ? first : `${first}; did you mean --${meant}?`);
  }
}

/** `--clang-args "-O2 …"` as `--clang-args=-O2 …`: parseArgs refuses values that begin with a dash otherwise. */
function joinValues(argv: string[], options: Options): string[] {
  const joined: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at]!;
    if (argument === '--') return [...joined, ...argv.slice(at)];
    const takesValue = argument.startsWith('--') && options[argument.slice(2)]?.type === 'string';
    if (takesValue && at + 1 < argv.length) joined.push(`${argument}=${argv[++at]!}`);
    else joined.push(argument);
  }
  return joined;
}

/** A command line that makes no sense, as a problem whose hint is where to read on. */
export function usage(name: string, message: string): { ok: false; problem: Problem } {
  return fail('cli/usage', message.endsWith('?') ? message : `${message}.`, `bpf-studio ${name} --help`);
}

/** Tells the user and ends the subcommand as one that could not run. */
export function refuse(io: Io, { problem }: { problem: Problem }): ExitStatus {
  io.problem(problem);
  return 2;
}

export function text(args: Arguments, name: string): string | undefined {
  const value = args.values[name];
  return typeof value === 'string' ? value : undefined;
}

export function texts(args: Arguments, name: string): string[] {
  const value = args.values[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

export function flag(args: Arguments, name: string): boolean {
  return args.values[name] === true;
}

/**
 * Splits `--clang-args` as a shell would: blanks separate, quotes and backslashes protect. Nothing is expanded.
 */
export function splitWords(line: string): Outcome<string[]> {
  const words: string[] = [];
  let word = '';
  let open = false;
  let quote = '';
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!;
    if (quote !== '') {
      if (character === quote) quote = '';
      else if (character === '\\' && quote === '"' && /["\\$`]/.test(line[at + 1] ?? '')) word += line[++at];
      else word += character;
    } else if (character === '"' || character === "'") {
      quote = character;
      open = true;
    } else if (character === '\\' && at + 1 < line.length) {
      word += line[++at];
      open = true;
    } else if (/\s/.test(character)) {
      if (open) words.push(word);
      word = '';
      open = false;
    } else {
      word += character;
      open = true;
    }
  }
  if (quote !== '')
    return fail('cli/quote', `A ${quote} in --clang-args is not closed.`, 'Close it: --clang-args "-DX=1"');
  if (open) words.push(word);
  return succeed(words);
}
