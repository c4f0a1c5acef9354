/** Finds the clang to use. */
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { run } from './run';

/** The oldest clang whose BPF output (BTF with declaration tags, `-mcpu=v3`) the rest relies on. */
export const MINIMUM_CLANG = 14;
const NEWEST_NAME = 30;

export interface Clang {
  path: string;
  /** Major version, e.g. 19. */
  major: number;
  /** First line of `clang --version`. */
  version: string;
}

/** Why there is no usable clang, with what to do about it. */
export interface ClangProblem {
  code: 'noClang' | 'clangTooOld' | 'clangBroken';
  message: string;
  hint: string;
}

export type ClangSearch = { clang: Clang } | { problem: ClangProblem };

const INSTALL_HINT =
  'Install it with: sudo apt-get install clang (or set bpf.clang.path to a clang you have).';

const searches = new Map<string, Promise<ClangSearch>>();

/**
 * The clang named by the setting, else the newest among `clang` and `clang-14` … `clang-30` on PATH. The answer is
 * remembered for the same setting and PATH; {@link forgetClang} makes the next call look again.
 * @param setting `bpf.clang.path`; empty means search.
 */
export function findClang(setting: string, searchPath = process.env.PATH ?? ''): Promise<ClangSearch> {
  const key = `${setting}\0${searchPath}`;
  let search = searches.get(key);
  if (!search) {
    search = setting ? probeSetting(setting, searchPath) : searchNewest(searchPath);
    searches.set(key, search);
    // A missing clang may be installed at any moment: only a success is remembered for long.
    void search.then((result) => 'problem' in result && searches.delete(key));
  }
  return search;
}

export function forgetClang(): void {
  searches.clear();
}

async function probeSetting(setting: string, searchPath: string): Promise<ClangSearch> {
  const file = setting.includes('/') ? setting : executableOnPath(setting, searchPath);
  if (!file || !isExecutable(file)) {
    const message = `"${setting}", which the setting bpf.clang.path or --clang names, is no executable file.`;
    return {
      problem: { code: 'noClang', message, hint: 'Correct it, or leave it empty to search PATH.' },
    };
  }
  return judge(file, await probe(file));
}

async function searchNewest(searchPath: string): Promise<ClangSearch> {
  const names = ['clang'];
  for (let major = NEWEST_NAME; major >= MINIMUM_CLANG; major--) names.push(`clang-${major}`);
  const files = new Map<string, string>();
  for (const name of names) {
    const file = executableOnPath(name, searchPath);
    if (file) files.set(realpathSync(file), file);
  }
  let best: ClangSearch | undefined;
  for (const file of files.values()) {
    const result = judge(file, await probe(file));
    if (!best || rank(result) > rank(best)) best = result;
  }
  if (best) return best;
  const message = 'No clang was found on PATH: the file can be neither compiled nor verified.';
  return { problem: { code: 'noClang', message, hint: INSTALL_HINT } };
}

function rank(result: ClangSearch): number {
  return 'clang' in result ? result.clang.major : result.problem.code === 'clangTooOld' ? 0 : -1;
}

interface Probe {
  version: string;
  major: number | undefined;
  error?: string;
}

async function probe(file: string): Promise<Probe> {
  const result = await run(file, ['--version'], { timeoutMilliseconds: 10_000, maxOutputBytes: 1 << 20 });
  if (result.ended !== 'exit' || result.status !== 0) {
    const error = result.ended === 'failed' ? result.message : `"${file} --version" did not succeed`;
    return { version: '', major: undefined, error };
  }
  const version = result.stdout.toString('utf8').split('\n')[0]!.trim();
  const number = /version (\d+)/.exec(version)?.[1];
  return { version, major: number === undefined ? undefined : Number(number) };
}

function judge(file: string, { version, major, error }: Probe): ClangSearch {
  if (major === undefined) {
    const message = `${file} does not work as a clang${error ? `: ${error}` : ''}.`;
    return { problem: { code: 'clangBroken', message, hint: INSTALL_HINT } };
  }
  if (major < MINIMUM_CLANG) {
    const message = `${file} is version ${major}; BPF programs need clang ${MINIMUM_CLANG} or newer.`;
    return { problem: { code: 'clangTooOld', message, hint: INSTALL_HINT } };
  }
  return { clang: { path: file, major, version } };
}

function executableOnPath(name: string, searchPath: string): string | undefined {
  return searchPath
    .split(path.delimiter)
    .filter((directory) => directory !== '')
    .map((directory) => path.join(directory, name))
    .find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
