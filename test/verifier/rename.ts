/** Gives every variable, function, parameter and map of a C source another name of the same length. */
import { readDwarf } from '../../toolchain/dwarf/dwarf';
import type { Scope } from '../../toolchain/dwarf/dwarf';
import { readBpfObject } from '../../toolchain/elf/object';
import { compileFixture } from './compile';
import type { TestKernel } from './kernel';

export interface Renamed {
  text: string;
  /** Old name → new name. */
  names: Map<string, string>;
}

/** What a source declares, by the debug information of its object. */
export async function declaredNames(kernel: TestKernel, file: string): Promise<Set<string>> {
  const read = readBpfObject((await compileFixture(file, kernel.compilerFlags)).object);
  if (!read.ok) throw new Error(read.problem.message);
  const names = new Set<string>();
  const visit = (scope: Scope) => {
    if (scope.declared.file === file && scope.name) names.add(scope.name);
    for (const variable of scope.variables)
      if (variable.file === file && variable.name) names.add(variable.name);
    scope.scopes.forEach(visit);
  };
  for (const one of readDwarf(read.value.elf)?.functions ?? []) visit(one);
  for (const variable of read.value.btf?.ofKind('var') ?? []) names.add(variable.name);
  // What the kernel or the kconfig gives keeps its name.
  for (const symbol of read.value.elf.symbols) if (symbol.section === 0) names.delete(symbol.name);
  return names;
}

const TOKEN =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|#\s*include[^\n]*|[A-Za-z_]\w*|\s+|->|[^\s]/g;

/** Words of strings, comments, includes, members and the bodies of structs stay. */
export function rename(text: string, declared: ReadonlySet<string>): Renamed {
  const tokens = text.match(TOKEN) ?? [];
  const taken = new Set(tokens);
  const names = new Map<string, string>();
  for (const name of declared) names.set(name, freshName(name, taken));
  let previous = '';
  let structDepth = 0;
  let awaitsBody = false;
  const renamed = tokens.map((token) => {
    if (/^\s|^\/[/*]/.test(token)) return token;
    if (token === 'struct' || token === 'union' || token === 'enum') awaitsBody = true;
    else if (token === '{') {
      if (structDepth > 0 || awaitsBody) structDepth++;
      awaitsBody = false;
    } else if (token === '}' && structDepth > 0) structDepth--;
    else if (!/^\w/.test(token)) awaitsBody = false;
    const isMember = previous === '.' || previous === '->';
    const isTag = previous === 'struct' || previous === 'union' || previous === 'enum';
    previous = token;
    return structDepth > 0 || isMember || isTag ? token : (names.get(token) ?? token);
  });
  return { text: renamed.join(''), names };
}

/** Letters turned by as many places as it takes to meet no word of the file and none of C. */
function freshName(name: string, taken: Set<string>): string {
  for (let turn = 1; turn < 26; turn++) {
    const turned = name.replaceAll(/[a-zA-Z]/g, (letter) => {
      const base = letter < 'a' ? 65 : 97;
      return String.fromCharCode(base + ((letter.charCodeAt(0) - base + turn) % 26));
    });
    if (!taken.has(turned) && !/^(if|do|int|for|asm)$/.test(turned)) {
      taken.add(turned);
      return turned;
    }
  }
  throw new Error(`every turn of ${name} is taken`);
}

/**
 * A message of the original with the new names where the renamed program's message has them. `program` is a word of
 * the language as well as a name, so a word alone does not tell whether it is to be renamed.
 */
export function renameWords(message: string, like: string, names: ReadonlyMap<string, string>): string {
  const words = like.split(/\b/);
  return message
    .split(/\b/)
    .map((word, index) => (names.get(word) === words[index] ? (words[index] as string) : word))
    .join('');
}
