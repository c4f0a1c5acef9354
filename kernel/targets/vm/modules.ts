import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { decompress } from './decompress';

/** A module as the guest's first process loads it. */
export interface KernelModule {
  name: string;
  /** File name for the initramfs: `9p.ko`, or `9p.ko.xz` when only the guest's kernel can unpack it. */
  fileName: string;
  data: Buffer;
}

/** Which modules a kernel has, read from `modules.order` and `modules.builtin` of its modules' directory. */
export interface ModuleIndex {
  builtin: ReadonlySet<string>;
  /** Name → file, relative to the directory; the file may in truth end in .xz, .zst or .gz. */
  loadable: ReadonlyMap<string, string>;
}

/**
 * `modules.dep` would save the walk through dependencies, but packages do not ship it: depmod writes it when a kernel
 * is installed, and an unpacked package was not.
 */
export function readModuleIndex(directory: string): ModuleIndex {
  const names = (file: string): string[] => {
    const full = path.join(directory, file);
    return existsSync(full) ? readFileSync(full, 'utf8').split('\n').filter(Boolean) : [];
  };
  return {
    builtin: new Set(names('modules.builtin').map(moduleName)),
    loadable: new Map(names('modules.order').map((file) => [moduleName(file), file])),
  };
}

/** `kernel/fs/9p/9p.ko.xz` → `9p`. The kernel takes `-` and `_` in a module's name for the same. */
function moduleName(file: string): string {
  return path
    .basename(file)
    .replace(/\.k?o(\.\w+)?$/, '')
    .replaceAll('-', '_');
}

/** Those of `names` that a kernel neither has built in nor as a file. */
export function missingModules(directory: string, names: readonly string[]): string[] {
  const index = readModuleIndex(directory);
  return names.filter((name) => {
    if (index.builtin.has(name)) return false;
    const file = index.loadable.get(name);
    return file === undefined || findFile(directory, file) === undefined;
  });
}

/** The named modules and all they depend on, unpacked, each after those it needs; built-in ones are left out. */
export async function collectModules(
  directory: string,
  names: readonly string[],
): Promise<KernelModule[] | { problem: string }> {
  const index = readModuleIndex(directory);
  const done = new Set<string>();
  const collected: KernelModule[] = [];

  const visit = async (name: string): Promise<string | undefined> => {
    if (done.has(name) || index.builtin.has(name)) return undefined;
    done.add(name);
    const relative = index.loadable.get(name);
    const file = relative === undefined ? undefined : findFile(directory, relative);
    if (file === undefined) return `module ${name} is neither built in nor in ${directory}`;
    const raw = await readFile(file);
    const data = await decompress(raw);
    if ('problem' in data) return `module ${file}: ${data.problem}`;
    for (const dependency of dependencies(data)) {
      const problem = await visit(dependency);
      if (problem !== undefined) return problem;
    }
    collected.push({ name, fileName: `${name}.ko`, data });
    return undefined;
  };
  for (const name of names) {
    const problem = await visit(name);
    if (problem !== undefined) return { problem };
  }
  return collected;
}

function findFile(directory: string, relative: string): string | undefined {
  return ['', '.xz', '.zst', '.gz']
    .map((suffix) => path.join(directory, relative.replace(/\.o$/, '.ko') + suffix))
    .find((file) => existsSync(file));
}

/** What a module's own `.modinfo` section says it needs: the NUL-terminated entry `depends=a,b`. */
function dependencies(module: Buffer): string[] {
  const at = module.indexOf('\0depends=');
  if (at < 0) return [];
  const text = module.toString('latin1', at + '\0depends='.length, module.indexOf(0, at + 1));
  return text
    .split(',')
    .filter(Boolean)
    .map((name) => name.replaceAll('-', '_'));
}
