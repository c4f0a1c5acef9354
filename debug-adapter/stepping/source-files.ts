/** Source files as an editor is to show them: from its own disk, or out of a recording that was made elsewhere. */
import { readFile } from 'node:fs/promises';
import type { DebugProtocol } from '@vscode/debugprotocol';
import type { Recording } from '../recorder/recording';

export class SourceFiles {
  /** @param texts of files that this machine does not have, or has otherwise; the first one has reference 1. */
  private constructor(private readonly texts: Recording['sources']) {}

  /** All files are on this machine's disk. */
  static readonly onDisk = new SourceFiles([]);

  /** Files that are here as they were when the run was recorded are shown from here, and can be edited. */
  static async of(sources: Recording['sources']): Promise<SourceFiles> {
    const differing = await Promise.all(
      sources.map(async (source) => {
        // Not there, or not readable: either way the recording's text is what there is.
        const here = await readFile(source.path, 'utf8').catch(() => undefined);
        return here === source.text ? [] : [source];
      }),
    );
    return new SourceFiles(differing.flat());
  }

  source(path: string): DebugProtocol.Source {
    const name = path.split(/[\\/]/).at(-1)!;
    const index = this.texts.findIndex((source) => source.path === path);
    return index < 0
      ? { name, path }
      : { name, path, sourceReference: index + 1, origin: 'from the recording' };
  }

  /** The text behind a `sourceReference`. */
  text(reference: number): string | undefined {
    return this.texts[reference - 1]?.text;
  }
}
