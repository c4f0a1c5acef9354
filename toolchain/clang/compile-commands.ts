/** A file's flags from the compilation database of its project (compile_commands.json). */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface CompileCommand {
  /** Flags without the compiler, the source, the output and dependency files; relative paths made absolute. */
  args: string[];
}

export interface Database {
  /** Path of the compile_commands.json. */
  file: string;
  command?: CompileCommand;
  problem?: string;
}

/** The nearest compile_commands.json upward of `source` (also in a `build` directory), and the entry for it. */
export function readDatabaseFor(source: string): Database | undefined {
  let directory = path.dirname(source);
  for (;;) {
    for (const place of ['compile_commands.json', 'build/compile_commands.json']) {
      const file = path.join(directory, place);
      if (existsSync(file)) return readDatabase(file, source);
    }
    const parent = path.dirname(directory);
    if (parent === directory) return undefined;
    directory = parent;
  }
}

function readDatabase(file: string, source: string): Database {
  let entries: unknown;
  try {
    entries = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    return { file, problem: `${file} cannot be read: ${(error as Error).message}. Default flags are used.` };
  }
  if (!Array.isArray(entries))
    return { file, problem: `${file} is not a list of commands. Default flags are used.` };
  for (const entry of entries as Record<string, unknown>[]) {
    const directory = typeof entry?.directory === 'string' ? entry.directory : path.dirname(file);
    if (typeof entry?.file !== 'string' || path.resolve(directory, entry.file) !== source) continue;
    const words = Array.isArray(entry.arguments)
      ? entry.arguments.filter((word): word is string => typeof word === 'string')
      : typeof entry.command === 'string'
        ? splitShellWords(entry.command)
        : [];
    return { file, command: { args: cleanArguments(words.slice(1), directory, source) } };
  }
  return { file };
}

const dropWithValue = new Set(['-o', '-MF', '-MT', '-MQ', '-x']);
const drop = /^(-c|-S|-E|-M|-MM|-MD|-MMD|-MP|-MG|-o.+|-MF.+|-MT.+|-save-temps.*|-fcolor-diagnostics|--)$/;
const pathFlags = new Set(['-I', '-isystem', '-iquote', '-idirafter', '-include', '-imacros', '-isysroot']);

function cleanArguments(words: string[], directory: string, source: string): string[] {
  const args: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (dropWithValue.has(word)) index++;
    else if (drop.test(word) || path.resolve(directory, word) === source) continue;
    else if (pathFlags.has(word)) args.push(word, path.resolve(directory, words[++index] ?? '.'));
    else if (/^-I./.test(word)) args.push(`-I${path.resolve(directory, word.slice(2))}`);
    else if (/^-(isystem|iquote|idirafter)./.test(word)) {
      const flag = /^-(isystem|iquote|idirafter)/.exec(word)![0];
      args.push(flag, path.resolve(directory, word.slice(flag.length)));
    } else args.push(word);
  }
  return args;
}

/** Splits a command as a POSIX shell would: quotes and backslashes, no expansions. */
export function splitShellWords(command: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (let at = 0; at < command.length; at++) {
    const c = command[at]!;
    if (/\s/.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (c === "'") {
      const close = command.indexOf("'", at + 1);
      const end = close < 0 ? command.length : close;
      word = (word ?? '') + command.slice(at + 1, end);
      at = end;
    } else if (c === '"') {
      word ??= '';
      for (at++; at < command.length && command[at] !== '"'; at++) {
        if (command[at] === '\\' && /["\\$`]/.test(command[at + 1] ?? '')) at++;
        word += command[at] ?? '';
      }
    } else if (c === '\\') {
      word = (word ?? '') + (command[++at] ?? '');
    } else {
      word = (word ?? '') + c;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}
