/**
 * Breakpoints as the client has set them: data, independent of whether there is a program or a run to stop in. What
 * becomes of them in a recorded run is arm.ts's, and in programs that are attached the live session's.
 */

/** What any breakpoint can ask before it stops. */
export interface Asking {
  /** Given to the client; never used again for another breakpoint. */
  readonly id: number;
  /** C expression; stops where it is not zero. */
  readonly condition?: string;
  /** `5`, `>= 3`, `% 2`: see hit-condition.ts. */
  readonly hitCondition?: string;
  /** A client says nothing of breakpoints that are switched off; others may set this. */
  readonly enabled: boolean;
}

export interface LineBreakpoint extends Asking {
  readonly kind: 'line';
  /** Absolute path of the source. */
  readonly path: string;
  /** One-based, as is the column. */
  readonly line: number;
  readonly column?: number;
  /** Text with C expressions in braces: prints instead of stopping. */
  readonly logMessage?: string;
}

export interface FunctionBreakpoint extends Asking {
  readonly kind: 'function';
  /** Of the program, or of a helper or kfunc that it calls. */
  readonly name: string;
}

export interface InstructionBreakpoint extends Asking {
  readonly kind: 'instruction';
  /** Index of the instruction in the program. */
  readonly insn: number;
}

export type Access = 'read' | 'write' | 'readWrite';

export interface DataBreakpoint extends Asking {
  readonly kind: 'data';
  /** What `dataBreakpointInfo` called the place. */
  readonly dataId: string;
  readonly access: Access;
}

export interface ExceptionBreakpoint extends Asking {
  readonly kind: 'exception';
  /** One of exceptions.ts's filters. */
  readonly filter: string;
}

export type Breakpoint =
  LineBreakpoint | FunctionBreakpoint | InstructionBreakpoint | DataBreakpoint | ExceptionBreakpoint;

/** What became of a breakpoint in a program: where it stands, or why it does not. */
export interface Placement {
  verified: boolean;
  /** Why it is not verified, or what is special about it. */
  message?: string;
  /** Where it stands in the source, one-based; for one that is set elsewhere than it was asked for. */
  path?: string;
  line?: number;
  column?: number;
  /** Of an instruction. */
  insn?: number;
}

type New<B extends Breakpoint> = Omit<B, 'id' | 'kind' | 'enabled'>;

export class Breakpoints {
  private readonly lines = new Map<string, readonly LineBreakpoint[]>();
  private functions: readonly FunctionBreakpoint[] = [];
  private instructions: readonly InstructionBreakpoint[] = [];
  private data: readonly DataBreakpoint[] = [];
  private exceptions: readonly ExceptionBreakpoint[] = [];
  private nextId = 1;
  private readonly listeners = new Set<() => void>();

  /** Calls `listener` after each change; the function returned ends that. */
  onChange(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** All of them, those of lines first, in the order in which the client named them. */
  get all(): readonly Breakpoint[] {
    return [...this.inSources, ...this.functions, ...this.instructions, ...this.data, ...this.exceptions];
  }

  /** Those of lines, of all files. */
  get inSources(): readonly LineBreakpoint[] {
    return [...this.lines.values()].flat();
  }

  /** Replaces the breakpoints of one file, as each of the following replaces all of its kind. */
  setLines(path: string, wanted: readonly Omit<New<LineBreakpoint>, 'path'>[]): readonly LineBreakpoint[] {
    const fresh = wanted.map((one) => this.create<LineBreakpoint>('line', { ...one, path }));
    if (fresh.length > 0) this.lines.set(path, fresh);
    else this.lines.delete(path);
    this.changed();
    return fresh;
  }

  setFunctions(wanted: readonly New<FunctionBreakpoint>[]): readonly FunctionBreakpoint[] {
    this.functions = wanted.map((one) => this.create<FunctionBreakpoint>('function', one));
    this.changed();
    return this.functions;
  }

  setInstructions(wanted: readonly New<InstructionBreakpoint>[]): readonly InstructionBreakpoint[] {
    this.instructions = wanted.map((one) => this.create<InstructionBreakpoint>('instruction', one));
    this.changed();
    return this.instructions;
  }

  setData(wanted: readonly New<DataBreakpoint>[]): readonly DataBreakpoint[] {
    this.data = wanted.map((one) => this.create<DataBreakpoint>('data', one));
    this.changed();
    return this.data;
  }

  setExceptions(wanted: readonly New<ExceptionBreakpoint>[]): readonly ExceptionBreakpoint[] {
    this.exceptions = wanted.map((one) => this.create<ExceptionBreakpoint>('exception', one));
    this.changed();
    return this.exceptions;
  }

  private create<B extends Breakpoint>(kind: B['kind'], wanted: New<B>): B {
    return { ...wanted, kind, id: this.nextId++, enabled: true } as unknown as B;
  }

  private changed(): void {
    for (const listener of this.listeners) listener();
  }
}
