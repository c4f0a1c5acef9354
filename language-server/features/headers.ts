/** What the headers on a file's include path offer, read when it is first asked for and again when they change. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';

export interface HelperDocumentation {
  name: string;
  /** As declared: `static void *(* const bpf_map_lookup_elem)(void *map, const void *key)`. */
  signature: string;
  /** The comment above it, without comment marks. */
  text: string;
}

interface Cached<T> {
  stamp: string;
  value: T;
}
const cache = new Map<string, Cached<unknown>>();

/** Helpers by name, from the bpf_helper_defs.h on the include path; empty when there is none. */
export function helpers(args: readonly string[]): ReadonlyMap<string, HelperDocumentation> {
  const file = findHeader(args, ['bpf/bpf_helper_defs.h', 'bpf_helper_defs.h']);
  return file ? cached(`helpers ${file}`, file, parseHelpers) : new Map();
}

/** Names of `enum bpf_map_type`, from vmlinux.h or linux/bpf.h. */
export function mapTypes(args: readonly string[]): readonly string[] {
  const file = findHeader(args, ['vmlinux.h', 'linux/bpf.h']);
  return file ? cached(`maps ${file}`, file, (text) => enumerators(text, 'bpf_map_type')) : [];
}

/** Kernel functions that vmlinux.h declares for BPF programs, with their declarations. */
export function kfuncs(args: readonly string[]): ReadonlyMap<string, string> {
  const file = findHeader(args, ['vmlinux.h']);
  return file ? cached(`kfuncs ${file}`, file, parseKfuncs) : new Map();
}

function findHeader(args: readonly string[], names: string[]): string | undefined {
  const directories: string[] = [];
  const later: string[] = [];
  args.forEach((arg, index) => {
    if (arg === '-I' || arg === '-isystem' || arg === '-iquote') directories.push(args[index + 1] ?? '');
    else if (arg === '-idirafter') later.push(args[index + 1] ?? '');
    else if (arg.startsWith('-I')) directories.push(arg.slice(2));
  });
  for (const name of names) {
    for (const directory of [...directories, '/usr/local/include', '/usr/include', ...later]) {
      const file = path.join(directory, name);
      if (existsSync(file)) return file;
    }
  }
  return undefined;
}

function cached<T>(key: string, file: string, read: (text: string) => T): T {
  const { mtimeMs, size } = statSync(file);
  const stamp = `${mtimeMs} ${size}`;
  const known = cache.get(key);
  if (known?.stamp === stamp) return known.value as T;
  const value = read(readFileSync(file, 'utf8'));
  cache.set(key, { stamp, value });
  return value;
}

function parseHelpers(text: string): Map<string, HelperDocumentation> {
  const found = new Map<string, HelperDocumentation>();
  const declaration =
    /\/\*((?:[^*]|\*(?!\/))*)\*\/\s*static\s+([^;=]*?\(\s*\*\s*(?:const\s+)?(bpf_\w+)\s*\)[^;=]*?)\s*=/g;
  for (const [, comment, signature, name] of text.matchAll(declaration)) {
    const lines = comment!.split('\n').map((line) => line.replace(/^\s*\* ?/, ''));
    found.set(name!, {
      name: name!,
      signature: signature!.replace(/\s+/g, ' ').replace(/\(\s*\*\s*(?:const\s+)?(bpf_\w+)\s*\)/, '$1'),
      text: lines
        .filter((line, index) => !(index < 2 && line.trim() === name))
        .join('\n')
        .trim(),
    });
  }
  return found;
}

function parseKfuncs(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [line, name] of text.matchAll(/^extern [^\n;]*?\b(\w+)\([^\n;]*\)[^\n;]*__ksym;$/gm)) {
    found.set(name!, line!);
  }
  return found;
}

function enumerators(text: string, tag: string): string[] {
  const body = new RegExp(`enum ${tag} \\{([^}]*)\\}`).exec(text)?.[1] ?? '';
  const names = body.replace(/\/\*[\s\S]*?\*\//g, '').matchAll(/^\s*(BPF_MAP_TYPE_\w+)/gm);
  return [...names].map(([, name]) => name!).filter((name) => !/UNSPEC|DEPRECATED|__MAX/.test(name));
}
