/** Reads docs/verifier: one page for each id of the catalogue, with a program that is rejected and one that is not. */
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { repository } from './compile';

export interface PageProgram {
  /** Name of the section it stands in. */
  section: 'Rejected' | 'Accepted';
  code: string;
  since?: [number, number];
  until?: [number, number];
  /** Why it cannot be run by a test, when it cannot. */
  notRun?: string;
}

export interface Page {
  /** From the file's name: `null-deref.md` is the page of `bpf/null-deref`. */
  id: string;
  /** From the heading. */
  heading: string;
  sections: string[];
  programs: PageProgram[];
}

export const pagesDirectory = path.join(repository, 'docs/verifier');

export async function readPages(): Promise<Page[]> {
  const names = (await readdir(pagesDirectory)).filter(
    (name) => name.endsWith('.md') && name !== 'README.md',
  );
  return Promise.all(
    names
      .sort()
      .map(async (name) =>
        readPage(`bpf/${name.slice(0, -3)}`, await readFile(path.join(pagesDirectory, name), 'utf8')),
      ),
  );
}

/**
 * Sections, and the C programs in them. A comment before a program says where it is run:
 * `<!-- since 6.9 -->`, `<!-- until 6.2 -->`, `<!-- not run: REASON -->`.
 */
export function readPage(id: string, text: string): Page {
  const page: Page = { id, heading: /^# (.*)$/m.exec(text)?.[1] ?? '', sections: [], programs: [] };
  for (const part of text.split(/^## /m).slice(1)) {
    const section = part.slice(0, part.indexOf('\n')).trim();
    page.sections.push(section);
    if (section !== 'Rejected' && section !== 'Accepted') continue;
    for (const match of part.matchAll(/((?:<!--.*-->\n+)*)```c\n([^]*?)```/g)) {
      const [, notes = '', code = ''] = match;
      const program: PageProgram = { section, code };
      const since = /<!-- since (\d+)\.(\d+) -->/.exec(notes);
      const until = /<!-- until (\d+)\.(\d+) -->/.exec(notes);
      const notRun = /<!-- not run: (.*) -->/.exec(notes)?.[1];
      if (since) program.since = [Number(since[1]), Number(since[2])];
      if (until) program.until = [Number(until[1]), Number(until[2])];
      if (notRun) program.notRun = notRun;
      page.programs.push(program);
    }
  }
  return page;
}
