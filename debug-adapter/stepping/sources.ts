/** Source files of a recorded program: those of this machine, or, where it has not these texts, the recorded ones. */
import type { DebugProtocol } from '@vscode/debugprotocol';

interface RecordedSource {
  path: string;
  text: string;
}

export class RecordedSources {
  /**
   * @param recorded texts as they were when the run was recorded
   * @param isForeign whether this machine has another text in that place, or none
   */
  constructor(
    private readonly recorded: readonly RecordedSource[],
    private readonly isForeign: (path: string) => boolean,
  ) {}

  /** What a client needs to show a file. */
  of(path: string): DebugProtocol.Source {
    const name = path.split('/').at(-1)!;
    const index = this.recorded.findIndex((one) => one.path === path);
    if (index < 0 || !this.isForeign(path)) return { name, path };
    return { name, path, sourceReference: index + 1, origin: 'from the recording' };
  }

  get all(): DebugProtocol.Source[] {
    return this.recorded.map(({ path }) => this.of(path));
  }

  /** The text behind a reference or a path; undefined when nothing of the kind was recorded. */
  text({
    path,
    sourceReference,
  }: {
    path?: string | undefined;
    sourceReference?: number | undefined;
  }): string | undefined {
    const byReference = sourceReference ? this.recorded[sourceReference - 1] : undefined;
    return (byReference ?? this.recorded.find((one) => one.path === path))?.text;
  }
}
