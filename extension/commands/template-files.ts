/** The ready-made programs of `bpf-templates/`: which there are, and how one is copied. No user interface. */
import { copyFile, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';

export interface Template {
  /** Folder below `bpf-templates/`, e.g. `xdp/firewall`. */
  id: string;
  title: string;
  description: string;
  /** Kernel's name of the program type: `xdp`, `sched_cls`, `kprobe`. */
  programType: string;
  /** Oldest kernel it works on, e.g. `5.10`. */
  kernel?: string;
  /** Relative paths of what is copied; the first is the source. */
  files: string[];
  /** Absolute path of the template's own folder. */
  folder: string;
}

/** A template that cannot be used, and why. */
export interface BadTemplate {
  folder: string;
  reason: string;
}

/** Every `template.json` two levels below `root`, in the order of their ids. */
export async function findTemplates(root: string): Promise<{ templates: Template[]; bad: BadTemplate[] }> {
  const templates: Template[] = [];
  const bad: BadTemplate[] = [];
  for (const group of await folders(root)) {
    for (const name of await folders(path.join(root, group))) {
      const folder = path.join(root, group, name);
      const read = await readTemplate(folder, `${group}/${name}`);
      if (typeof read === 'string') bad.push({ folder: `${group}/${name}`, reason: read });
      else templates.push(read);
    }
  }
  return { templates, bad };
}

async function folders(parent: string): Promise<string[]> {
  const entries = await readdir(parent, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

async function readTemplate(folder: string, id: string): Promise<Template | string> {
  let text: string;
  try {
    text = await readFile(path.join(folder, 'template.json'), 'utf8');
  } catch {
    return 'it has no template.json';
  }
  try {
    const { title, description, programType, kernel, files } = JSON.parse(text) as Partial<Template>;
    if (!title || !description || !programType || !files?.length) {
      return 'its template.json lacks title, description, programType or files';
    }
    const outside = files.find((file) => path.isAbsolute(file) || file.split(/[\\/]/).includes('..'));
    if (outside !== undefined) return `its template.json names a file outside the template: ${outside}`;
    return { id, title, description, programType, kernel, files, folder };
  } catch (error) {
    return `its template.json is not JSON (${(error as Error).message})`;
  }
}

/** The first of `files` that exists below `destination`, or undefined. */
export async function firstExisting(files: string[], destination: string): Promise<string | undefined> {
  for (const file of files) {
    const found = await stat(path.join(destination, file)).catch(() => undefined);
    if (found) return file;
  }
  return undefined;
}

/** Copies files; refuses to overwrite. */
export async function copyTemplate(template: Template, files: string[], destination: string): Promise<void> {
  const exclusive = 1; // fs.constants.COPYFILE_EXCL
  for (const file of files) {
    const to = path.join(destination, file);
    await mkdir(path.dirname(to), { recursive: true });
    await copyFile(path.join(template.folder, file), to, exclusive);
  }
}

/**
 * Launch configurations of a template, with `${workspaceFolder}` made to mean the folder it was copied to:
 * `below` is that folder's path relative to the workspace folder, with slashes, or empty.
 */
export async function launchConfigurations(template: Template, below: string): Promise<unknown[]> {
  const text = await readFile(path.join(template.folder, '.vscode', 'launch.json'), 'utf8');
  const moved = below === '' ? text : text.replaceAll('${workspaceFolder}', `\${workspaceFolder}/${below}`);
  const { configurations } = JSON.parse(moved.replace(/^\s*\/\/.*$/gm, '')) as { configurations?: unknown[] };
  return configurations ?? [];
}
