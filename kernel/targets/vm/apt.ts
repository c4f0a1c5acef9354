/** A package archive asked with apt's own tools, but in directories of our own: nothing of the system changes. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** An archive that the system is configured to use. */
export interface AptSource {
  uri: string;
  suites: string[];
  components: string[];
  /** Keyring file or fingerprint, as the system has it; absent: apt's own trusted keys. */
  signedBy?: string;
}

/** The system's sources, in one-line (`*.list`) and deb822 (`*.sources`) form. */
export function systemSources(directory = '/etc/apt'): AptSource[] {
  const parts = path.join(directory, 'sources.list.d');
  const files = [
    path.join(directory, 'sources.list'),
    ...(existsSync(parts) ? readdirSync(parts).map((name) => path.join(parts, name)) : []),
  ].filter((file) => existsSync(file));
  return files.flatMap((file) => {
    const text = readFileSync(file, 'utf8');
    if (file.endsWith('.sources')) return parseDeb822(text);
    return file.endsWith('.list') ? parseOneLine(text) : [];
  });
}

/** `deb [options] URI SUITE COMPONENT…`, see sources.list(5). */
export function parseOneLine(text: string): AptSource[] {
  return text.split('\n').flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)/.exec(line);
    if (!match) return [];
    const signedBy = /signed-by=(\S+)/i.exec(match[1] ?? '')?.[1];
    const source = { uri: match[2]!, suites: [match[3]!], components: match[4]!.trim().split(/\s+/) };
    return [signedBy ? { ...source, signedBy } : source];
  });
}

/** Paragraphs of `Field: value`; an embedded key (a Signed-By of several lines) is left to apt's own trusted keys. */
export function parseDeb822(text: string): AptSource[] {
  return text.split(/\n\s*\n/).flatMap((paragraph) => {
    const fields = new Map<string, string>();
    for (const line of paragraph.split('\n')) {
      const match = /^([\w-]+):\s*(.*)$/.exec(line);
      if (match) fields.set(match[1]!.toLowerCase(), match[2]!.trim());
    }
    const words = (field: string): string[] => (fields.get(field) ?? '').split(/\s+/).filter(Boolean);
    if (!words('types').includes('deb') || fields.get('enabled')?.toLowerCase() === 'no') return [];
    const signedBy = fields.get('signed-by') || undefined;
    return words('uris').map((uri) => {
      const source = { uri, suites: words('suites'), components: words('components') };
      return signedBy ? { ...source, signedBy } : source;
    });
  });
}

export interface Apt {
  /** Brings the lists of the given suites here; asking again for the same ones costs nothing. */
  useSuites(sources: readonly AptSource[]): Promise<void>;
  /** Package names that match an extended regular expression. */
  search(pattern: string): Promise<string[]>;
  /** Names a package depends on (its best version's `Depends`, alternatives and versions left out). */
  dependencies(packageName: string): Promise<string[]>;
  /** Downloads packages into a directory, signatures checked, and resolves with the files. */
  download(packageNames: readonly string[], into: string): Promise<string[]>;
}

/** Throws what apt said when a command fails. */
export function privateApt(directory: string, log: (line: string) => void, signal?: AbortSignal): Apt {
  const lists = path.join(directory, 'lists');
  const archives = path.join(directory, 'archives');
  const sourceList = path.join(directory, 'sources.list');
  const configuration = path.join(directory, 'apt.conf');
  for (const needed of [path.join(lists, 'partial'), path.join(archives, 'partial')]) {
    mkdirSync(needed, { recursive: true });
  }
  // The system's configuration stays in force (proxies, certificates) but for its hooks, which may need root.
  writeFileSync(
    configuration,
    [
      ...['APT::Update::Pre-Invoke', 'APT::Update::Post-Invoke', 'APT::Update::Post-Invoke-Success'],
      ...['DPkg::Post-Invoke', 'DPkg::Pre-Invoke', 'Acquire::IndexTargets::deb::Contents-deb'],
    ]
      .map((name) => `#clear ${name};\n`)
      .join(''),
  );
  const options = [
    ...['-c', configuration, '-q'],
    ...[
      `Dir::Etc::SourceList=${sourceList}`,
      'Dir::Etc::SourceParts=-',
      'Dir::Etc::Preferences=-',
      'Dir::Etc::PreferencesParts=-',
      `Dir::State::Lists=${lists}`,
      `Dir::Cache=${directory}`,
      `Dir::Cache::Archives=${archives}`,
      'Acquire::Languages=none',
      // Running as root, apt would fetch as a user who may not enter our directory, and warn about it.
      'APT::Sandbox::User=root',
      'Debug::NoLocking=true',
    ].flatMap((option) => ['-o', option]),
  ];
  const run = (command: string, args: string[], cwd = directory): Promise<string> =>
    runCommand(command, [...options, ...args], cwd, signal);

  return {
    async useSuites(sources) {
      const lines = sources.map(({ uri, suites, signedBy }) => {
        const trust = signedBy ? `[signed-by=${signedBy}] ` : '';
        return `deb ${trust}${uri} ${suites[0]} main`;
      });
      writeFileSync(sourceList, `${lines.join('\n')}\n`);
      log(`Reading the package lists of ${sources.map(({ suites }) => suites[0]).join(', ')}.`);
      await run('apt-get', ['update']);
    },
    async search(pattern) {
      const output = await run('apt-cache', ['search', '--names-only', pattern]);
      return output.split('\n').flatMap((line) => /^\S+/.exec(line)?.[0] ?? []);
    },
    async dependencies(packageName) {
      const output = await run('apt-cache', ['show', '--no-all-versions', packageName]);
      const field = /^Depends: (.*)$/m.exec(output)?.[1] ?? '';
      return field.split(',').flatMap((entry) => /^\s*([^\s|(:]+)/.exec(entry)?.[1] ?? []);
    },
    async download(packageNames, into) {
      mkdirSync(into, { recursive: true });
      log(`Downloading ${packageNames.join(', ')}.`);
      await run('apt-get', ['download', ...packageNames], into);
      return readdirSync(into)
        .filter((name) => name.endsWith('.deb'))
        .map((name) => path.join(into, name));
    },
  };
}

/** Output of a command; rejects with what it wrote to stderr. */
export function runCommand(
  command: string,
  args: string[],
  cwd: string,
  signal?: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, LC_ALL: 'C' };
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(signal ? { signal } : {}),
    });
    let output = '';
    let complaint = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
    child.on('error', reject);
    child.on('close', (status) => {
      if (status === 0) resolve(output);
      else reject(new Error(`${command} ${args.at(-1) ?? ''}: ${complaint.trim() || `status ${status}`}`));
    });
  });
}
