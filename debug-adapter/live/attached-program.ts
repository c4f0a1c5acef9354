/**
 * A program that is attached. While nobody watches it runs as it is; with breakpoints or the flight recorder a variant
 * runs in its place, which takes the user's maps as they are.
 */
import type { LoadedProgram } from '../../kernel/protocol';
import type { BpfObject } from '../../toolchain/elf/object';
import { readDwarf } from '../../toolchain/dwarf/dwarf';
import { DwarfTypes } from '../../toolchain/dwarf/types-as-btf';
import { reattach } from '../runner/attachments';
import type { Attachment } from '../runner/attachments';
import type { LoadedObject } from '../runner/load';
import { SourceMap } from '../recorder/source-map';
import { loadInstrumentation } from './instrumentation';
import type { Instrumentation, Watched, WatchedProgram } from './instrumentation';
import { codeOf } from './snapshot-moment';
import type { ProgramFacts } from './snapshot-moment';
import { StopFinder } from './stops';

/** Types whose programs are attached by something else than themselves, or in place of another program. */
const NOT_EXCHANGED: Partial<Record<string, string>> = {
  struct_ops: 'the functions of a struct_ops are registered as a whole',
  ext: 'it replaces a function of another program',
};

type DebugInfo = Pick<ProgramFacts, 'dwarf' | 'types'>;
const debugInfo = new WeakMap<BpfObject, DebugInfo>();

/** Read once for all programs of an object. */
function debugInfoOf(object: BpfObject): DebugInfo {
  let info = debugInfo.get(object);
  if (!info) {
    const dwarf = readDwarf(object.elf);
    info = { dwarf, types: dwarf && new DwarfTypes(dwarf, object.elf.littleEndian) };
    debugInfo.set(object, info);
  }
  return info;
}

export class AttachedProgram {
  private present: Instrumentation | undefined;
  private readonly finder: StopFinder;

  private constructor(
    private readonly loaded: LoadedObject,
    readonly watched: WatchedProgram,
    readonly facts: ProgramFacts,
    /** At one hook or several; their links change when they have to be attached anew. */
    private readonly attachments: Set<Attachment>,
    private readonly lost: (attachment: Attachment, reason: string) => void,
  ) {
    this.finder = new StopFinder(watched.prepared.instructions, facts.source);
  }

  /**
   * @param among how many programs are attached together.
   * @param lost is told of a hook at which nothing is attached any more, since the kernel took neither a variant nor
   * the program itself.
   */
  static async open(
    loaded: LoadedObject,
    program: LoadedProgram,
    attachments: readonly Attachment[],
    { among = 1, lost = () => {} }: { among?: number; lost?: AttachedProgram['lost'] } = {},
  ): Promise<AttachedProgram> {
    const { kernel, file } = loaded;
    const { object } = file;
    const prepared = await kernel.request('programPrepared', { program: program.handle });
    const { dwarf, types } = debugInfoOf(object);
    const facts: ProgramFacts = {
      programType: program.type,
      btf: object.btf,
      source: new SourceMap(prepared, program.name, object, dwarf, file.path),
      dwarf,
      types,
      code: codeOf(prepared, program.verdict.stats?.stackDepth ?? []),
    };
    const watched = { kernel, program, prepared, license: object.license ?? '', btf: object.btf, among };
    return new AttachedProgram(loaded, watched, facts, new Set(attachments), lost);
  }

  get name(): string {
    return this.watched.program.name;
  }

  get stops(): StopFinder {
    return this.finder;
  }

  get instrumentation(): Instrumentation | undefined {
    return this.present;
  }

  get isAttached(): boolean {
    return this.attachments.size > 0;
  }

  /** A hook is gone. What was seen there stays to be looked at. */
  forget(attachment: Attachment): void {
    this.attachments.delete(attachment);
  }

  async unload(): Promise<void> {
    const { present } = this;
    this.present = undefined;
    await present?.close();
  }

  /**
   * Watches this from now on instead of what was watched before, and nothing if it is empty. What the rings held is
   * gone then. Returns in words what stands in the way, and what the change did: a moment without a program. Either all
   * hooks run what is watched, or all run the program itself.
   * @param readRest reads the rings that are about to go, which nobody writes to any more.
   */
  async watch(
    wanted: Watched,
    readRest: () => Promise<void> = () => Promise.resolve(),
  ): Promise<{ reason?: string; notes: string[] }> {
    const isWanted = wanted.stops.length > 0 || wanted.flight !== undefined;
    const { program } = this.watched;
    const obstacle = NOT_EXCHANGED[program.type];
    if (isWanted && obstacle !== undefined) return { reason: obstacle, notes: [] };
    const next = isWanted ? await loadInstrumentation(this.watched, wanted) : undefined;
    const failed = next && 'reason' in next ? next.reason : undefined;
    const fresh = next && !('reason' in next) ? next : undefined;
    const before = this.present;
    const told = (reason: string | undefined, notes: string[]) =>
      reason === undefined ? { notes } : { reason, notes };
    if (!before && !fresh) return told(failed, []);
    const notes = [...(fresh?.notes ?? [])];
    let refused: string | undefined;
    let present: Instrumentation | undefined;
    try {
      if (fresh) refused = await this.exchange(fresh.program, notes);
      if (!fresh || refused !== undefined) await this.exchange(program.handle, notes);
      else present = fresh;
      await readRest();
    } finally {
      this.present = present;
      await before?.close();
      if (fresh && !present) await fresh.close();
    }
    return told(failed ?? refused, notes);
  }

  /** Lets all hooks run it; ends with the first that refuses, whose reason it returns. */
  private async exchange(wanted: number, notes: string[]): Promise<string | undefined> {
    for (const attachment of this.attachments) {
      const { description } = attachment;
      const became = await reattach(this.loaded, attachment, wanted);
      if (became.outcome === 'done') notes.push(...became.notes);
      else if (became.outcome === 'refused') return `${description} does not take it: ${became.reason}`;
      else {
        this.forget(attachment);
        this.lost(attachment, became.reason);
      }
    }
    return undefined;
  }
}
