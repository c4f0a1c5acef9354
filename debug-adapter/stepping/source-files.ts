/** Source files as an editor is to show them: from its own disk, or out of a recording that was made elsewhere. */
import { readFile } from 'node:fs/promises';
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Recording } from '../recorder/recording';

export class SourceFiles {
  /**
   * @param recorded files as they were when the run was recorded; the first one has reference 1.
   * @param foreign of them, those that this machine does not have, or has otherwise.
   */
  private constructor(
    private readonly recorded: Recording['sources'],
    private readonly foreign: ReadonlySet<string>,
  ) {}

  /** The files of a run that was recorded here and now. */
  static onDisk(recorded: Recording['sources']): SourceFiles {
    return new SourceFiles(recorded, new Set());
  }

  /** Files that are here as they were when the run was recorded are shown from here, and can be edited. */
  static async of(recorded: Recording['sources']): Promise<SourceFiles> {
    const foreign = await Promise.all(
      recorded.map(async ({ path, text }) => {
        // Not there, or not readable: either way the recording's text is what there is.
        const here = await readFile(path, 'utf8').catch(() => undefined);
        return here === text ? [] : [path];
      }),
    );
    return new SourceFiles(recorded, new Set(foreign.flat()));
  }

  source(path: string): DebugProtocol.Source {
    const name = path.split(/[\\/]/).at(-1)!;
    if (!this.foreign.has(path)) return { name, path };
    const sourceReference = this.recorded.findIndex((source) => source.path === path) + 1;
    return { name, path, sourceReference, origin: 'from the recording' };
  }

  get all(): DebugProtocol.Source[] {
    return this.recorded.map(({ path }) => this.source(path));
  }

  /** The text behind a reference, or else a path; undefined when nothing of the kind was recorded. */
  text({ path, sourceReference = 0 }: Partial<DebugProtocol.Source>): string | undefined {
    return (this.recorded[sourceReference - 1] ?? this.recorded.find((one) => one.path === path))?.text;
  }
}
