/** Which source lines and branches a recorded run went through, counted along the whole run. */
import { createHash } from 'node:crypto';
import { isExit, isGoto, isJump } from '../../toolchain/insn/effects';
import type { BranchCoverage, BranchSide, FileCoverage } from '../protocol';
import type { OpenedRun } from '../recorder/open-run';
import type { Machine } from '../recorder/replay/machine';
import { INTERVAL } from '../recorder/replay/timeline';
import type { SourceFrame, SourceLine } from '../recorder/source-map';
import type { Pace } from '../stepping/pace';

/**
 * Coverage by file, of every file that the program has code from. A line counts each time a breakpoint on it would be
 * hit. Throws `cancelled` when that is what `pace` says. Leaves the machine anywhere.
 */
export async function coverageOf(run: OpenedRun, pace: Pace): Promise<FileCoverage[]> {
  const { timeline } = run;
  const counts = new Counts(run);
  const machine = timeline.seek(0);
  counts.see(machine);
  while (!machine.ending) {
    if (machine.step % INTERVAL === 0) await pace.breathe(machine.step / timeline.length);
    machine.run();
    counts.see(machine);
  }
  return collect(run, counts);
}

/** What one walk along the run counts, by number of line and by instruction. */
class Counts {
  readonly lines: Uint32Array;
  /** By where a call of an inlined function stands: how often that function was begun. */
  readonly calls = new Map<string, number>();
  readonly jumped: Uint32Array;
  readonly wentOn: Uint32Array;
  private readonly callers: string[][];
  private readonly conditional: Uint8Array;
  private statement = 0;
  private previous = -1;
  /** Calls of inlined functions that are under way, outermost first, by number of calls that have not returned. */
  private active: string[][] = [];

  constructor(private readonly run: OpenedRun) {
    const { code, source } = run;
    const size = code.insns.length;
    this.lines = new Uint32Array(source.places.length);
    this.jumped = new Uint32Array(size);
    this.wentOn = new Uint32Array(size);
    this.conditional = Uint8Array.from({ length: size }, (_, insn) => (isConditional(run, insn) ? 1 : 0));
    this.callers = callersByLine(run);
  }

  /** To be called before each instruction, in order, and once at the end. */
  see(machine: Machine): void {
    const { pc, step, ending } = machine;
    const { code, statements } = this.run;
    const before = this.previous;
    if (before >= 0 && this.conditional[before]) {
      const side = pc === code.target[before] ? this.jumped : this.wentOn;
      side[before] = (side[before] as number) + 1;
    }
    this.previous = pc;
    if (ending || this.statement >= statements.count || statements.step(this.statement) !== step) return;
    const index = this.statement++;
    const line = statements.line(index);
    if (line < 0) return;
    if (statements.isNew(index)) this.lines[line] = (this.lines[line] as number) + 1;
    this.enterCalls(line, statements.depth(index) >> 8, code.stackDepth.has(pc));
  }

  private enterCalls(line: number, depth: number, isFunctionEntry: boolean): void {
    const calls = this.callers[line] ?? [];
    const before = isFunctionEntry ? [] : (this.active[depth] ?? []);
    const differs = calls.findIndex((call, index) => call !== before[index]);
    for (const call of differs < 0 ? [] : calls.slice(differs))
      this.calls.set(call, (this.calls.get(call) ?? 0) + 1);
    this.active.length = depth;
    this.active[depth] = calls;
  }
}

/** A jump that goes on or not; one to the next instruction decides nothing. */
function isConditional({ code }: OpenedRun, insn: number): boolean {
  const decoded = code.insns[insn];
  return !!decoded && isJump(decoded) && !isGoto(decoded) && code.target[insn] !== code.next[insn];
}

/** For each number of a line the calls that it is inlined by, outermost first. */
function callersByLine({ source }: OpenedRun): string[][] {
  const callers: string[][] = [];
  source.line.forEach((line, insn) => {
    if (line >= 0) callers[line] ??= source.frames(insn).slice(1).reverse().map(keyOfCall);
  });
  return callers;
}

function keyOfCall({ name, at }: SourceFrame): string {
  return `${name}\n${at ? keyOf(at) : ''}`;
}

function keyOf({ path, line }: SourceLine): string {
  return `${path}\n${line}`;
}

/** A file's lines while they are put together. */
type Lines = Map<number, { hits: number; branches: BranchCoverage[] }>;

function collect(run: OpenedRun, counts: Counts): FileCoverage[] {
  const { source, recording } = run;
  const files = new Map<string, Lines>();
  const lineAt = ({ path, line }: SourceLine) => {
    const lines = files.get(path) ?? new Map<number, { hits: number; branches: BranchCoverage[] }>();
    files.set(path, lines);
    const found = lines.get(line) ?? { hits: 0, branches: [] };
    lines.set(line, found);
    return found;
  };
  source.places.forEach((place, number) => {
    lineAt(place).hits += counts.lines[number] as number;
  });
  const own = new Set(source.places.map(keyOf));
  for (const call of inlinedCalls(run)) {
    // A call whose line has code of its own is counted with that.
    if (call.at && !own.has(keyOf(call.at))) lineAt(call.at).hits += counts.calls.get(keyOfCall(call)) ?? 0;
  }
  run.code.insns.forEach((_, insn) => {
    const at = isConditional(run, insn) ? source.placeOf(insn) : undefined;
    if (at && (source.line[insn] as number) >= 0) lineAt(at).branches.push(branch(run, counts, insn, at));
  });
  return [...files].map(([path, lines]) => {
    const text = recording.sources.find((candidate) => candidate.path === path)?.text;
    return {
      path,
      ...(text === undefined ? {} : { digest: digestOf(text) }),
      lines: [...lines].map(([line, found]) => ({ line, ...found })).sort((a, b) => a.line - b.line),
    };
  });
}

/** Every call of an inlined function, once for each place in the source. */
function inlinedCalls({ source }: OpenedRun): SourceFrame[] {
  const calls = new Map<string, SourceFrame>();
  source.line.forEach((line, insn) => {
    if (line < 0) return;
    for (const frame of source.frames(insn).slice(1)) calls.set(keyOfCall(frame), frame);
  });
  return [...calls.values()];
}

function branch(run: OpenedRun, counts: Counts, insn: number, at: SourceLine): BranchCoverage {
  const side = (insnThere: number, times: number): BranchSide => {
    const there = firstLine(run, insnThere);
    if (!there) return { times };
    const elsewhere = there.path === at.path ? {} : { path: there.path };
    return { times, line: there.line, column: there.column, ...elsewhere };
  };
  const { code } = run;
  return {
    column: at.column,
    sides: [
      side(code.next[insn] as number, counts.wentOn[insn] as number),
      side(code.target[insn] as number, counts.jumped[insn] as number),
    ],
  };
}

/** The line at an instruction, or the first that necessarily comes after it. */
function firstLine({ source, code }: OpenedRun, insn: number): SourceLine | undefined {
  const seen = new Set<number>();
  for (let at = insn; !seen.has(at);) {
    seen.add(at);
    if ((source.line[at] ?? -1) >= 0) return source.placeOf(at);
    const decoded = code.insns[at];
    if (!decoded || isExit(decoded) || (isJump(decoded) && !isGoto(decoded))) return undefined;
    at = (isGoto(decoded) ? code.target[at] : code.next[at]) as number;
  }
  return undefined;
}

/** By which the text of a run and that of an editor are compared. */
export function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
